"""A training that was interrupted goes on to the same bits."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule.training import Arrays, Checkpoints, Stream
from chainrule.training import resume as resume_module
from chainrule.training.checkpoints import Snapshot, read
from chainrule.utils.signals import Terminated


class InterruptAt(cr.Callback):
    """Presses Ctrl-C when so many steps are done."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_step_end(self, trainer, step, loss):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def rows(n=70, seed=1):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4)).astype(np.float32)
    return x, np.tanh(x @ np.ones((4, 1), np.float32)) + 0.1


def dense():
    return cr.nn.Sequential(
        cr.nn.Linear(4, 8), cr.nn.Tanh(), cr.nn.Dropout(0.3), cr.nn.Linear(8, 1)
    )


def normalised():
    layers = cr.nn.Linear(4, 8), cr.nn.BatchNorm(8), cr.nn.ReLU(), cr.nn.Linear(8, 1)
    return cr.nn.Sequential(*layers)


class Recurrent(cr.nn.Module):
    def __init__(self):
        self.cells = cr.nn.LSTM(1, 6)
        self.head = cr.nn.Linear(6, 1)

    def __call__(self, x, *, train=False, key=None):
        hidden, _ = self.cells(cr.reshape(x, (x.shape[0], 4, 1)))
        return self.head(hidden[:, -1])


OPTIMIZERS = {
    "sgd": lambda model: cr.optim.SGD(model, lr=0.05, momentum=0.9),
    "adam": lambda model: cr.optim.Adam(model, lr=cr.optim.CosineAnnealingLR(0.01, 60)),
    "plateau": lambda model: cr.optim.AdamW(model, lr=cr.optim.ReduceLROnPlateau(0.01, patience=1)),
}


def fitted(folder, model, optimizer, data, *, stop=0, resume=False, **more):
    network = model().initialize(seed=3)
    x, y = rows(24, seed=2)
    options = {"epochs": 7, "batch_size": 16, "validation": (x, y), "patience": 5} | more
    average = options.pop("average", None)
    callbacks = [InterruptAt(stop)] if stop else []
    trainer = cr.Trainer(
        network, "mse", OPTIMIZERS[optimizer](network), callbacks=callbacks,
        average=average, backend="numpy", progress=False, seed=5,
    )  # fmt: skip
    trainer.fit(data, checkpoints=folder, resume=resume, **options)
    return network, trainer


def same(one, other):
    state, expected = one[0].state(), other[0].state()
    assert state.keys() == expected.keys()
    for path, array in expected.items():
        assert np.array_equal(state[path], array), path
    without = [[{k: v for k, v in record.items() if k not in ("seconds", "waited")}
                for record in trainer.history] for _, trainer in (one, other)]  # fmt: skip
    assert without[0] == without[1]
    assert one[1].history.best["epoch"] == other[1].history.best["epoch"]
    ours, theirs = one[1].state(), other[1].state()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(
    ("model", "optimizer", "more"),
    [
        (dense, "adam", {}),
        (dense, "plateau", {"average": 0.9, "batch_size": 9}),
        (normalised, "sgd", {"batch_size": 23}),
        (normalised, "adam", {"accumulate": 2, "batch_size": 10}),
        (Recurrent, "adam", {"shuffle": False}),
        (dense, "sgd", {"batch_size": None, "validate_every": 2}),
        (dense, "adam", {"stream": True}),
        (dense, "adam", {"stream": True, "accumulate": 3, "batch_size": 9}),
    ],
)
@pytest.mark.parametrize("stops", [(1, 1), (3,), (9, 14), (20, 5)])
def test_the_bits_are_those_of_an_uninterrupted_training(tmp_path, model, optimizer, more, stops):
    x, y = rows()
    more = dict(more)
    data = Stream(lambda r, epoch: (x[r] + epoch, y[r]), y) if more.pop("stream", 0) else (x, y)
    whole = fitted(tmp_path / "whole", model, optimizer, data, **more)
    for stop in stops:
        _, trainer = fitted(tmp_path / "a", model, optimizer, data, stop=stop, resume=True, **more)
    if trainer.epoch < 7:
        assert trainer.stop_reason == "interrupted"
    same(fitted(tmp_path / "a", model, optimizer, data, resume=True, **more), whole)
    # It is done: nothing is trained again.
    again = fitted(tmp_path / "a", model, optimizer, data, stop=1, resume=True, **more)
    assert again[1].stop_reason == whole[1].stop_reason
    same(again, whole)


