"""Training: the step, the loop around it, what is recorded and shown."""

from .adversarial import AdversarialStep
from .arrays import Arrays
from .callbacks import Callback
from .history import History
from .keeping import load_training, save_training
from .rate_finder import RateSearch, find_rate
from .spool import Spool
from .step import Step
from .stream import Stream
from .trainer import Trainer
from .transfer import Transferred, freeze_parts, transfer

__all__ = [
    "AdversarialStep",
    "Arrays",
    "Callback",
    "History",
    "RateSearch",
    "Spool",
    "Step",
    "Stream",
    "Trainer",
    "Transferred",
    "find_rate",
    "freeze_parts",
    "load_training",
    "save_training",
    "transfer",
]
