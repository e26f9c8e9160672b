"""Attention, transformers and positions beyond the stored references."""

import copy
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors, nn


def reals(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def test_attention_is_its_formula():
    """Written out with NumPy, query by query."""
    q, k, v = reals(2, 3, 4), reals(2, 5, 4, seed=1), reals(2, 5, 2, seed=2)
    found = cr.scaled_dot_product_attention(q, k, v, causal=True).numpy()
    for row in range(2):
        for n in range(3):
            scores = k[row, : n + 3] @ q[row, n] / 2  # the last of 3 queries is at the last of 5
            weights = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(found[row, n], weights @ v[row, : n + 3], rtol=1e-12)


def test_a_query_that_may_look_nowhere_gets_zeros_and_gives_no_gradient():
    mask = np.array([[True, False], [False, False]])

    def run(q: Any, k: Any) -> Any:
        return cr.scaled_dot_product_attention(q, k, cr.tensor(reals(2, 3)), mask)

    q, k = reals(2, 4), reals(2, 4, seed=1)
    assert not run(q, k).numpy()[1].any()
    gq, gk = cr.grad(lambda q, k: run(q, k).sum(), argnums=(0, 1))(q, k)
    assert np.isfinite(gq.numpy()).all()
    assert not gq.numpy()[1].any()
    assert not gk.numpy()[1].any()


def test_huge_scores_do_not_overflow():
    y = cr.scaled_dot_product_attention(
        np.full((1, 2), 1e20, np.float32), *[np.eye(2, dtype="f")] * 2
    )
    assert np.isfinite(y.numpy()).all()


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_cache_gives_what_the_whole_sequence_gives(rotary, compiled):
    """Three positions at once, then one by one; compiled, one program makes all steps."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, rotary=rotary)
    encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8)).initialize(0).to("float64")
    x = reals(2, 7, 8)
    whole = encoder(x, causal=True).numpy()
    step = cr.compile(encoder.forward, backend="numpy") if compiled else encoder
    cache = encoder.cache(2, 9, "float64")
    parts = []
    for start, stop in [(0, 3), (3, 4), (4, 5), (5, 6), (6, 7)]:
        y, cache = step(cr.tensor(x[:, start:stop]), cache=cache)
        parts.append(y.numpy())
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-12)
    assert cache[1]["position"].item() == 7
    assert cache[0]["keys"].shape == (2, 2, 9, 4)


def test_a_full_cache():
    attention = nn.MultiHeadAttention(4, 2)
    _, cache = attention(cr.ones((1, 3, 4)), cache=attention.cache(1, 4))
    with pytest.raises(errors.OutOfRangeError, match="found: 3"):
        attention(cr.ones((1, 2, 4)), cache=cache)
    with pytest.raises(errors.ShapeError, match="cache"):
        attention(cr.ones((2, 1, 4)), cache=cache)


def test_distances_are_all_that_rotary_positions_tell():
    turn = nn.RotaryPositions(6)
    q, k = reals(1, 6), reals(1, 6, seed=1)
    products = [
        (turn(q, first).numpy() @ turn(k, first + 3).numpy().T).item() for first in (0, 5, 100)
    ]
    np.testing.assert_allclose(products, products[0], rtol=1e-9)
    lengths = np.linalg.norm(turn(reals(9, 6)).numpy(), axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(reals(9, 6), axis=1), rtol=1e-12)


def test_sinusoidal_positions_are_those_of_the_paper():
    found = nn.SinusoidalPositions(6)(cr.zeros((4, 6), "float64")).numpy()
    for t in range(4):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            np.testing.assert_allclose(found[t, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)])


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "rotary"])
def test_positions_may_start_anywhere(kind):
    """The first position known, as a tensor, and inside of a trace."""
    layer: Any = {
        "sinusoidal": nn.SinusoidalPositions(4),
        "learned": nn.LearnedPositions(9, 4),
        "rotary": nn.RotaryPositions(4),
    }[kind]
    x = cr.tensor(reals(2, 8, 4))
    whole = layer(x).numpy()[:, 3:6]
    compiled = cr.compile(lambda x, first: layer(x, first), backend="numpy")
    for found in (layer(x[:, 3:6], 3), compiled(x[:, 3:6], cr.tensor(3))):
        np.testing.assert_allclose(found.numpy(), whole, rtol=1e-12)


def test_dropout_of_the_weights():
    attention = nn.MultiHeadAttention(4, 2, dropout=0.5).initialize(0)
    x = cr.tensor(reals(2, 5, 4).astype(np.float32))
    one, two = (attention(x, train=True, key=cr.random.key(k)).numpy() for k in (1, 2))
    assert not np.allclose(one, two)
    np.testing.assert_array_equal(attention(x).numpy(), attention(x).numpy())


def test_a_decoder_learns_through_its_memory():
    layer = nn.TransformerDecoderLayer(4, 2, 8, dropout=0.0, activation="gelu")
    decoder = nn.TransformerDecoder(layer, 2, nn.LayerNorm(4)).initialize(0).to("float64")
    mask = np.array([True, True, False])

    def run(x: Any, memory: Any) -> Any:
        return decoder(x, memory, memory_mask=mask)

    x, memory = reals(1, 2, 4), reals(1, 3, 4, seed=1)
    cr.check_grad(run, x, memory)
    slope = cr.grad(lambda m: (run(x, m) * reals(1, 2, 4, seed=2)).sum())(cr.tensor(memory)).numpy()
    assert slope[0, :2].any()
    assert not slope[0, 2].any()
    later = x.copy()
    later[0, 1] += 1.0
    np.testing.assert_array_equal(run(x, memory).numpy()[0, 0], run(later, memory).numpy()[0, 0])


def test_second_derivatives():
    attention = nn.MultiHeadAttention(4, 2, rotary=True).initialize(0).to("float64")
    cr.check_grad(lambda x: attention(x, causal=True), reals(1, 3, 4), order=2)


def test_the_layers_of_a_stack_differ():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 3)
    first, second, third = (p.linear1.weight.numpy() for p in encoder.layers)  # type: ignore[attr-defined]
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)


def test_a_weight_that_two_layers_share_gets_both_gradients():
    """Embedding and output, one transposed: as language models tie them."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            self.tokens = nn.Embedding(5, 3)
            self.again = nn.Embedding(5, 3)
            self.again.weight = self.tokens.weight

        def forward(self, numbers: Any) -> Any:
            return self.tokens(numbers) @ self.again.weight.T

    net = Tied().initialize(0).to("float64")
    assert list(net.parameters()) == ["tokens.weight"]
    numbers = np.array([0, 3, 3])
    cr.check_grad(lambda net: net(numbers), net)
    apart = copy.deepcopy(net)
    apart.again.weight = cr.parameter(apart.tokens.weight.numpy())
    both = cr.grad(lambda net: (net(numbers) ** 2).sum())(apart)
    tied = cr.grad(lambda net: (net(numbers) ** 2).sum())(net)["tokens.weight"]
    np.testing.assert_allclose(tied.numpy(), sum(g.numpy() for g in both.values()), rtol=1e-12)
    assert copy.deepcopy(net).again.weight is not net.tokens.weight


@pytest.mark.parametrize("steps", [0, 1])
def test_sequences_of_no_and_of_one_element(steps):
    layer = nn.TransformerEncoderLayer(4, 2, 8)
    assert layer(cr.ones((2, steps, 4)), causal=True).shape == (2, steps, 4)
    gradients = cr.grad(lambda m: m(cr.ones((2, steps, 4))).sum())(layer)
    assert all(np.isfinite(g.numpy()).all() for g in gradients.values())


# ---- what goes wrong -------------------------------------------------------------------------


def test_heads_that_do_not_divide_the_width():
    with pytest.raises(errors.ConfigError) as caught:
        nn.MultiHeadAttention(10, 3)
    assert "embed_dim = 10" in str(caught.value)
    assert "num_heads = 3" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a, x: a(x, mask=np.ones((3, 3), bool)), ["(2, 2, 5, 5)", "bool[3, 3]", "layer"]),
        (lambda a, x: a(x, mask=np.ones((2, 1, 1, 1, 5), bool)), ["(2, 2, 5, 5)"]),
        (lambda a, x: a(x, mask=np.ones((5, 5), np.int64)), ["bool or floating", "int64[5, 5]"]),
        (lambda a, x: a(x[:, :, :3]), ["4 features", "float32[2, 5, 3]"]),
        (lambda a, x: a(x[0]), ["(rows, time, 4)", "float32[5, 4]"]),
        (lambda a, x: a(x, x, x[:, :3]), ["one value for every key"]),
        (lambda a, x: a(x, mask=np.ones(5, bool), cache=a.cache(2, 9)), ["no mask"]),
    ],
)
def test_inputs_that_do_not_fit(call, words):
    with pytest.raises(errors.ChainruleError) as caught:
        call(nn.MultiHeadAttention(4, 2), cr.ones((2, 5, 4)))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_options_that_make_no_sense():
    with pytest.raises(errors.ConfigError, match="even number"):
        nn.RotaryPositions(3)
    with pytest.raises(errors.ConfigError, match="activation"):
        nn.TransformerEncoderLayer(4, 2, activation="what")
    with pytest.raises(errors.ShapeError, match="at most 3"):
        nn.LearnedPositions(3, 2)(cr.ones((4, 2)))
    with pytest.raises(errors.OutOfRangeError, match="the first from 0 to 1"):
        nn.LearnedPositions(3, 2)(cr.ones((2, 2)), 2)
