"""How texts are found: step by step as all at once, and the beam beside every text there is."""

import itertools

import numpy as np
import pytest
from chainrule.sequence_to_text import Decoding

import chainrule as cr
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


def test_attention_weights_add_up_to_one_over_what_is_there():
    network = cr.models.seq2seq_lstm(VOCABULARY, width=16).initialize(0)
    inputs = {**SOURCE, "previous": np.array([[END, 2], [END, 3], [END, 4]])}
    weights = network.alignment({name: cr.tensor(a) for name, a in inputs.items()}).numpy()
    assert weights.shape == (3, 2, 5)
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)
    assert (weights[1, :, 3:] == 0).all()
    assert (weights[2, :, 2:] == 0).all()
