"""Training: the step, the loop around it, what is recorded and shown."""

from .callbacks import Callback
from .history import History
from .trainer import Trainer

__all__ = ["Callback", "History", "Trainer"]
