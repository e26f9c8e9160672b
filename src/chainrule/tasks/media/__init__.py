"""What images and sounds have in common: files with a class each, read by workers, judged alike.

`train_files` is the way from such files to a model; what is special to a medium is a `Medium`.
"""

from .files import Files, Look
from .options import MediaOptions
from .pipeline import MediaResult, Medium, Plan, train_files
from .predictor import MediaPredictor
from .reading import FileReader
from .update import continued

__all__ = [
    "FileReader",
    "Files",
    "Look",
    "MediaOptions",
    "MediaPredictor",
    "MediaResult",
    "Medium",
    "Plan",
    "continued",
    "train_files",
]
