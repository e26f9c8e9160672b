"""Training: the step, the loop around it, what is recorded and shown."""

from ..engine.backends.xla.processes import join
from .adversarial import AdversarialStep
from .callbacks import Callback, Training
from .checkpoint import load_training, save_training
from .checkpoints import Checkpoints
from .data_loader import Stream
from .dataset import Arrays
from .disk_dataset import DiskDataset
from .history import History
from .lr_finder import RateSearch, find_rate
from .step import Step
from .trainer import Trainer
from .transfer import Transferred, freeze_parts, transfer

__all__ = [
    "AdversarialStep",
    "Arrays",
    "Callback",
    "Checkpoints",
    "DiskDataset",
    "History",
    "RateSearch",
    "Step",
    "Stream",
    "Trainer",
    "Training",
    "Transferred",
    "find_rate",
    "freeze_parts",
    "join",
    "load_training",
    "save_training",
    "transfer",
]