def test_what_has_changed_is_named_and_refused_unless_allowed(tmp_path):
    data = rows()
    fitted(tmp_path, dense, "sgd", data, stop=6)
    with pytest.raises(cr.errors.ConfigError, match="resume=True, or name another folder"):
        fitted(tmp_path, dense, "sgd", data)
    with pytest.raises(cr.errors.ConfigError) as error:
        fitted(tmp_path, dense, "sgd", data, resume=True, batch_size=8, epochs=9)
    assert error.value.expected == "options.batch_size 16; options.epochs 7"
    assert error.value.found == "options.batch_size 8; options.epochs 9"
    with pytest.raises(cr.errors.ConfigError, match=r"options\.optimizer"):
        fitted(tmp_path, dense, "adam", data, resume=True)
    data[0][3, 2] += 1e-3
    with pytest.raises(cr.errors.ConfigError, match=r"data\.training"):
        fitted(tmp_path, dense, "sgd", data, resume=True)
    allowed = Checkpoints(tmp_path, resume=True, allow_changes=True)
    _, trainer = fitted(allowed, dense, "sgd", data, epochs=9)
    assert trainer.epoch == 9
    with pytest.raises(cr.errors.ConfigError, match="Name the folder"):
        fitted(None, dense, "sgd", data, resume=True)


