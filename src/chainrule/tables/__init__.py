"""From a table of raw rows to a trained model that takes raw rows."""

from .options import TableOptions
from .pipeline import TablePredictor, TableResult, load_predictor, train_table

__all__ = ["TableOptions", "TablePredictor", "TableResult", "load_predictor", "train_table"]
