"""How texts are found: step by step as all at once, and the beam beside every text there is."""

import itertools

import numpy as np
import pytest
from chainrule.sequence_to_text import Decoding

import chainrule as cr
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.registry import find_backend
from chainrule.errors import ConfigError
from chainrule.tasks.sequence_to_text.decoding import Writer
from chainrule.tasks.sequence_to_text.ensemble import Ensemble

VOCABULARY, END, ROOM = 6, 5, 3
SOURCE = {
    "source": np.array([[2, 3, 4, 2, 5], [4, 4, 5, 0, 0], [3, 5, 0, 0, 0]]),
    "lengths": np.array([5, 3, 2]),
}


@pytest.fixture(params=["seq2seq_transformer", "seq2seq_lstm"])
def network(request):
    build = getattr(cr.models, request.param)
    found = build(VOCABULARY, width=16, layers=2, dropout=0.0).initialize(3)
    for parameter in found.parameters().values():
        parameter.assign(parameter * 2.0)  # so that the tokens differ
    return found


def logits(network, row, previous):
    inputs = {name: array[row : row + 1] for name, array in SOURCE.items()}
    inputs |= {"previous": np.array([previous])}
    return network({name: cr.tensor(a) for name, a in inputs.items()}).numpy()[0].astype(float)


def log_probability(network, row, tokens):
    z = logits(network, row, [END, *tokens[:-1]])
    p = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    return float(p[np.arange(len(tokens)), tokens].sum())


@pytest.mark.parametrize("beam", [1, 2])
def test_step_by_step_is_as_all_at_once(network, beam):
    previous = np.array([[END, 2, 3], [END, 4, 4], [END, 3, 2]])
    state = network.start(SOURCE, ROOM, beam)
    for step in range(ROOM):
        tokens = np.repeat(previous[:, step], beam)
        z, state = network.step(cr.tensor(tokens), state)
        for row in range(3):
            expected = logits(network, row, previous[row, : step + 1])[-1]
            np.testing.assert_allclose(z.numpy()[row * beam], expected, atol=2e-5)


@pytest.mark.parametrize("alpha", [1.0, 0.0, 0.6, -0.5])
def test_a_wide_beam_finds_the_best_of_all_texts(network, alpha):
    every = [
        [*tokens, END]
        for length in range(ROOM)
        for tokens in itertools.product(range(2, END), repeat=length)
    ]
    writer = Writer(network, END, ROOM, Decoding(40, alpha, best=4), "numpy")
    for row, found in enumerate(writer.write(SOURCE)):
        scores = {
            tuple(each): log_probability(network, row, each) / len(each) ** alpha for each in every
        }
        best = sorted(scores, key=lambda each: -scores[each])[:4]
        assert [(*each.tokens.tolist(), END) for each in found] == best
        np.testing.assert_allclose([each.score for each in found], [scores[b] for b in best],
                                   atol=1e-4)  # fmt: skip
        assert all(each.ended for each in found)


def test_greedily_the_most_probable_token_is_taken(network):
    for row, (found,) in enumerate(Writer(network, END, ROOM, Decoding(), "numpy").write(SOURCE)):
        tokens: list[int] = []
        while len(tokens) < ROOM and tokens[-1:] != [END]:
            z = logits(network, row, [END, *tokens])[-1]
            tokens.append(int(z[2:].argmax()) + 2)  # neither padding nor the unknown
        assert [*found.tokens.tolist(), *([END] if found.ended else [])] == tokens
        assert found.log_probability == pytest.approx(log_probability(network, row, tokens), 1e-4)


def test_networks_write_together_by_the_mean_of_their_probabilities():
    models = cr.models.seq2seq_lstm, cr.models.seq2seq_transformer
    both = [build(VOCABULARY, width=16, layers=1).initialize(3) for build in models]
    writer = Writer(Ensemble(both), END, ROOM, Decoding(beam=2), "numpy")
    for row, (found,) in enumerate(writer.write(SOURCE)):
        tokens = [*found.tokens.tolist(), *([END] if found.ended else [])]
        p = []
        for network in both:
            z = logits(network, row, [END, *tokens[:-1]])
            p.append(np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True)))
        mean = np.mean(p, axis=0)[np.arange(len(tokens)), tokens]
        assert found.log_probability == pytest.approx(float(np.log(mean).sum()), abs=1e-4)


def test_a_text_that_does_not_end_is_told_to_be_so(network):
    network.initialize(0)
    writer = Writer(network, END, ROOM, Decoding(beam=2, longest=1, length_penalty=0.0), "numpy")
    for (found,) in writer.write(SOURCE):
        assert len(found.tokens) <= 1
        assert found.ended == (len(found.tokens) == 0)


@pytest.mark.parametrize("wrong", [{"beam": 0}, {"beam": 2, "best": 3}, {"longest": 0}])
def test_impossible_ways_to_find_a_text(wrong):
    with pytest.raises(ConfigError):
        Decoding(**wrong)


class Bigrams(cr.nn.Module):
    """Logits of a token from the one before it: one product in each step."""

    def __init__(self, vocabulary, width):
        random = np.random.default_rng(0)
        self.before = cr.parameter(random.normal(size=(vocabulary, width)).astype(np.float32))
        self.after = cr.parameter(random.normal(size=(width, vocabulary)).astype(np.float32))

    def start(self, inputs, room, beam):
        return {"lengths": cr.tensor(inputs["lengths"])}

    def step(self, previous, state, rows=None):
        return cr.ops.take(self.before, previous) @ self.after, state


def rounded(x):
    """8 significant bits, by the number rather than by its bits."""
    mantissa, exponent = np.frexp(x.numpy().astype(np.float64))
    return np.ldexp(np.round(mantissa * 256), exponent - 8)


@pytest.mark.skipif(not toolchain.candidates(), reason="there is no C compiler")
def test_steps_multiply_rounded_numbers_by_tile_registers_where_there_are_some():
    """The loop of the steps alone has products; their truth is of float64."""
    vocabulary, rows, room = 40, 16, 12
    network = Bigrams(vocabulary, 64)
    logits = rounded(network.before) @ rounded(network.after)
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    plain = (network.before @ network.after).numpy()
    assert np.abs(plain - logits).max() > 1e-2
    first = np.arange(2, 2 + rows)
    for backend in ("numpy", "c"):
        narrow = find_backend(backend, precision="bf16")
        writer = Writer(network, vocabulary - 1, room, Decoding(), narrow)
        tokens, found, _ = writer.several(first, writer.start({"lengths": np.full(rows, 5)}))
        previous = first
        for step, score in zip(tokens, found, strict=True):
            np.testing.assert_array_equal(step, log_p[previous, 2:].argmax(axis=1) + 2)
            np.testing.assert_allclose(score, log_p[previous, step], rtol=1e-5, atol=1e-5)
            previous = step
    assert ("tile_step" in writer._several.source) == toolchain.has_tiles()


def test_attention_weights_add_up_to_one_over_what_is_there():
    network = cr.models.seq2seq_lstm(VOCABULARY, width=16).initialize(0)
    inputs = {**SOURCE, "previous": np.array([[END, 2], [END, 3], [END, 4]])}
    weights = network.alignment({name: cr.tensor(a) for name, a in inputs.items()}).numpy()
    assert weights.shape == (3, 2, 5)
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)
    assert (weights[1, :, 3:] == 0).all()
    assert (weights[2, :, 2:] == 0).all()
