"""Exported WebAssembly in a browser, and by each compiler that can make it."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError
from chainrule.interop.c import wasm

from ..browser import browser  # noqa: F401

pytestmark = pytest.mark.nightly
f32 = np.float32
_SCRIPT = """
const done = arguments[arguments.length - 1];
import(arguments[0]).then(async ({ load }) => {
  const model = await load();
  const first = model.predict(...arguments[1]);
  const before = model.save();
  const losses = [];
  for (let i = 0; i < 100; i++) losses.push(model.learn(...arguments[2], arguments[3], 0.05));
  const after = model.predict(...arguments[1]);
  model.restore(before);
  done(JSON.stringify({ first, losses, after, again: model.predict(...arguments[1]) }));
}).catch((error) => done(JSON.stringify({ error: String(error) })));
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript", ".wasm": "application/wasm",
    }  # fmt: skip

    def log_message(self, *given):
        pass


@pytest.fixture
def served(tmp_path):
    """The address under which a browser finds the folder: modules need one."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def a_network(folder):
    random = np.random.default_rng(2)
    x = random.normal(size=(4, 3)).astype(f32)
    y = np.array([0, 1, 1, 0])
    model = cr.models.mlp(3, 2, (6,)).initialize(seed=1)
    cr.save(folder / "m.safetensors", model, x, output=cr.softmax, classes=["no", "yes"])
    return model, x, y


def by_hand(model, x, y):
    """A hundred steps in Python: predictions before, losses, predictions after."""
    first = cr.softmax(model(x[:1])).numpy()[0]
    optimizer, losses = cr.optim.Adam(model, 0.05), []
    for _ in range(100):
        loss, gradients = cr.value_and_grad(lambda m: cr.losses.cross_entropy(m(x), y))(model)
        optimizer.update(gradients)
        losses.append(loss.item())
    return first, losses, cr.softmax(model(x[:1])).numpy()[0]


def exported(folder):
    try:
        cr.export_c(folder / "m.safetensors", out=folder, name="net", to="wasm", train=True,
                    optimizer="adam", batch=4)  # fmt: skip
    except ConfigError as error:
        pytest.skip(str(error))  # there is no compiler for WebAssembly


@pytest.mark.parametrize("compiler", ["clang", "ziglang"])
def test_learning_in_a_browser(compiler, browser, served, tmp_path, monkeypatch):  # noqa: F811
    if compiler == "ziglang" and importlib.util.find_spec("ziglang") is None:
        pytest.skip("there is no ziglang")
    every = wasm._compilers()
    own = [c for c in every if ("ziglang" in c[0]) == (compiler == "ziglang")]
    monkeypatch.setattr(wasm, "_compilers", lambda: own)
    model, x, y = a_network(tmp_path)
    exported(tmp_path)
    (tmp_path / "page.html").write_text("<!doctype html><title>net</title>")
    browser.get(f"{served}/page.html")
    said = browser.execute_async_script(
        _SCRIPT, f"{served}/net.mjs", [x[0].tolist()], [x.tolist()], [["no", "yes"][i] for i in y]
    )
    found = json.loads(said)
    first, losses, after = by_hand(model, x, y)
    np.testing.assert_allclose(found["first"]["probabilities"], first, atol=1e-6)
    np.testing.assert_allclose(found["losses"], losses, rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(found["after"]["probabilities"], after, atol=2e-3)
    assert found["again"] == found["first"]
    assert found["first"]["label"] == ["no", "yes"][int(np.argmax(first))]
    assert [e for e in browser.get_log("browser") if "favicon" not in e["message"]] == []
