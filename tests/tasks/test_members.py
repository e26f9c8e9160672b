"""Networks side by side beside the same networks one by one."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.tasks.media.ensemble import rescale, rounds_of
from chainrule.tasks.members import Members, adapted_state, each_alone, joined_state, member_seed
from chainrule.tasks.scaling import TargetScaler


class Network(cr.nn.Module):
    def __init__(self, outputs=3):
        self.body = cr.nn.Sequential(cr.nn.Linear(4, 5), cr.nn.Tanh())
        self.head = cr.nn.Linear(5, outputs)

    def features(self, x):
        return self.body(x)

    def forward(self, x):
        return self.head(self.features(x))


def networks(count, outputs=3):
    return [Network(outputs).initialize(seed) for seed in range(count)]


def alone(network, x):
    weight, bias = (network.body[0].weight.numpy(), network.body[0].bias.numpy())
    return np.tanh(x @ weight + bias) @ network.head.weight.numpy() + network.head.bias.numpy()


def test_each_gives_what_it_gives_alone():
    members, x = networks(3), np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    expected = np.stack([alone(member, x) for member in members])
    np.testing.assert_allclose(Members(members)(x).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_mean_of_theirs():
    draw = np.random.default_rng(0)
    z, target = draw.normal(size=(2, 5, 3)), np.array([0, 2, 1, 1, 0])
    log_p = z - np.log(np.exp(z).sum(axis=2, keepdims=True))
    each = -log_p[:, np.arange(5), target]
    weights = np.array([[1, 0], [1, 1], [0, 1], [1, 1], [1, 1]], "float64")  # rows, members
    expected = (each.T * weights).sum() / weights.sum()
    args = cr.tensor(z), cr.tensor(target)
    loss = each_alone(cr.losses.cross_entropy, *args, cr.tensor(weights))
    assert loss.item() == pytest.approx(expected)
    assert each_alone(cr.losses.cross_entropy, *args).item() == pytest.approx(each.mean())


def test_variables_find_their_places():
    several = Members(networks(3))
    paths, single = several.variables(), networks(1)[0]
    taken = adapted_state(single.state(), paths)
    assert taken.keys() == paths.keys()
    np.testing.assert_array_equal(taken["members.2.head.weight"], single.head.weight.numpy())
    back = adapted_state(several.state(), single.variables(), number=4)
    np.testing.assert_array_equal(back["head.weight"], several.members[1].head.weight.numpy())
    assert back.keys() == single.variables().keys()


def test_states_of_trainings_become_one_that_goes_on():
    x, y = np.eye(4, dtype="float32"), np.array([0, 1, 2, 0])
    trainers = [
        cr.Trainer(each, "cross_entropy", "adamw", lr=0.1, progress=False, backend="numpy")
        for each in networks(2)
    ]
    for trainer in trainers:
        trainer.fit((x, y), epochs=2)
    joined = Members([trainer.model for trainer in trainers])
    together = cr.Trainer(
        joined, lambda z, t: each_alone(cr.losses.cross_entropy, z, t), "adamw", lr=0.1,
        progress=False, backend="numpy",
    )  # fmt: skip
    states = [trainer.state() for trainer in trainers]
    together.go_on_from(trainers[0], joined_state(states, trainers[0].model.variables()))
    assert together.history is trainers[0].history
    found = together.state()
    for number, state in enumerate(states):
        for name in ("m.head.weight", "v.body.layers.0.bias"):
            slot, path = name.split(".", 1)
            own = found[f"optimizer.{slot}.members.{number}.{path}"]
            np.testing.assert_array_equal(own, state[f"optimizer.{name}"])
            assert own.any()
    assert found["step"] == states[0]["step"] == 2


def test_seeds_and_rounds():
    seeds = {member_seed(seed, number) for seed in range(20) for number in range(10)}
    assert len(seeds) == 200
    assert member_seed(5, 0) == 5
    for members in range(2, 23):
        folds = rounds_of(members)
        assert sum(folds) == members
        assert all(2 <= each <= 5 for each in folds)


def test_numbers_on_another_scale_are_the_same():
    network, x = Network(1).initialize(0), np.ones((2, 4), "float32")
    before = TargetScaler(False).fit(np.array([1.0, 5.0, 9.0]))
    after = TargetScaler(False).fit(np.array([-20.0, 30.0]))
    expected = before(network(x)).numpy()
    rescale(network.head, before, after)
    np.testing.assert_allclose(after(network(x)).numpy(), expected, rtol=1e-5)
