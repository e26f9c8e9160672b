"""From a table of raw rows to a trained model that takes raw rows."""

from ..result import TrainingResult as TableResult
from .options import TableOptions
from .predictor import TablePredictor
from .train import train_table
from .update import continuation

#: As a kind of data; see `chainrule.tasks`.
Options, train, predictor = TableOptions, train_table, TablePredictor
NEW = "NEW_ROWS.csv"

__all__ = ["TableOptions", "TablePredictor", "TableResult", "continuation", "train_table"]
