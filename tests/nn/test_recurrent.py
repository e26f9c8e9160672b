"""Recurrent layers beyond the stored references."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors, nn

KINDS = pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])


def reals(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def made(kind: Any, *sizes: Any, **options: Any) -> Any:
    return kind(*sizes, **options).initialize(1).to("float64")


def flat(tree: Any) -> list[Any]:
    return [leaf.numpy() for leaf in cr.engine.pytree.flatten(tree)[0]]


@KINDS
def test_a_layer_is_its_cell_step_by_step(kind):
    """Both ways, value and gradient: the unrolled graph is the independent truth."""
    layer = made(kind, 3, 4, bidirectional=True, layer_norm=True)
    x = cr.tensor(reals(2, 5, 3))

    def unrolled(layer: Any) -> Any:
        outputs = []
        for cell, times in zip(layer.cells[0], (range(5), reversed(range(5))), strict=True):
            state, ys = None, [cr.tensor(0.0)] * 5
            for t in times:
                state = cell(x[:, t], state)
                ys[t] = state[0] if isinstance(state, tuple) else state
            outputs.append(cr.stack(ys, 1))
        return cr.concatenate(outputs, 2)

    def slope(function: Any) -> Any:
        return cr.value_and_grad(lambda m: (function(m) ** 2).sum())(layer)

    found, expected = slope(lambda m: m(x)[0]), slope(unrolled)
    compiled = cr.compile(lambda: slope(lambda m: m(x)[0]), backend="numpy")()
    for one, other, same in zip(flat(found), flat(expected), flat(compiled), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(one, same)


@KINDS
def test_a_row_does_not_see_its_padding(kind):
    """A shorter row in a batch gives what it gives alone, and nothing behind its end."""
    layer = made(kind, 3, 4, num_layers=2, bidirectional=True)
    x = reals(3, 5, 3)
    y, state = layer(x, lengths=[5, 2, 0])
    for row, length in enumerate([5, 2]):
        alone, end = layer(x[row : row + 1, :length])
        np.testing.assert_allclose(y.numpy()[row, :length], alone.numpy()[0], atol=1e-12)
        for part, expected in zip(flat(state), flat(end), strict=True):
            np.testing.assert_allclose(part[:, row], expected[:, 0], atol=1e-12)
    assert not y.numpy()[1, 2:].any()
    assert not y.numpy()[2].any()
    mask = np.arange(5) < np.array([[5], [2], [0]])
    np.testing.assert_array_equal(layer(x, mask=mask)[0].numpy(), y.numpy())
    x[1, 2:] = np.nan
    slope = cr.grad(lambda x: (layer(x, lengths=[5, 2, 0])[0][0] ** 2).sum())(cr.tensor(x))
    assert np.isfinite(slope.numpy()[0]).all()


@KINDS
def test_a_sequence_in_two_parts_is_the_whole(kind):
    layer = made(kind, 3, 4, num_layers=2)
    x = reals(2, 6, 3)
    whole, end = layer(x)
    first, state = layer(x[:, :2])
    second, last = layer(x[:, 2:], state)
    joined = np.concatenate([first.numpy(), second.numpy()], 1)
    np.testing.assert_allclose(joined, whole.numpy(), atol=1e-12)
    for part, expected in zip(flat(last), flat(end), strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-12)


@KINDS
@pytest.mark.parametrize("steps", [0, 1])
def test_sequences_of_no_and_of_one_element(kind, steps):
    layer = made(kind, 3, 4, num_layers=2, bidirectional=True)
    x = cr.tensor(reals(2, steps, 3))
    y, state = layer(x)
    assert y.shape == (2, steps, 8)
    assert all(part.shape == (4, 2, 4) for part in flat(state))
    assert steps or not any(part.any() for part in flat(state))
    gradients = cr.grad(lambda m: sum(p.sum() for p in cr.engine.pytree.flatten(m(x))[0]))(layer)
    assert any(g.any() for g in flat(gradients)) == bool(steps)


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_second_derivatives_of_cells(kind):
    cell = made(kind, 2, 3, layer_norm=True)
    cr.check_grad(lambda x: cell(x), reals(2, 2), order=2)


def test_second_derivatives_of_a_layer():
    layer = made(nn.LSTM, 2, 2)
    cr.check_grad(lambda x: layer(x, lengths=[2, 3])[0], reals(2, 3, 2), order=2)


def test_dropout_is_between_layers_and_only_in_training():
    layer = nn.GRU(3, 4, num_layers=2, dropout=0.5).initialize(0)
    x = cr.tensor(reals(2, 5, 3).astype(np.float32))
    plain, _ = layer(x)
    one, two, again = (layer(x, train=True, key=cr.random.key(k))[0].numpy() for k in (1, 2, 1))
    assert not np.allclose(one, two)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(plain.numpy(), layer(x)[0].numpy())
    single = nn.GRU(3, 4, dropout=0.5).initialize(0)
    np.testing.assert_array_equal(
        single(x)[0].numpy(), single(x, train=True, key=cr.random.key(1))[0].numpy()
    )


def test_truncation_stops_the_gradient_and_not_the_state():
    layer, x = made(nn.LSTM, 2, 3), reals(2, 6, 2)

    def last_part(x: Any, cut: bool) -> Any:
        state = None
        for part in nn.segments(x, 4):
            state = nn.detach_state(state) if cut else state
            y, state = layer(part, state)
        return (y * y).sum()

    found = {
        cut: cr.value_and_grad(lambda x, cut=cut: last_part(x, cut))(cr.tensor(x))
        for cut in (False, True)
    }
    assert found[True][0].item() == found[False][0].item()
    slopes = {cut: slope.numpy() for cut, (_, slope) in found.items()}
    assert not slopes[True][:, :4].any()
    assert slopes[False][:, :4].any()
    np.testing.assert_allclose(slopes[True][:, 4:], slopes[False][:, 4:])


def test_a_recurrent_model_is_saved_for_any_number_of_rows(tmp_path):
    class Last(nn.Module):
        def __init__(self) -> None:
            self.lstm = nn.LSTM(2, 3, bidirectional=True)

        def forward(self, x: Any) -> Any:
            return self.lstm(x)[0][:, -1]

    net = Last().initialize(0)
    cr.save(tmp_path / "net.safetensors", net, np.zeros((2, 4, 2), np.float32))
    x = reals(9, 4, 2).astype(np.float32)
    found = cr.load(tmp_path / "net.safetensors").predict(x)
    np.testing.assert_allclose(found, net(x).numpy(), rtol=1e-5, atol=1e-6)


# ---- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: r(np.ones((2, 5, 4))), ["3 features", "float64[2, 5, 4]", "layer"]),
        (lambda r: r(np.ones((5, 3))), ["(rows, time, 3)", "float64[5, 3]"]),
        (lambda r: r(np.ones((2, 5, 3)), np.ones((1, 3, 4))), ["(1, 2, 4)", "float64[1, 3, 4]"]),
        (lambda r: r(np.ones((2, 5, 3)), lengths=[1]), ["int64[2]", "int64[1]"]),
        (lambda r: r(np.ones((2, 5, 3)), mask=np.ones((5, 2), bool)), ["bool[2, 5]", "bool[5, 2]"]),
        (lambda r: r(np.ones((2, 5, 3)), mask=np.ones((2, 5))), ["bool", "float64[2, 5]"]),
        (lambda r: r(np.ones((2, 5, 3)), lengths=[1, 2], mask=np.ones((2, 5))), ["not both"]),
    ],
)
def test_inputs_that_do_not_fit(call, words):
    with pytest.raises(errors.ChainruleError) as caught:
        call(nn.GRU(3, 4).to("float64"))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_options_that_make_no_sense():
    with pytest.raises(errors.ConfigError, match="nonlinearity"):
        nn.RNN(2, 3, nonlinearity="sin")
    with pytest.raises(errors.ConfigError, match="hidden_size"):
        nn.LSTM(2, 0)
    with pytest.raises(errors.ConfigError, match="num_layers"):
        nn.LSTM(2, 3, num_layers=0)


def test_an_input_of_another_element_type_than_the_layer():
    """float64 numbers for a float32 layer: the state keeps the type of the numbers."""
    y, h = nn.GRU(2, 3)(np.ones((2, 4, 2)))
    assert (y.dtype, h.dtype) == (np.float64, np.float64)
    assert nn.GRU(2, 3)(np.ones((2, 4, 2), np.int64))[0].dtype == np.float32
    assert nn.GRU(2, 3).to("float64")(np.ones((2, 4, 2), np.float32))[0].dtype == np.float64
