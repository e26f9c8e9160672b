"""Layers and networks."""

from .module import Module

__all__ = ["Module"]
