"""An explanation as one page that needs nothing but a browser."""

from .page import to_html

__all__ = ["to_html"]
