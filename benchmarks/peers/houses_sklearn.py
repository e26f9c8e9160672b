"""House prices in scikit-learn, as a careful user would: EPOCHS and BATCH in, R² as JSON out."""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

epochs, batch = map(int, sys.argv[1:])
frame = pl.read_parquet("examples/data/house_prices.parquet")
x = frame.drop("id", "price").with_columns(pl.col("date").to_physical())
train, test = train_test_split(np.arange(len(x)), test_size=0.1, random_state=0)
y = np.log(frame["price"].to_numpy())

encode = ColumnTransformer(
    [("zipcode", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["zipcode"])],
    remainder=StandardScaler(),
)
network = MLPRegressor(
    hidden_layer_sizes=(256, 128), learning_rate_init=3e-3, batch_size=batch, max_iter=epochs,
    early_stopping=True, n_iter_no_change=epochs, random_state=0,
)  # fmt: skip
model = TransformedTargetRegressor(make_pipeline(encode, network), transformer=StandardScaler())
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # it is told when to stop
    model.fit(x[train], y[train])
found = r2_score(np.exp(y[test]), np.exp(model.predict(x[test])))
print(json.dumps({"r2": found, "epochs": model.regressor_[-1].n_iter_}))
