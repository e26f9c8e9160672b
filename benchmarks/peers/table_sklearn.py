"""A table in scikit-learn, as a careful user would: FILE, TARGET and METHOD in, a score out.

METHOD is ``mlp``, a network with its defaults, or ``boosting``, of trees. The score of a fifth of
the rows is the accuracy of classes, R² of numbers.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

file, target, method = sys.argv[1:]
frame = pl.read_csv(file)
x, y = frame.drop(target), frame[target].to_numpy()
classes = frame.schema[target] == pl.String
text = [name for name, dtype in frame.schema.items() if dtype == pl.String and name != target]
if method == "mlp":
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if classes else MLPRegressor
    learner = kind(max_iter=500, random_state=0)
else:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    learner = (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)()
train, test = train_test_split(np.arange(len(x)), test_size=0.2, random_state=0)
encode = ColumnTransformer([("text", OrdinalEncoder(), text)], remainder=StandardScaler())
model = make_pipeline(encode, learner).fit(x[train], y[train])
print(json.dumps({"score": model.score(x[test], y[test])}))
