"""Architectures evolve: what is trained is the network by itself, and what is inherited."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, TrainingError
from chainrule.evolve import Genome, Space, evolve_network
from chainrule.evolve.architecture.evolution import Island, migrated
from chainrule.evolve.architecture.nursery import (
    Nursery,
    first_weights,
    inherited,
    network_of,
    shapes_of,
    used,
)

pytestmark = pytest.mark.usefixtures("without_compiler")
RNG = np.random.default_rng(3)
SPACE = Space(layers=3, units=6, activations=("relu", "tanh", "gelu"))
GENOMES = [
    Genome((6, 6, 6), ("relu", "tanh", "gelu"), 0.01, 0.1, 1),
    Genome((2,), ("tanh",), 0.03, 1e-6, 2),
    Genome((5, 1), ("gelu", "relu"), 0.003, 0.01, 3),
]


def numbers(rows=48):
    x = RNG.uniform(-1, 1, size=(rows, 3)).astype("float32")
    return x, (x[:, :1] * x[:, 1:2] + x[:, 2:]).astype("float32")


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_each_is_trained_as_the_network_by_itself(loss):
    """Steps of AdamW on an ordinary network, from the same weights, on the same batches."""
    x, y = numbers()
    if loss == "cross_entropy":
        y = (y[:, 0] > 0).astype("int64") + (y[:, 0] > 0.5)
    outputs = 3 if loss == "cross_entropy" else 1
    function = cr.losses.LOSSES[loss]
    nursery = Nursery(SPACE, 3, 3, outputs, function, "numpy")
    starts = [first_weights(genome, nursery.shapes) for genome in GENOMES]
    together = {name: np.stack([start[name] for start in starts]) for name in starts[0]}
    order = np.stack([RNG.permutation(48)[:16] for _ in range(12)])
    after = nursery.train(GENOMES, together, (x, y), order)
    losses = nursery.losses((x, y))
    for i, (genome, start) in enumerate(zip(GENOMES, starts, strict=True)):
        alone = network_of(genome, start)
        optimizer = cr.optim.AdamW(alone, lr=genome.lr, weight_decay=genome.weight_decay)
        for rows in order:
            gradients = cr.value_and_grad(
                lambda m, rows=rows: function(m(x[rows]), cr.tensor(y[rows]))
            )(alone)[1]
            optimizer.update(gradients)
        trained = network_of(genome, {name: array[i] for name, array in after.items()})
        assert alone.parameters().keys() == trained.parameters().keys()
        for path, parameter in alone.parameters().items():
            np.testing.assert_allclose(
                trained.parameters()[path].numpy(), parameter.numpy(), rtol=2e-4, atol=2e-6,
                err_msg=f"{genome.name}: {path}",
            )  # fmt: skip
        assert function(alone(x), y).item() == pytest.approx(losses[i], rel=1e-3)


def test_a_child_has_the_weights_of_its_parent_where_both_have_some():
    shapes = shapes_of(SPACE, 3, 1)
    parent, child = Genome((4,), ("relu",), 0.1, 0.1, 5), Genome((5, 2), ("relu",) * 2, 0.1, 0.1, 6)
    learned = {name: np.full(shape, 7.0, np.float32) for name, shape in shapes.items()}
    found = inherited(child, parent, learned, shapes)
    fresh = first_weights(child, shapes)
    assert (found["weight.0"][:, :4] == 7).all()
    np.testing.assert_array_equal(found["weight.0"][:, 4:], fresh["weight.0"][:, 4:])
    np.testing.assert_array_equal(found["weight.1"], fresh["weight.1"])  # a layer of its own
    assert (found["bias.0"][:4] == 7).all()
    assert (found["bias.0"][4:] == 0).all()
    assert (found["weight.out"][:2] == 7).all()  # rows that both have
    assert not found["weight.out"][2:].any()
    for name, shape in shapes.items():  # what a network does not have is 0 at first
        assert not fresh[name][~used(child, name, shape)].any()


def test_children_stay_in_the_space():
    space = Space(layers=2, units=4, activations=("relu", "tanh"), lr=(0.01, 0.02))
    people = [space.draw(RNG) for _ in range(40)]
    for _ in range(300):
        mother, father = (people[int(i)] for i in RNG.integers(40, size=2))
        people[int(RNG.integers(40))] = child = space.child(mother, father, RNG)
        assert 1 <= len(child.hidden) == len(child.activations) <= 2
        assert all(1 <= units <= 4 for units in child.hidden)
        assert set(child.activations) <= {"relu", "tanh"}
        assert 0.01 <= child.lr <= 0.02
    assert len({genome.hidden for genome in people}) > 5


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).uniform(-1, 1, (120, 2)).astype("float32")
    return x, np.where(x[:, :1] * x[:, 1:] > 0, 1.0, -1.0).astype("float32")


SMALL = {"space": Space(layers=2, units=8), "population": 6, "epochs": 4, "batch_size": 30}


@pytest.mark.parametrize("inheritance", ["lamarckian", "baldwinian"])
def test_what_evolves_repeats_to_the_bit_and_gets_better(data, inheritance):
    def run(seed=0):
        return evolve_network(data, trainings=26, inheritance=inheritance, seed=seed, **SMALL)

    one, same, other = run(), run(), run(1)
    assert one.trainings == 6 + 5 * 4 == 26
    assert [line[0] for line in one.history] == sorted((x[0] for x in one.history), reverse=True)
    assert one.loss == one.history[-1][0] < one.history[0][0]
    assert (one.loss, one.genome, one.history) == (same.loss, same.genome, same.history)
    assert other.genome != one.genome
    assert one.reason == "the trainings are spent"
    layers = [type(layer).__name__.lower() for layer in one.model]
    assert [name for name in layers if name != "linear"] == list(one.genome.activations)


def test_the_loss_is_that_of_the_model_on_the_validation_rows(data):
    x, y = data
    found = evolve_network((x[:80], y[:80]), validation=(x[80:], y[80:]), trainings=6, **SMALL)
    assert cr.losses.mse(found.model(x[80:]), y[80:]).item() == pytest.approx(found.loss, rel=1e-4)


def test_learning_that_is_inherited_goes_on_and_other_learning_begins_again(data):
    """With one genome in the space, only Lamarckian children know more than the first ones."""
    space = Space(1, 8, ("tanh",), lr=(0.03, 0.03), weight_decay=(1e-6, 1e-6))
    ends = {}
    for inheritance in ("lamarckian", "baldwinian"):
        seen = []
        evolve_network(
            data, trainings=4 * 8 + 2 * 8, inheritance=inheritance, space=space, population=8,
            elites=0, epochs=5, batch_size=30, migrate_every=1, on_generation=lambda islands,
            seen=seen: seen.append(float(np.median(islands[0].losses))),
        )  # fmt: skip
        ends[inheritance] = seen[-1]
    assert ends["lamarckian"] < 0.8 * ends["baldwinian"]


def test_islands_send_their_best_network_on():
    def island(number, losses):
        weights = {"w": np.array(losses)[:, None]}
        genomes = tuple(Genome((i + 1,), ("relu",), 1.0, 1.0, number) for i in range(2))
        return Island(number, 4, genomes, weights, np.array(losses))

    one, two, three = migrated([island(0, [3.0, 5.0]), island(1, [2.0, 9.0]), island(2, [4, 1.0])])
    assert one.losses.tolist() == [3.0, 1.0]
    assert two.losses.tolist() == [2.0, 3.0]
    assert three.losses.tolist() == [2.0, 1.0]
    assert one.weights["w"].tolist() == [[3.0], [1.0]]
    assert one.genomes[1] == Genome((2,), ("relu",), 1.0, 1.0, 2)
    alone = island(0, [1.0, 2.0])
    assert migrated([alone]) == [alone]


def test_islands_in_processes_give_what_one_process_gives(data):
    options = {**SMALL, "population": 4, "epochs": 2, "trainings": 16, "islands": 2}
    several, one = (evolve_network(data, migrate_every=2, jobs=jobs, **options) for jobs in (2, 1))
    assert (several.loss, several.genome) == (one.loss, one.genome)
    assert several.trainings == one.trainings
    other = evolve_network(data, migrate_every=99, jobs=1, **options)
    assert other.history != one.history  # islands that never meet


def test_a_budget_of_time(data):
    found = evolve_network(data, seconds=0.01, **SMALL)
    assert found.reason == "the time is over"
    assert found.trainings >= 6


def test_classes_and_probabilities():
    x = RNG.normal(size=(80, 2)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    many = evolve_network((x, y), "cross_entropy", trainings=6, **SMALL)
    assert many.model(x).shape == (80, 2)
    one = evolve_network((x, y), "binary_cross_entropy", trainings=6, **SMALL)
    assert one.model(x).shape == (80, 1)
    assert one.loss < 0.7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"population": 1}, "population"),
        ({"elites": 6}, "elites"),
        ({"elites": -1}, "elites"),
        ({"inheritance": "darwinian"}, "inheritance"),
        ({"epochs": 0}, "epochs"),
        ({"trainings": 0}, "too small"),
        ({"trainings": 5}, "at least 6"),
        ({"islands": 2, "trainings": 6}, "at least 12"),
        ({"seconds": 0}, "seconds"),
        ({"islands": 0}, "islands"),
        ({"jobs": 0}, "jobs"),
        ({"validation": 1.5}, "validation"),
        ({"loss": "mean"}, "loss"),
    ],
)
def test_what_is_refused(data, options, words):
    with pytest.raises(ConfigError, match=words):
        evolve_network(data, **{**SMALL, "trainings": 6, **options})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": 0}, "layers"),
        ({"units": 2.5}, "units"),
        ({"activations": ("softmix",)}, "activations"),
        ({"activations": ()}, "activations"),
        ({"lr": (0.1, 0.01)}, "lr"),
        ({"weight_decay": (0.0, 0.1)}, "weight_decay"),
    ],
)
def test_spaces_that_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        Space(**options)


def test_trainings_that_all_diverge_are_an_error(data):
    x, y = data
    with pytest.raises(TrainingError, match="No network of the first generation"):
        evolve_network((x, y * np.inf), trainings=6, **SMALL)
