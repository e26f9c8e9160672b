"""The command line: a file for each command, and what is heavy is imported inside the commands."""

from .app import main

__all__ = ["main"]
