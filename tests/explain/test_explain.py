"""`cr.explain`: every kind of model and data, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, ConfigError, DataError, DerivativeError, ModelFileError
from chainrule.explain.checker import check
from chainrule.explain.demos import demo
from chainrule.explain.files import explain_rows
from chainrule.explain.text import to_text

RNG = np.random.default_rng(0)
CLASSES = np.array([0, 2])


def floats(*shape):
    return RNG.normal(size=shape).astype("f")


def words(*shape):
    return RNG.integers(0, 11, shape)


X = np.abs(floats(2, 12)) % 1
MODELS = {
    "mlp": (lambda m: m.mlp(3, 3, [4]), floats(2, 3), CLASSES, "cross_entropy"),
    "lenet": (lambda m: m.lenet(), floats(1, 28, 28, 1), CLASSES[:1], "cross_entropy"),
    "resnet": (lambda m: m.resnet(), floats(2, 8, 8, 3), CLASSES, "cross_entropy"),
    "mobilenet": (lambda m: m.mobilenet(), floats(2, 8, 8, 3), CLASSES, "cross_entropy"),
    "lstm": (lambda m: m.lstm(3, features=2, hidden=4, bidirectional=True, layers=2),
             floats(2, 5, 2), CLASSES, "cross_entropy"),
    "gru": (lambda m: m.gru(3, vocabulary=11, hidden=4), words(2, 6), CLASSES, "cross_entropy"),
    "tcn": (lambda m: m.tcn(3, features=2), floats(2, 8, 2), CLASSES, "cross_entropy"),
    "transformer": (
        lambda m: m.transformer_classifier(3, vocabulary=11, width=8, heads=2, layers=1),
        words(2, 5), CLASSES, "cross_entropy",
    ),
    "gpt": (lambda m: m.gpt(11, context=6, width=8, heads=2, layers=1), words(2, 5), words(2, 5),
            "cross_entropy"),
    "autoencoder": (lambda m: m.autoencoder(12, 2, [6]), X, X, "mse"),
    "vae": (lambda m: m.vae(12, 2, [6]), X, X, cr.models.vae_loss),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_every_ready_model_is_explained(name):
    make, x, y, loss = MODELS[name]
    model = make(cr.models).initialize(0)
    told = cr.explain(model, x, y, loss=loss, optimizer="adam")

    def error(model):
        draw = cr.random.fold_in(cr.random.key(0), 0)
        function = cr.losses.LOSSES[loss] if isinstance(loss, str) else loss
        return function(model(x, train=True, key=draw), y)

    value, gradients = cr.value_and_grad(error)(model)
    assert told.loss == pytest.approx(value.item(), rel=1e-6)
    norm = np.sqrt(sum(float((g.numpy().astype(float) ** 2).sum()) for g in gradients.values()))
    assert told.update.gradient_norm == pytest.approx(norm, rel=1e-5)
    assert {p.path for p in told.update.parameters} == set(gradients)
    wrong = [one for one in check(to_text(told), slack=3e-6) if not one.holds]
    assert not wrong, wrong[:2]
    told.to_json()


def test_a_gan_is_explained_from_the_side_of_its_generator():
    model = cr.models.gan(3, code=2, hidden=(4,)).initialize(0)

    def fooled(z):
        score = model.discriminator(model.generator(z))
        return cr.losses.binary_cross_entropy(score, cr.ones((2, 1)))

    told = cr.explain(fooled, floats(2, 2), optimizer=cr.optim.Adam(model.generator))
    assert all(p.path.startswith("model.generator") for p in told.update.parameters)


def test_loops_are_told_step_by_step():
    told = cr.explain(
        cr.models.gru(3, features=2, hidden=2).initialize(0), floats(1, 4, 2), CLASSES[:1],
        loss="cross_entropy",
    )  # fmt: skip
    assert {node.step for node in told.nodes} >= {0, 1, 2, 3}
    assert {"z2_t0", "z2_t3"} <= {node.symbol for node in told.nodes}


def test_pictures_are_told_as_what_they_are():
    kinds = {(node.view or {}).get("kind") for node in demo("cnn").nodes}
    assert {"convolution", "pooling"} <= kinds
    make, x, y, loss = MODELS["transformer"]
    seen = [
        n.view for n in cr.explain(make(cr.models).initialize(0), x, y, loss=loss).nodes if n.view
    ]
    assert {"kind": "attention", "queries": 5, "keys": 5} in seen


def test_functions_learn_the_parameters_that_they_read():
    w, fixed = cr.parameter([1.0, 2.0], "float64"), cr.Buffer([3.0, 4.0])

    def loss(x):
        y = w * x + fixed
        return (y * y).sum()

    told = cr.explain(loss, [1.0, -1.0], weight="w[1]")
    assert [p.path for p in told.update.parameters] == ["w"]
    assert {node.symbol: node.role for node in told.nodes}["fixed"] == "buffer"
    assert told.chains[0].gradient.value == pytest.approx(2 * (4.0 - 2.0) * -1)


def test_frozen_parameters_stay_and_unused_ones_get_nothing():
    model = cr.nn.Sequential(cr.nn.Linear(2, 2), cr.nn.Linear(2, 1)).initialize(0)
    model.freeze("layers.0")
    told = cr.explain(model, floats(3, 2), floats(3, 1), loss="mse")
    assert {p.path for p in told.update.parameters} == {"layers.1.weight", "layers.1.bias"}

    class Spare(cr.nn.Module):
        def __init__(self):
            self.used, self.spare = cr.parameter([1.0]), cr.parameter([2.0])

        def forward(self, x):
            return x * self.used

    told = cr.explain(Spare(), floats(1, 1), floats(1, 1), loss="mse", weight="spare[0]")
    spare = next(p for p in told.update.parameters if p.path == "spare")
    assert spare.gradient.norm == 0
    assert "its gradient is 0" in to_text(told)


@pytest.mark.parametrize("name", ["nadam", "radam", "adamax", "lion", "adadelta", "adagrad"])
def test_other_optimizers_are_told_from_their_graph(name):
    model = cr.nn.Linear(2, 1).to("float64").initialize(0)
    told = cr.explain(model, [[1.0, 2.0]], [[0.5]], loss="mse", optimizer=name)
    update = told.update.parameters[0]
    assert update.after
    assert update.equations
    assert not [one for one in check(to_text(told)) if not one.holds]


def test_schedules_penalties_and_clipping_are_told():
    model = cr.nn.Linear(2, 1).to("float64").initialize(0)
    schedule = cr.optim.schedules.StepLR(0.5, step_size=1, gamma=0.5)
    optimizer = cr.optim.SGD(model, lr=schedule, clip_norm=0.1, l2=0.01, weight_decay=0.02)
    optimizer.update({"weight": np.zeros((2, 1)), "bias": np.zeros(1)})
    told = cr.explain(model, [[1.0, 2.0]], [[5.0]], loss="mse", optimizer=optimizer)
    assert (told.update.step, told.update.rate, told.update.schedule) == (2, 0.25, "StepLR")
    assert told.update.clip_factor == pytest.approx(0.1 / told.update.gradient_norm, rel=1e-4)
    text = to_text(told)
    assert "clipping multiplies them by" in text
    assert not [one for one in check(text) if not one.holds]


def test_the_first_bad_number_is_named_forward_and_backward():
    class Net(cr.nn.Module):
        def __init__(self):
            self.inner, self.outer = cr.nn.Linear(2, 3), Root()

        def forward(self, x):
            return self.outer(self.inner(x))

    class Root(cr.nn.Module):
        def forward(self, x):
            return cr.sqrt(x * x)

    model = Net().initialize(0)
    backward = cr.explain(model, np.zeros((1, 2), "f"), np.zeros((1, 3), "f"), loss="mse")
    assert "made the first infinity in the backward pass of layer outer" in backward.bad[0] or (
        "made the first NaN in the backward pass of layer outer" in backward.bad[0]
    )
    assert "test_explain.py:" in backward.bad[0]
    forward = cr.explain(model, np.full((1, 2), 1e30, "f"), np.zeros((1, 3), "f"), loss="mse")
    assert "multiply(" in forward.bad[0]
    assert "layer outer" in forward.bad[0]
    assert to_text(forward).count("!") >= 1
    forward.to_json()


@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_training_names_the_layer_that_made_a_bad_gradient(backend):
    class Root(cr.nn.Module):
        def forward(self, x):
            return cr.sqrt(x * x)

    model = cr.nn.Sequential(cr.nn.Linear(2, 3), Root()).initialize(0)
    trainer = cr.Trainer(model, "mse", "sgd", lr=0.1, progress=False, backend=backend)
    with pytest.raises(cr.errors.TrainingError) as caught:
        trainer.fit((np.zeros((4, 2), "f"), np.ones((4, 3), "f")), epochs=1)
    assert "backward pass of layer layers.1" in str(caught.value)
    assert "test_explain.py:" in str(caught.value)


# ---- what is refused -----------------------------------------------------------------------------


def line():
    return cr.nn.Linear(2, 1).initialize(0)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ConfigError, "which loss is it trained with"),
        ({"loss": "msee"}, ConfigError, "Did you mean 'mse'"),
        ({"loss": "mse", "weight": "wieght[0,0]"}, ConfigError, "Did you mean weight"),
        ({"loss": "mse", "weight": "weight[2,0]"}, ConfigError, "no such element"),
        ({"loss": "mse", "weight": "weight[0]"}, ConfigError, "[0,0] to [1,0]"),
        ({"loss": "mse", "weight": "weight[a]"}, ConfigError, "no such weight"),
        ({"loss": "mse", "notation": "newton"}, ConfigError, "leibniz, delta"),
        ({"loss": "mse", "optimizer": "adamm"}, ConfigError, "Did you mean"),
        ({"loss": lambda p, t: p}, DerivativeError, "a loss is a single number"),
    ],
)
def test_options_that_make_no_sense(options, error, words):
    with pytest.raises(error) as caught:
        cr.explain(line(), floats(3, 2), floats(3, 1), **options)
    assert words in str(caught.value)


def test_data_that_do_not_fit():
    model = cr.nn.Linear(2, 3).initialize(0)
    with pytest.raises(DataError, match="out of range") as caught:
        cr.explain(model, floats(2, 2), np.array([0, 3]), loss="cross_entropy")
    assert caught.value.expected == "0 to 2, for there are scores of 3 classes"
    assert caught.value.found == "3 at [1]"
    with pytest.raises(DataError, match="does not fit the target"):
        cr.explain(model, floats(2, 2), np.array([0, -1]), loss="cross_entropy")
    with pytest.raises(ConfigError, match="needs a target"):
        cr.explain(model, floats(2, 2), loss="cross_entropy")
    other = cr.optim.SGD(cr.nn.Linear(2, 3).initialize(0))
    with pytest.raises(ConfigError, match="depends on nothing that the optimizer changes"):
        cr.explain(model, floats(2, 2), CLASSES, loss="cross_entropy", optimizer=other)
    with pytest.raises(ConfigError, match="cannot be explained"):
        cr.explain(3)
    with pytest.raises(DataError, match="not numbers"):
        cr.explain(line(), [["a", "b"]], [[1.0]], loss="mse")
    with pytest.raises(DataError, match="no examples"):
        cr.explain(line(), floats(0, 2), floats(0, 1), loss="mse")
    with pytest.raises(ChainruleError):
        cr.explain(line(), floats(2, 5), floats(2, 1), loss="mse")
    with pytest.raises(ConfigError, match="nothing to learn"):
        cr.explain(lambda x: (x * x).sum(), [1.0])


# ---- rows of a table -----------------------------------------------------------------------------


def table(rows=60):
    generator = np.random.default_rng(3)
    size = generator.uniform(20, 200, rows)
    city = generator.choice(["Oslo", "Rome"], rows)
    price = 1000 * size * np.where(city == "Oslo", 2.0, 1.0)
    return {"size": size.round(1), "city": city, "price": price.round(), "warm": city == "Rome"}


@pytest.fixture(scope="module")
def priced(tmp_path_factory):
    path = tmp_path_factory.mktemp("explain") / "model.safetensors"
    options = cr.tables.TableOptions(
        target="price", epochs=2, hidden=(4,), members=2, backend="numpy"
    )
    cr.tables.train_table(table(), options, progress=False).save(path)
    return path


@pytest.mark.parametrize("target", ["price", "city"])
def test_rows_of_a_table_start_with_their_raw_cells(target, tmp_path):
    options = cr.tables.TableOptions(
        target=target, epochs=2, hidden=(4,), members=2, backend="numpy"
    )
    path = tmp_path / "model.safetensors"
    cr.tables.train_table(table(), options, progress=False).save(path)
    told = explain_rows(path, table(), [17, 3])
    data = table()
    cells = {cell["column"]: cell for cell in told.rows[0].cells}
    assert cells["size"]["text"] == str(data["size"][17])
    assert told.rows[1].number == 3
    assert told.rows[0].target["text"] == str(data[target][17])
    inputs = [node for node in told.nodes if node.role == "input"]
    assert told.labels["x.numeric"][0] == "size"
    first = next(node for node in inputs if node.symbol == "x.numeric")
    assert np.asarray(first.value.data).reshape(2, -1)[0, 0] == data["size"][17]
    text = to_text(told)
    assert not [one for one in check(text, slack=3e-6) if not one.holds]
    # What the network gives is what the saved model predicts from.
    assert told.update.optimizer == "AdamW"


def test_a_row_is_explained_with_the_loss_of_the_training(priced):
    told = explain_rows(priced, table(), [5])
    saved = cr.load(priced)
    scale = {name: saved.state()[f"scale.{name}"] for name in ("mean", "std")}
    log = saved.record["report"]["network"]["log_target"]
    target = np.log(table()["price"][5]) if log else table()["price"][5]
    expected = (target - scale["mean"]) / scale["std"]
    output = next(node for node in told.nodes if node.role == "output")
    z = np.asarray(output.value.data)
    assert told.loss == pytest.approx(float(((z - expected) ** 2).mean()), rel=1e-4)


def test_a_row_leads_with_the_cells_that_moved_its_prediction(priced):
    """What is said of a cell is what the model predicts of the row without it."""
    told = explain_rows(priced, table(), [5])
    predictor = cr.tasks.load_predictor(priced)
    row = {name: [column[5]] for name, column in table().items() if name != "price"}
    column = predictor.predict(row).columns[-1]
    now = predictor.predict(row)[column][0]
    changes = []
    for cell in told.rows[0].moved:
        without = predictor.predict(row | {cell["column"]: [None]})[column][0]
        assert float(cell["without"]) == pytest.approx(without, rel=1e-4)
        assert float(cell["change"]) == pytest.approx(now - without, rel=1e-2, abs=1e-3 * abs(now))
        changes.append(abs(now - without))
    assert {cell["column"] for cell in told.rows[0].moved} == set(row)
    assert changes == sorted(changes, reverse=True) or len(changes) < 2
    text = to_text(told)
    assert text.index("What moved the prediction") < text.index("Step 1: forward")


@pytest.mark.parametrize("detail", ["brief", "normal", "all"])
def test_how_much_is_written(detail):
    told = demo("lstm")
    text = to_text(told, detail=detail)
    assert all(one.holds for one in check(text))
    lengths = {d: len(to_text(told, detail=d).splitlines()) for d in ("brief", "normal", "all")}
    assert lengths["brief"] < 0.4 * lengths["all"]
    assert lengths["normal"] < 0.8 * lengths["all"]
    assert ("--detail all" in text) == (detail != "all")
    with pytest.raises(ConfigError, match="Unknown detail"):
        to_text(told, detail="most")


def test_rows_that_are_not_there(priced, tmp_path):
    with pytest.raises(DataError, match="no row 60") as caught:
        explain_rows(priced, table(), [60])
    assert caught.value.expected == "from 0 to 59"
    without = {name: column for name, column in table().items() if name != "price"}
    with pytest.raises(DataError, match="needs the target"):
        explain_rows(priced, without, [0])
    with pytest.raises(ConfigError, match="Unknown optimizer"):
        explain_rows(priced, table(), [0], optimizer="addam")
    other = tmp_path / "line.safetensors"
    cr.save(other, line(), floats(1, 2))
    with pytest.raises(ModelFileError):
        explain_rows(other, table(), [0])


# ---- model files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "lenet", "transformer"])
def test_a_model_from_a_file_is_explained_like_the_one_that_was_saved(name, tmp_path):
    make, x, y, loss = MODELS[name]
    model = make(cr.models).initialize(3)
    cr.save(tmp_path / "model.safetensors", model, (x,))
    told = cr.explain(cr.load(tmp_path / "model.safetensors"), x, y, loss=loss)
    direct = cr.explain(model, x, y, loss=loss, train=False)
    assert told.loss == pytest.approx(direct.loss, rel=1e-6)
    expected = {update.path: update.gradient.norm for update in direct.update.parameters}
    found = {update.path: update.gradient.norm for update in told.update.parameters}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-7)
    learned = {layer.path for layer in direct.layers if layer.parameters}
    assert {layer.path for layer in told.layers if layer.parameters} == learned


@pytest.mark.parametrize(
    ("make", "letters"), [(cr.models.lstm, "cfghio"), (cr.models.gru, "hnru")], ids=["lstm", "gru"]
)
def test_the_parts_of_recurrent_cells_have_their_letters(make, letters):
    network = make(1, 2, hidden=2).initialize(seed=0)
    x, y = np.full((1, 3, 2), 0.5, np.float32), np.ones((1, 1), np.float32)
    told = cr.explain(network, x, y, loss="mse", lr=0.1)
    value = {node.symbol: node.value.data for node in told.nodes if node.value is not None}
    assert {f"{letter}_t{step}" for letter in letters for step in range(3)} <= value.keys()
    if "c" in letters:  # c' = f·c + i·g, h' = o·tanh(c')
        kept = value["f_t2"] * value["c_t1"] + value["i_t2"] * value["g_t2"]
        np.testing.assert_allclose(value["c_t2"], kept)
        np.testing.assert_allclose(value["h_t2"], value["o_t2"] * np.tanh(kept))
    else:  # h' = n + u·(h - n)
        moved = value["u_t2"] * (value["h_t1"] - value["n_t2"])
        np.testing.assert_allclose(value["h_t2"], value["n_t2"] + moved)
