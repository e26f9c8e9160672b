"""The headless browser of the tests of pages."""

from ..browser import browser

__all__ = ["browser"]
