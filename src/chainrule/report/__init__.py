"""A page for each run: what was trained, on what, how well, and what the network looks at.

`content` reads a run folder, `sections` makes the page's sections of it, one function a section;
`page` writes them as one file. `recorder` does so while a training goes on.
"""

from __future__ import annotations

from .content import RunContent
from .page import compare_pages, report_page, write_page
from .recorder import Recorder
from .tensorboard import TensorBoard

__all__ = [
    "Recorder",
    "RunContent",
    "TensorBoard",
    "compare_pages",
    "report_page",
    "write_page",
]
