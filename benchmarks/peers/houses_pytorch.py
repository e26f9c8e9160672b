"""House prices in plain PyTorch, as a careful user would: EPOCHS and BATCH in, R² as JSON out."""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

epochs, batch = map(int, sys.argv[1:])
torch.manual_seed(0)
frame = pl.read_parquet("examples/data/house_prices.parquet")
prices = torch.tensor(frame["price"].to_numpy(), dtype=torch.float32)
numbers = frame.drop("id", "price", "zipcode").with_columns(pl.col("date").to_physical())
columns = torch.from_numpy(numbers.cast(pl.Float64).to_numpy())
zipcodes = np.unique(frame["zipcode"].to_numpy(), return_inverse=True)[1]
one_hot = nn.functional.one_hot(torch.from_numpy(zipcodes))

order = torch.randperm(len(frame))
held_out = len(order) // 10
test, validation, train = order.tensor_split([held_out, 2 * held_out])


def scaled(values: Any) -> Any:
    """Standardised by the training rows, float32."""
    mean, std = values[train].mean(dim=0), values[train].std(dim=0)
    return ((values - mean) / std).float()


x = torch.cat([scaled(columns), one_hot.float()], dim=1)
logs = prices.log()
center, spread = logs[train].mean(), logs[train].std()
y = scaled(logs)[:, None]
model = nn.Sequential(
    nn.Linear(x.shape[1], 256), nn.SiLU(), nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, 1),
)  # fmt: skip
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
steps = epochs * -(-len(train) // batch)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
loss_of = nn.MSELoss()
best, lowest = model.state_dict(), float("inf")
for _ in range(epochs):
    model.train()
    for rows in train[torch.randperm(len(train))].split(batch):
        optimizer.zero_grad()
        loss_of(model(x[rows]), y[rows]).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        error = loss_of(model(x[validation]), y[validation]).item()
    if error < lowest:
        best, lowest = copy.deepcopy(model.state_dict()), error
model.load_state_dict(best)
with torch.no_grad():
    found = (model(x[test])[:, 0] * spread + center).exp()
errors = ((found - prices[test]) ** 2).sum() / ((prices[test] - prices[test].mean()) ** 2).sum()
print(json.dumps({"r2": 1 - errors.item(), "epochs": epochs}))
