"""From a table of raw rows to a trained model that takes raw rows."""

from ..kinds.table import KIND, TableOptions
from ..result import TrainingResult as TableResult
from .plan import TablePlan
from .predictor import TablePredictor
from .streaming import StreamedTablePlan
from .train import train_table
from .update import continuation

#: As a kind of data; see `chainrule.tasks`.
Options, NEW = KIND.options, KIND.new
train, predictor = train_table, TablePredictor
PLANS = (TablePlan, StreamedTablePlan)

__all__ = ["TableOptions", "TablePredictor", "TableResult", "continuation", "train_table"]
