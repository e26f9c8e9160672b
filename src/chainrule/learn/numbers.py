"""The numbers of the lessons, computed when a page is written: none is typed into a text.

Each function gives the numbers of a lesson by the names that its text uses.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import losses, nn
from ..engine.autodiff import grad, value_and_grad
from ..engine.ops import relu, sigmoid, softmax, sum
from ..engine.tensor import Tensor, tensor
from ..explain.demos import demo
from ..explain.explanation import Explanation, Node
from ..optim import SGD, Adam, Optimizer
from ..training import Step
from ..utils.typing import Array

Numbers = dict[str, float]


@functools.cache
def numbers_of(lesson: int) -> Numbers:
    """The numbers of a lesson, from 1 to 12; some train small networks, so they are kept."""
    return _LESSONS[lesson - 1]()


@functools.cache
def explained(name: str) -> Explanation:
    """A demo; several lessons have the same."""
    return demo(name)


def _node(told: Explanation, symbol: str) -> Node:
    return next(node for node in told.nodes if node.symbol == symbol)


def _values(told: Explanation, symbol: str, of: str = "value") -> Array:
    node = _node(told, symbol)
    values = node.value if of == "value" else node.gradient
    assert values is not None
    assert values.data is not None
    return values.data


# ---- 1 to 6: from the slope to XOR ---------------------------------------------------------------


def _slope() -> Numbers:
    def f(w: Any) -> Any:
        return (w - 3.0) ** 2

    def descended(rate: float, steps: int) -> float:
        w = tensor(1.0, "float64")
        for _ in range(steps):
            w = w - rate * grad(f)(w)
        return float(w.item())

    w, h, small, lr, high, steps = 1.0, 0.1, 0.001, 0.1, 1.1, 10
    slope = float(grad(f)(tensor(w, "float64")).item())
    end, far = descended(lr, steps), descended(high, steps)
    return {
        "w": w, "h": h, "h_small": small, "f": f(w), "f_h": f(w + h), "slope": slope,
        "quotient": (f(w + h) - f(w)) / h, "quotient_small": (f(w + small) - f(w)) / small,
        "change": slope * h, "really": f(w + h) - f(w), "lr": lr, "next": w - lr * slope,
        "f_next": f(w - lr * slope), "steps": steps, "w_end": end, "f_end": f(end),
        "lr_high": high, "f_high": f(far),
    }  # fmt: skip


def _neuron() -> Numbers:
    told = explained("neuron")
    x, w, g = _values(told, "x"), _values(told, "weight"), _values(told, "weight", "gradient")
    (update,) = told.update.parameters
    assert update.new.data is not None
    return {
        "x1": x[0], "x2": x[1], "w1": w[0], "w2": w[1], "yhat": _values(told, "ŷ")[0],
        "y": _values(told, "y")[0], "e": _values(told, "e")[0], "L": told.loss, "g1": g[0],
        "g2": g[1], "lr": told.update.rate, "new1": update.new.data[0], "new2": update.new.data[1],
        "after": told.update.loss, "predicted": told.update.predicted,
    }  # fmt: skip


def _chain() -> Numbers:
    w, x, y, h = 0.8, 1.5, 0.3, 1e-4

    def loss(w: Any) -> Any:
        return 0.5 * (sigmoid(w * x) - y) ** 2

    z = w * x
    a = float(sigmoid(tensor(z, "float64")).item())
    links = {"dz_dw": x, "da_dz": float(grad(sigmoid)(tensor(z, "float64")).item()), "dL_da": a - y}
    at = [float(loss(tensor(one, "float64")).item()) for one in (w, w + h)]
    whole = float(grad(loss)(tensor(w, "float64")).item())
    return {
        "w": w, "x": x, "y": y, "z": z, "a": a, "L": at[0], **links, "h": h, "dL_dw": whole,
        "da_dw": links["dz_dw"] * links["da_dz"], "quotient": (at[1] - at[0]) / h,
    }  # fmt: skip


def _network() -> Numbers:
    told = explained("houses")
    z, a = _values(told, "z1"), _values(told, "a1")
    gz, ga = _values(told, "z1", "gradient"), _values(told, "a1", "gradient")
    weights = math.fsum(one.new.size for one in told.update.parameters)
    return {
        "weights": weights, "brute": weights + 1, "z1": z[0], "z2": z[1], "a1": a[0], "a2": a[1],
        "yhat": _values(told, "ŷ")[0], "y": _values(told, "y")[0], "e": _values(told, "e")[0],
        "ga1": ga[0], "ga2": ga[1], "gz1": gz[0], "gz2": gz[1],
        "gw11": _values(told, "hidden.weight", "gradient")[0],
    }  # fmt: skip


def _by_hand() -> Numbers:
    told = explained("2-2-2")
    return {"L": told.loss, "lr": told.update.rate, "after": told.update.loss}


def _xor() -> Numbers:
    told = explained("xor")
    x, y = _values(told, "x").reshape(4, 2), _values(told, "y").reshape(4, 1)
    z = float(_values(told, "z2")[1])
    p = float(sigmoid(tensor(z, "float64")).item())
    steps = 400

    def trained(model: nn.Module) -> float:
        model = model.to("float64").initialize(seed=1)
        return _train(model, losses.binary_cross_entropy, x, y, Adam(model, lr=0.05), steps)[-1]

    hidden = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    return {
        "ln2": math.log(2), "steps": steps, "linear": trained(nn.Sequential(nn.Linear(2, 1))),
        "hidden": trained(hidden), "z": z, "p": p, "loss1": -math.log(p), "gradient1": p - 1,
        "gradient4": float(_values(told, "z2", "gradient")[1]),
    }  # fmt: skip


def _train(
    model: nn.Module, loss: Callable[..., Tensor], x: Array, y: Array, optimizer: Optimizer,
    steps: int,
) -> list[float]:  # fmt: skip
    """The loss before each step, and after the last."""
    step = Step(model, loss, optimizer, backend="numpy")
    found = [float(step(x, y)[0]) for _ in range(steps)]
    return [*found, float(loss(model(x), y).item())]


# ---- 7 to 12: from batches to attention ----------------------------------------------------------


def _batches() -> Numbers:
    chance = np.random.default_rng(7)
    rows, small = 64, 8
    x = chance.normal(size=rows)
    y = 1.5 * x + chance.normal(scale=0.5, size=rows)

    def loss(w: Any, x: Array, y: Array) -> Any:
        return 0.5 * sum((w * x - y) ** 2) / float(len(x))

    def gradient(w: float, chosen: Any) -> float:
        at = tensor(w, "float64")
        return float(grad(lambda one: loss(one, x[chosen], y[chosen]))(at).item())

    def value(w: float) -> float:
        return float(loss(tensor(w, "float64"), x, y).item())

    single = [gradient(0.0, [row]) for row in range(rows)]
    parts = [gradient(0.0, chance.choice(rows, small, replace=False)) for _ in range(200)]
    full, rate, w = gradient(0.0, slice(None)), 0.3, 0.0
    for batch in chance.permutation(rows).reshape(-1, small):
        w -= rate * gradient(w, batch)
    return {
        "rows": rows, "small": small, "full": full, "mean_of_parts": float(np.mean(single)),
        "std1": float(np.std(single)), "std_small": float(np.std(parts)),
        "loss_small": value(w), "loss_full": value(-rate * full),
    }  # fmt: skip


def _optimizers() -> Numbers:
    c, x0, y0, lr, beta, adam_lr, steps = 25.0, 10.0, 1.0, 0.05, 0.8, 0.9, 30

    class Valley(nn.Module):
        def __init__(self) -> None:
            self.at = nn.Linear(1, 2, bias=False).to("float64")
            self.at.load_state({"weight": [[x0, y0]]})

        def forward(self) -> Tensor:
            squares = self.at(np.ones((1, 1))) ** 2
            value: Tensor = 0.5 * sum(squares * np.array([[1.0, c]]))
            return value

    def descended(make: Callable[[nn.Module], Optimizer]) -> tuple[float, Array]:
        valley = Valley()
        optimizer = make(valley)
        for _ in range(steps):
            error, gradients = value_and_grad(lambda m: m())(valley)
            optimizer.update(gradients, loss=error)
        return float(valley().item()), valley.parameters()["at.weight"].numpy().ravel()

    sgd, at = descended(lambda m: SGD(m, lr=lr))
    momentum, _ = descended(lambda m: SGD(m, lr=lr, momentum=beta))
    adam, _ = descended(lambda m: Adam(m, lr=adam_lr))
    return {
        "c": c, "x0": x0, "y0": y0, "lr": lr, "beta": beta, "adam_lr": adam_lr, "steps": steps,
        "limit": 2 / c, "sgd": sgd, "sgd_x": float(at[0]), "momentum": momentum, "adam": adam,
    }  # fmt: skip


def _vanishing() -> Numbers:
    depth, width = 10, 16
    chance = np.random.default_rng(9)
    x = chance.normal(size=(32, width))

    def ends(bend: Callable[[Any], Any], scale: float) -> tuple[float, float]:
        layers = [nn.Linear(width, width, bias=False).to("float64") for _ in range(depth)]
        again = np.random.default_rng(1)
        for layer in layers:
            layer.load_state({"weight": again.normal(scale=scale, size=(width, width))})
        stack = nn.Sequential(*layers)

        def loss(model: nn.Module) -> Tensor:
            a: Any = x
            for layer in layers:
                a = bend(layer(a))
            value: Tensor = sum(a**2) / float(x.size)
            return value

        _, gradients = value_and_grad(loss)(stack)
        sizes = [float(np.sqrt(np.mean(g.numpy() ** 2))) for g in gradients.values()]
        return sizes[0], sizes[-1]

    he = math.sqrt(2 / width)
    first, last = ends(sigmoid, math.sqrt(1 / width))
    relu_first, relu_last = ends(relu, he)
    bent = float(grad(sigmoid)(tensor(0.0, "float64")).item())
    return {
        "depth": depth, "width": width, "bent_max": bent, "bound": bent**depth,
        "sum": bent * depth, "sigmoid_first": first, "sigmoid_last": last,
        "sigmoid_ratio": first / last, "relu_first": relu_first, "relu_last": relu_last,
        "big_first": ends(relu, 3 * he)[0],
    }  # fmt: skip


def _overfitting() -> Numbers:
    chance = np.random.default_rng(10)
    rows, width, steps, decay = 12, 32, 1000, 0.003

    def points(count: int) -> tuple[Array, Array]:
        x = chance.uniform(-1, 1, size=(count, 1))
        return x, np.sin(3 * x) + chance.normal(scale=0.3, size=x.shape)

    (x, y), (new_x, new_y) = points(rows), points(200)

    def trained(decay: float) -> tuple[float, float, list[float]]:
        model = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))
        model = model.to("float64").initialize(seed=2)
        optimizer = Adam(model, lr=0.02, weight_decay=decay)
        step, seen = Step(model, losses.mse, optimizer, backend="numpy"), []
        for number in range(steps):
            if number % 10 == 0:
                seen.append(float(losses.mse(model(new_x), new_y).item()))
            step(x, y)
        on = [float(losses.mse(model(a), b).item()) for a, b in ((x, y), (new_x, new_y))]
        return on[0], on[1], seen

    train, test, seen = trained(0.0)
    train_decay, test_decay, _ = trained(decay)
    best = int(np.argmin(seen))
    return {
        "rows": rows, "width": width, "steps": steps, "decay": decay, "train_plain": train,
        "test_plain": test, "train_decay": train_decay, "test_decay": test_decay,
        "best_step": 10 * best, "best": seen[best],
    }  # fmt: skip


def _convolution() -> Numbers:
    told = explained("cnn")
    side, kernel = _node(told, "x").value.shape[1], _node(told, "filter.weight").value.shape
    out, maps = side - kernel[0] + 1, kernel[-1]
    chain = next(
        one for one in demo("cnn", weight="filter.weight[0,0,0,0]").chains
        if one.weight.symbol == "filter.weight"
    )  # fmt: skip
    return {
        "side": side, "k": kernel[0], "maps": maps, "out": out,
        "dense": side * side * out * out * maps, "conv": math.prod(kernel) + maps,
        "paths": chain.count, "gradient": chain.gradient.value,
    }  # fmt: skip


def _sequences() -> Numbers:
    told = explained("lstm")
    steps = sorted({node.step for node in told.nodes if node.step is not None})

    def size(step: int) -> float:
        return float(np.sqrt(np.mean(_values(told, f"h_t{step}", "gradient") ** 2)))

    scores = np.array([2.0, 1.0, -1.0])
    p = softmax(tensor(scores), -1).numpy()
    return {
        "steps": len(steps), "last": size(steps[-1]), "first": size(steps[0]),
        "forget": float(_values(told, "f_t0")[0]), "s1": scores[0], "s2": scores[1],
        "s3": scores[2], "p1": p[0], "p2": p[1], "p3": p[2], "total": p.sum(),
    }  # fmt: skip


_LESSONS: tuple[Callable[[], Numbers], ...] = (
    _slope, _neuron, _chain, _network, _by_hand, _xor,
    _batches, _optimizers, _vanishing, _overfitting, _convolution, _sequences,
)  # fmt: skip
