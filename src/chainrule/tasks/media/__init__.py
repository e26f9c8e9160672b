"""What images and sounds have in common: files with a class or a number each, read by workers.

`FilePlan` is the way from such files to a model; what is special to a medium is a `Medium`.
"""

from ..kinds.media import MediaOptions
from .files import Files, FileType
from .medium import Design, Medium
from .plan import FilePlan
from .predictor import MediaPredictor
from .reading import FileReader
from .update import continued

__all__ = [
    "Design",
    "FilePlan",
    "FileReader",
    "FileType",
    "Files",
    "MediaOptions",
    "MediaPredictor",
    "Medium",
    "continued",
]