def test_the_newest_one_that_is_whole_counts(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    assert checkpoints.newest() is None
    for step in (5, 10, 15, 20):
        checkpoints.write(Snapshot(step, {"w": np.arange(step)}, {"step": step}))
    names = sorted(place.name for place in tmp_path.iterdir())
    assert names == ["step-000000000010", "step-000000000015", "step-000000000020"]
    (tmp_path / names[2] / "manifest.json").write_text('{"format": "chainrule.check')
    state = tmp_path / names[1] / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-3] ^= 1
    state.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="damaged") as said:
        found = checkpoints.newest()
    assert found.facts == {"step": 10}
    assert np.array_equal(found.arrays["w"], np.arange(10))
    assert len(said) == 2
    (tmp_path / names[0] / "state.safetensors").unlink()
    with pytest.raises(cr.errors.ModelFileError, match="damaged"):
        checkpoints.newest()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"format": "chainrule.checkpoint", "version": 2}', b"\xff\xfe",
     b"[" * 100_000, b'{"format": "chainrule.checkpoint", "version": 1, "step": "x"}',
     b'{"format": "chainrule.checkpoint", "version": 1, "step": 1, "facts": {}, "files": 3}'],
)  # fmt: skip
def test_no_manifest_is_trusted(tmp_path, content):
    Checkpoints(tmp_path).write(Snapshot(1, {"w": np.ones(3)}))
    place = tmp_path / "step-000000000001"
    (place / "manifest.json").write_bytes(content)
    with pytest.raises(cr.errors.ModelFileError):
        read(place)


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"step": "1"}, "other types"), ({"facts": []}, "other types"), ({"format": "x"}, "version"),
     ({"version": 2}, "version"), ({"files": {}}, "damaged"),
     ({"files": {"state.safetensors": {"bytes": 1, "sha256": ""}}}, "another size")],
)  # fmt: skip
def test_one_field_that_is_wrong_is_enough(tmp_path, changed, words):
    Checkpoints(tmp_path).write(Snapshot(1, {"w": np.ones(3)}))
    path = tmp_path / "step-000000000001" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | changed))
    with pytest.raises(cr.errors.ModelFileError, match=words):
        read(path.parent)
    manifest["files"]["state.safetensors"]["sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    with pytest.raises(cr.errors.ModelFileError, match="another SHA-256"):
        read(path.parent)


def test_a_checkpoint_that_cannot_be_written_is_said_and_the_training_goes_on(
    tmp_path, monkeypatch
):
    def full(folder, snapshot):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("chainrule.training.checkpoints._write", full)
    with pytest.warns(RuntimeWarning, match="the training goes on") as said:
        _, trainer = fitted(Checkpoints(tmp_path / "a", every=0), dense, "sgd", rows(), epochs=2)
    assert "No space left" in str(said[0].message)
    assert trainer.epoch == 2
    assert list((tmp_path / "a").iterdir()) == []


def test_a_file_is_no_folder_of_checkpoints(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(cr.errors.ConfigError, match="not a folder"):
        fitted(tmp_path / "file", dense, "sgd", rows())


def test_fingerprints_know_values_types_and_shapes():
    x, y = rows(8)
    known = Arrays({"a": x, "b": y}, y).fingerprint()
    assert known == Arrays({"a": x.copy(order="F"), "b": y}, y).fingerprint()
    others = [Arrays({"a": x, "c": y}, y), Arrays({"a": x.astype(float), "b": y}, y),
              Arrays({"a": x, "b": y}), Arrays({"a": x, "b": y[:, 0]}, y),
              Arrays({"a": -x, "b": y}, y)]  # fmt: skip
    assert known not in [other.fingerprint() for other in others]


PROGRAM = """
    import sys, numpy as np, chainrule as cr
    from chainrule.training import Checkpoints
    x = np.linspace(-1, 1, 4000, dtype=np.float32).reshape(-1, 4)
    model = cr.nn.Linear(4, 1).initialize(seed=0)
    class Tell(cr.Callback):
        def on_epoch_end(self, trainer, record):
            print(record["epoch"], flush=True)
    checkpoints = Checkpoints(sys.argv[1], every=float(sys.argv[2]), resume=True)
    trainer = cr.Trainer(model, "mse", "adam", callbacks=[Tell()], progress=False, backend="numpy")
    trainer.fit((x, x[:, :1]), epochs=int(sys.argv[3]), batch_size=50, checkpoints=checkpoints)
    print("over", trainer.stop_reason, flush=True)
"""


def process(folder, every, epochs):
    program = textwrap.dedent(PROGRAM)
    arguments = [sys.executable, "-c", program, str(folder), str(every), str(epochs)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def after(running, epochs):
    """Wait until so many epochs are done."""
    for line in running.stdout:
        if int(line) >= epochs:
            return
    raise AssertionError(running.stderr.read())


class SignalAt(InterruptAt):
    """Sends itself signals when so many steps are done."""

    def __init__(self, steps, numbers):
        super().__init__(steps)
        self.numbers = numbers

    def on_step_end(self, trainer, step, loss):
        self.left -= 1
        if self.left == 0:
            for number in self.numbers:
                signal.raise_signal(number)


@pytest.mark.parametrize(
    ("numbers", "code"),
    [([signal.SIGINT], None), ([signal.SIGINT] * 2, 130), ([signal.SIGTERM], 143)],
)
@pytest.mark.parametrize("is_large", [False, True])
def test_a_signal_waits_for_the_end_of_its_step(tmp_path, monkeypatch, numbers, code, is_large):
    """What is too large to be written at once is not, if the process is to end."""

    def end(number, frame):
        raise Terminated(number)

    monkeypatch.setattr(resume_module, "_AT_ONCE", 10 if is_large else 10**8)
    before = signal.signal(signal.SIGTERM, end)
    try:
        x, y = rows()
        whole = fitted(tmp_path / "whole", dense, "adam", (x, y))
        network = dense().initialize(seed=3)
        trainer = cr.Trainer(
            network, "mse", OPTIMIZERS["adam"](network), callbacks=[SignalAt(7, numbers)],
            backend="numpy", progress=False, seed=5,
        )  # fmt: skip
        held = rows(24, seed=2)
        options = {"epochs": 7, "batch_size": 16, "validation": held, "patience": 5}
        folder = Checkpoints(tmp_path / "a", every=1000)
        if code is None:
            trainer.fit((x, y), checkpoints=folder, **options)
            assert trainer.stop_reason == "interrupted"
        else:
            with pytest.raises(SystemExit) as ended:
                trainer.fit((x, y), checkpoints=folder, **options)
            assert ended.value.code == code
        assert signal.getsignal(signal.SIGTERM) is end
        found = Checkpoints(tmp_path / "a").newest()
        if is_large and code is not None:
            assert found is None
        else:
            assert 7 <= found.step <= 10  # an epoch has 5
            same(fitted(tmp_path / "a", dense, "adam", (x, y), resume=True), whole)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_signals_leave_a_checkpoint_from_which_the_training_goes_on(tmp_path, number):
    every = 0 if number == signal.SIGKILL else 1000
    with process(tmp_path, every, 100_000) as running:
        after(running, 400 if number == signal.SIGKILL else 3)
        running.send_signal(number)
        out, errors = running.communicate(timeout=20)
    if number == signal.SIGINT:  # one Ctrl-C: as without checkpoints
        assert running.returncode == 0
        assert out.endswith("over interrupted\n")
    else:
        assert running.returncode == -number
    assert errors == ""
    found = Checkpoints(tmp_path).newest()
    done = len(found.facts["history"])
    assert done >= (1 if number == signal.SIGKILL else 3)
    manifest = next(tmp_path.glob("step-*/manifest.json"))
    content = json.loads(manifest.read_text())
    assert content["facts"]["identity"]["options"]["epochs"] == 100_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with process(tmp_path, 1000, 100_000) as running:
            after(running, done + 1)
            running.send_signal(signal.SIGINT)
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=20)
    assert running.returncode in (0, 130)
    assert os.path.isdir(tmp_path)


@pytest.mark.parametrize("received", [None, signal.SIGTERM])
@pytest.mark.parametrize("due", [False, True])
def test_the_first_of_several_processes_says_when_a_checkpoint_is_due(
    monkeypatch, tmp_path, received, due
):
    """Each sends one number; a signal that any of them got counts in all of them."""
    sent = []

    def gathered(number):
        sent.append(number)
        return [number, 2 * signal.SIGTERM if received is None else 1]

    keeper = resume_module.Keeper(Checkpoints(tmp_path), {})
    monkeypatch.setattr(type(keeper.checkpoints), "due", due)
    monkeypatch.setattr(resume_module, "process_count", lambda: 2)
    monkeypatch.setattr(resume_module, "gathered", gathered)
    if received is not None:
        keeper._signals.received.append(received)
    assert keeper._agree() is due
    assert sent == [2 * (received or 0) + due]
    assert keeper._signals.received == [signal.SIGTERM]
