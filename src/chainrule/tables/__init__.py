"""From a table of raw rows to a trained model that takes raw rows."""

from .options import TableOptions
from .pipeline import TablePredictor, TableResult, train_table
from .update import update_table

#: As a kind of data; see `chainrule.kinds`.
Options, train, predictor, update = TableOptions, train_table, TablePredictor, update_table
NEW = "NEW_ROWS.csv"

__all__ = ["TableOptions", "TablePredictor", "TableResult", "train_table", "update_table"]
