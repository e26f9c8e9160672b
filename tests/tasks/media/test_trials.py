"""Which changes are kept, on a network that is nothing but its weights."""

import numpy as np

from chainrule.tasks.media.trials import Trials


class Network:
    def __init__(self):
        self.weights = np.zeros(1)

    def state(self):
        return {"w": self.weights.copy()}

    def load_state(self, state):
        self.weights = state["w"].copy()


class Stream:
    whole = False

    def __init__(self, changes):
        self.changes = changes

    def take(self, rows):
        return self


class Trainer:
    """Learns a good weight, unless a change spoils it; predicts by it."""

    def __init__(self, network, spoiled):
        self.network, self.spoiled = network, spoiled

    def fit(self, stream, epochs, batch_size):
        bad = set(stream.changes) & self.spoiled
        self.network.weights = np.array([0.55 if bad else 0.95])

    def predict(self, batch):
        sure = self.network.weights[0] * batch[:, 0]
        return np.stack([sure, 1 - sure], axis=1)


def kept(changes, *, looks_bad=(), spoiled=(), updates=1000, rows=60):
    network = Network()
    told = np.tile([0.98, 1.0, 1.02], rows // 3)

    def changed(change, some):
        batch = told[some] * (0.3 if change in looks_bad else 1.0)
        return batch[:, None], np.zeros(len(some), dtype=int)

    trials = Trials(
        network, lambda: Trainer(network, set(spoiled)), Stream, changed, 16, updates, True
    )
    found, said = trials.kept(changes, np.arange(rows) % 2, None, 0)
    assert network.weights == 0  # as it was
    return found, said


def test_what_is_not_suspicious_needs_no_trial():
    assert kept(("flip", "shift"), spoiled=("flip",)) == (("flip", "shift"), "")


def test_what_is_suspicious_but_does_no_harm_stays():
    assert kept(("flip", "shift"), looks_bad=("flip",)) == (("flip", "shift"), "")


def test_what_harms_goes_and_is_said():
    found, said = kept(("flip", "shift"), looks_bad=("flip",), spoiled=("flip",))
    assert found == ("shift",)
    assert "not changed by flip" in said
    assert "--augment flip,shift insists" in said


def test_a_short_training_has_no_trials():
    assert kept(("flip",), looks_bad=("flip",), spoiled=("flip",), updates=50) == (("flip",), "")


def better(before, after, updates=1000):
    """Of a network with these probabilities of the true class, before it is varied and after."""
    network = Network()

    class Varied(Trainer):
        def fit(self, stream, epochs, batch_size):
            network.weights = np.array(after if network.varied else before)

        def predict(self, batch):
            p = network.weights[batch[:, 0].astype(int) % len(network.weights)]
            return np.stack([p, 1 - p], axis=1)

    def changed(change, some):
        return some[:, None].astype(float), np.zeros(len(some), dtype=int)

    def vary(own):
        network.varied = own

    trials = Trials(network, lambda: Varied(network, set()), Stream, changed, 16, updates, True)
    said = trials.better(vary, ("flip",), np.arange(60) % 2, None, 0)
    assert updates < 60 or not network.varied  # as it was
    return said


def test_a_network_that_does_better_when_it_is_varied():
    assert better([0.5, 0.6], [0.7, 0.8]) == (
        "probability of wrong classes was 0.25 with, 0.45 without"
    )


def test_what_is_no_better_or_by_chance_or_good_already_is_not_varied():
    assert better([0.7, 0.8], [0.5, 0.6]) == ""
    assert better([0.1, 0.9, 0.5], [0.9, 0.1, 0.5]) == ""
    assert better([0.95, 0.95], [0.99, 0.99]) == ""
    assert better([0.5, 0.6], [0.7, 0.8], updates=50) == ""
