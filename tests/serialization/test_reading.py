"""Reading files from anywhere: the right numbers, or a refusal with the reason."""

import base64
import copy
import functools
import hashlib
import io
import json
import os
import pickle
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ModelFileError
from chainrule.serialization import reading
from chainrule.serialization.reading import parse

Arrays = dict[str, np.ndarray[Any, Any]]
DTYPES = {"float32": "F32", "float64": "F64", "int64": "I64", "bool": "BOOL", "float16": "F16"}

# ---- a file, byte by byte, without the help of the library ---------------------------------------

ARRAYS: Arrays = {
    "layer.bias": np.array([0.5, -0.5], np.float32),
    "layer.weight": np.array([[1, 2], [3, 4], [5, 6]], np.float32),
}
ROWS = {"rows": [1, 0]}
DOCUMENT: dict[str, Any] = {
    "format": "chainrule",
    "version": 1,
    "library": "0.1.0",
    "arguments": ["x"],
    "graph": {
        "nodes": [
            {"op": "placeholder", "type": ["float32", [ROWS, 3]], "attributes": {"name": "x"}},
            {"op": "constant", "type": ["float32", [3, 2]], "array": "layer.weight"},
            {"op": "matmul", "type": ["float32", [ROWS, 2]], "inputs": [0, 1],
             "attributes": {"transpose_a": False, "transpose_b": False}},
            {"op": "constant", "type": ["float32", [2]], "array": "layer.bias"},
            {"op": "broadcast_to", "type": ["float32", [ROWS, 2]], "inputs": [3],
             "attributes": {"shape": [ROWS, 2]}},
            {"op": "add", "type": ["float32", [ROWS, 2]], "inputs": [2, 4]},
        ],
        "inputs": [0],
        "outputs": [5],
    },
    "schema": None,
    "classes": None,
    "record": None,
}  # fmt: skip


def signed(document: Any, arrays: Arrays = ARRAYS) -> str:
    """The document as text, with the digest as its last part."""
    text = document if isinstance(document, str) else json.dumps(document)
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.name, list(array.shape)]).encode())
        digest.update(array.tobytes())
    return f'{text[:-1]}, "digest": "{digest.hexdigest()}"}}'


def header_of(arrays: Arrays, text: Any) -> dict[str, Any]:
    header: dict[str, Any] = {} if text is None else {"__metadata__": {"chainrule": text}}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    return header


def file_of(header: dict[str, Any] | bytes, arrays: Arrays = ARRAYS) -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = b"".join(array.tobytes() for array in arrays.values())
    return len(encoded).to_bytes(8, "little") + encoded + data


def build(document: Any = DOCUMENT, arrays: Arrays = ARRAYS) -> bytes:
    return file_of(header_of(arrays, signed(document, arrays)), arrays)


def changed(change: Callable[[Any], Any]) -> bytes:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return build(document)


def refuse(data: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        parse(data)
    assert reason in str(caught.value)


def test_the_description_of_the_format_is_enough_to_write_a_file(tmp_path: Path) -> None:
    path = tmp_path / "any name"
    path.write_bytes(build())
    model = cr.load(path)
    x = np.array([[1, 0, 0], [0, 1, 1]], np.float32)
    np.testing.assert_array_equal(model.predict(x), [[1.5, 1.5], [8.5, 9.5]])
    assert model.state().keys() == ARRAYS.keys()


# ---- version 1 must be readable for ever ---------------------------------------------------------


def test_version_1() -> None:
    """A file of 2026, with an embedding, a one-hot column, two layers and all that goes with it."""
    text = (Path(__file__).parent / "version_1.base64").read_text(encoding="ascii")
    model = parse(base64.b64decode(text))
    table = {"numbers": [[0.5, -1.0], [2.0, 0.25]], "colour": [2, 0], "size": [1, 3]}
    expected = [[0.76224706, 0.23775294], [0.65743397, 0.34256603]]  # by hand, in float64
    np.testing.assert_allclose(model.predict(table), expected, rtol=1e-5)
    assert model.version == "0.1.0"
    assert model.classes == ["no", "yes"]
    assert model.schema == {"columns": ["numbers", "colour", "size"]}
    assert model.record["loss"][:2] == [0.7, 0.5]
    assert np.isnan(model.record["loss"][2])
    shapes = {name: array.shape for name, array in model.state().items()}
    assert shapes == {"colours": (3, 2), "first": (8, 3), "bias": (3,), "second": (3, 2)}


def test_arrays_have_the_same_order_in_every_process() -> None:
    """What lists the weights of a saved model, as explanations do, says the same each time."""
    arrays = {f"layers.{i}": np.full(1, i, np.float32) for i in range(40)}
    data = safetensors.numpy.save(arrays)
    assert list(reading._arrays(data, {})) == sorted(arrays)


# ---- damage --------------------------------------------------------------------------------------

GOOD = build()
X = np.array([[0.3, -2.0, 1.0]], np.float32)
EXPECTED = parse(GOOD).predict(X)


def is_refused_or_right(data: bytes) -> None:
    try:
        model = parse(data)
    except ModelFileError:
        return
    np.testing.assert_array_equal(model.predict(X), EXPECTED)


@given(end=st.integers(0, len(GOOD) - 1))
@settings(deadline=None)
def test_truncated_files_are_refused(end: int) -> None:
    with pytest.raises(ModelFileError):
        parse(GOOD[:end])


@given(position=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
@settings(max_examples=400, deadline=None)
def test_a_flipped_bit_is_found(position: int, bit: int) -> None:
    data = bytearray(GOOD)
    data[position] ^= 1 << bit
    with pytest.raises(ModelFileError):
        parse(bytes(data))


@given(
    changes=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1),
    cut=st.integers(0, 20),
    more=st.binary(max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_damaged_files_never_give_wrong_numbers(
    changes: list[tuple[int, int]], cut: int, more: bytes
) -> None:
    data = bytearray(GOOD)
    for position, byte in changes:
        data[position] = byte
    is_refused_or_right(bytes(data[: len(data) - cut]) + more)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\0" * 8)
@example((2).to_bytes(8, "little") + b"{}")
@example(b"\xff" * 8 + b"{}")
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelFileError):
        parse(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**41) | st.floats(allow_nan=False,
        allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["op", "type", "rows", "float", "dtype", "inputs"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a document."""
    children = list(enumerate(value)) if isinstance(value, list) else []
    children = list(value.items()) if isinstance(value, dict) else children
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


@given(place=st.sampled_from(places(DOCUMENT)[1:]), value=json_values)
@settings(max_examples=400, deadline=None)
def test_forged_documents_with_a_right_digest(place: tuple[Any, ...], value: Any) -> None:
    """Whatever stands anywhere in the document: a refusal, or a model that predicts or refuses."""
    document = copy.deepcopy(DOCUMENT)
    inner = functools.reduce(lambda part, key: part[key], place[:-1], document)
    inner[place[-1]] = value
    try:
        model = parse(build(document))
        for rows in (1, 3):
            x = {name: np.zeros((rows, *t.shape[1:]), t.dtype) for name, t in model.inputs.items()}
            model.compute(list(x.values()))
    except cr.errors.ChainruleError:
        pass


# ---- files that are something else ---------------------------------------------------------------


def zip_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return buffer.getvalue()


def npy_file() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


OTHERS = {
    "pickle": (pickle.dumps({"a": [1, 2]}), "a pickle"),
    "old pickle": (pickle.dumps(list(range(99)), protocol=0), "another format"),
    "zip": (zip_file(), "a zip archive"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "numpy": (npy_file(), "a NumPy file"),
    "gguf": (b"GGUF" + bytes(100), "a GGUF file"),
    "text": (b"price,rooms\n1,2\n3,4\n", "another format"),
    "json": (json.dumps(DOCUMENT).encode(), "another format"),
    "empty": (b"", "a file of 0 bytes"),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ""])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_under_any_name(tmp_path: Path, kind: str, suffix: str) -> None:
    data, reason = OTHERS[kind]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        cr.load(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harm"),)

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ModelFileError):
        cr.load(path)
    assert not (tmp_path / "harm").exists()


def test_places_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        cr.load(tmp_path / "missing")
    with pytest.raises(ModelFileError, match="This is a folder"):
        cr.load(tmp_path)
    with pytest.raises(ModelFileError, match="a device"):
        cr.load("/dev/zero")
    with pytest.raises(ModelFileError, match="cannot be read"):
        cr.load("a\0b")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ModelFileError, match="cannot be read"):
        cr.load(tmp_path / "loop")


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    errors = []

    def load() -> None:
        try:
            cr.load(tmp_path / "pipe")
        except ModelFileError as error:
            errors.append(str(error))

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert "pipe" in errors[0]


# ---- the container -------------------------------------------------------------------------------

TEXT = signed(DOCUMENT)
HEADER = header_of(ARRAYS, TEXT)


def with_entry(name: str, **changes: Any) -> dict[str, Any]:
    return {**HEADER, name: {**HEADER[name], **changes}}


def with_extra(shape: list[int]) -> dict[str, Any]:
    return {**HEADER, "extra": {"dtype": "F32", "shape": shape, "data_offsets": [32, 32]}}


CONTAINERS = {
    "header longer than the file": ((10**6).to_bytes(8, "little") + GOOD[8:], "truncated"),
    "header over the limit": ((10**8 + 1).to_bytes(8, "little") + GOOD[8:], "at most 100,000,000"),
    "header of 2**63": (b"\xff" * 8 + GOOD[8:], "at most 100,000,000"),
    "not JSON": (file_of(b"{'a': 1}"), "not JSON"),
    "not UTF-8": (file_of(b'{"a": "\xff"}'), "not JSON"),
    "a list": (file_of(b"[1, 2, 3]"), "another format"),
    "no metadata": (file_of(header_of(ARRAYS, None)), "not written by chainrule"),
    "metadata of others": (
        file_of({**HEADER, "__metadata__": {"format": "pt"}}), "not written by chainrule"),
    "metadata is a list": (file_of({**HEADER, "__metadata__": []}), "not written by chainrule"),
    "document is no text": (file_of(header_of(ARRAYS, 3)), "not written by chainrule"),
    "deep nesting": (file_of(b'{"a": ' + b"[" * 10**6 + b"]" * 10**6 + b"}"), "deeply nested"),
    "a key twice": (
        file_of(json.dumps(HEADER).replace('"layer.bias"', '"layer.weight"').encode()),
        "comes twice"),
    "a field twice": (
        file_of(json.dumps(HEADER).replace('"F32", ', '"F32", "dtype": "F32", ', 1).encode()),
        "comes twice"),
    "a hole": (file_of(with_entry("layer.weight", data_offsets=[12, 36])), "damaged"),
    "an overlap": (file_of(with_entry("layer.weight", data_offsets=[0, 24])), "damaged"),
    "bytes at the end": (GOOD + b"\0", "damaged"),
    "too few bytes": (GOOD[:-1], "damaged"),
    "other size": (file_of(with_entry("layer.weight", shape=[3, 3])), "damaged"),
    "negative offset": (file_of(with_entry("layer.bias", data_offsets=[-8, 0])), "damaged"),
    "negative extent": (file_of(with_entry("layer.bias", shape=[-2])), "damaged"),
    "extents that overflow": (
        file_of(with_entry("layer.bias", shape=[2**33, 2**31, 2])), "damaged"),
    "unknown dtype": (file_of(with_entry("layer.bias", dtype="F33")), "damaged"),
    "extents of an empty array": (
        file_of(with_extra([0, 2**40, 2**40])), "at most 32 axes, each below 2^40"),
    "a hundred axes": (file_of(with_extra([0] * 100)), "at most 32 axes"),
    "too many values": (file_of(b'{"a": [' + b"0," * 2**23 + b"0]}"), "too many values"),
    "other shape, same size": (file_of(with_entry("layer.weight", shape=[2, 3])), "digest"),
    "other dtype, same size": (file_of(with_entry("layer.bias", dtype="I32")), "digest"),
    "other name": (
        file_of(json.dumps(HEADER).replace('"layer.bias"', '"layer.Bias"').encode()), "digest"),
    "no digest": (file_of(header_of(ARRAYS, json.dumps(DOCUMENT))), "digest"),
    "digest of zeros": (
        file_of(header_of(ARRAYS, TEXT[:-66] + "0" * 64 + '"}')), "digest"),
    "an array of a foreign type": (
        build(arrays={**ARRAYS, "half": np.zeros(4, np.float16)}), "Unknown element type"),
    "a missing array": (
        build(arrays={"layer.bias": ARRAYS["layer.bias"]}), "An array is missing"),
    "an array of another type": (
        build(arrays={**ARRAYS, "layer.bias": np.zeros(2)}), "another type"),
    "an array of another shape": (
        build(arrays={**ARRAYS, "layer.bias": np.zeros(3, np.float32)}), "another type"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTAINERS)
def test_damaged_containers(kind: str) -> None:
    refuse(*CONTAINERS[kind])


# ---- the document --------------------------------------------------------------------------------


def plain(**changes: Any) -> Callable[[Any], Any]:
    return lambda document: document.update(changes)


def graph(number: int, **changes: Any) -> Callable[[Any], Any]:
    return lambda document: document["graph"]["nodes"][number].update(changes)


def then(*nodes: dict[str, Any]) -> Callable[[Any], Any]:
    """More nodes, of which the last one is the output."""

    def change(document: Any) -> None:
        document["graph"]["nodes"] += nodes
        document["graph"]["outputs"] = [len(document["graph"]["nodes"]) - 1]

    return change


def op(name: str, extents: list[Any], source: int = 5, **attributes: Any) -> dict[str, Any]:
    return {"op": name, "type": ["float32", [ROWS, *extents]], "inputs": [source],
            "attributes": attributes}  # fmt: skip


LINE = op("reshape", [2, 1], shape=[ROWS, 2, 1])
WIDE = op("pad", [2**23], before=[0, 2**23 - 2], after=[0, 0], between=[0, 0], value=0.0)


def nested(depth: int) -> str:
    return json.dumps(DOCUMENT).replace('"record": null', f'"record": {"[" * depth + "]" * depth}')


DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "not JSON": (build("{a: 1}"), "not JSON"),
    "NaN": (build(json.dumps({**DOCUMENT, "record": float("nan")})), "NaN is no JSON"),
    "infinity": (build(json.dumps({**DOCUMENT, "record": -float("inf")})), "-Infinity is no JSON"),
    "1e999": (
        build(json.dumps(DOCUMENT).replace('"record": null', '"record": 1e999')), "too large"),
    "a number of 10,000 digits": (
        build(json.dumps(DOCUMENT).replace('"record": null', '"record": ' + "9" * 10_000)),
        "not JSON"),
    "a key twice": (
        build(json.dumps(DOCUMENT).replace('"record": null', '"record": null, "record": 1')),
        "the key 'record' comes twice"),
    "deep nesting": (build(nested(10**5)), "deeply nested"),
    "some nesting": (build(nested(3000)), "deeply nested"),
    "another format": (changed(plain(format="other")), "not a model of chainrule"),
    "no version": (changed(lambda d: d.pop("version")), "not a model of chainrule"),
    "version as text": (changed(plain(version="1")), "not a model of chainrule"),
    "version as flag": (changed(plain(version=True)), "not a model of chainrule"),
    "newer version": (changed(plain(version=2, library="9.0.0")), "a newer version of chainrule"),
    "version 0": (changed(plain(version=0)), "another version of chainrule"),
    "unknown part": (changed(plain(code="print()")), "other parts"),
    "missing part": (changed(lambda d: d.pop("schema")), "other parts"),
    "classes as text": (changed(plain(classes="ab")), "wrong kind"),
    "graph as list": (changed(plain(graph=[])), "wrong kind"),
    "arguments as numbers": (changed(plain(arguments=[1])), "not names"),
    "an empty graph": (changed(plain(graph={})), "damaged"),
    "no inputs": (changed(lambda d: d["graph"]["inputs"].clear()), "placeholders"),
    "two outputs": (changed(lambda d: d["graph"]["outputs"].append(2)), "one output"),
    "no output": (changed(lambda d: d["graph"]["outputs"].clear()), "one output"),
    "output without rows": (changed(lambda d: d["graph"]["outputs"].__setitem__(0, 1)), "no rows"),
    "input with two rows for one": (
        changed(graph(0, type=["float32", [{"rows": [2, -1]}, 3]])), "not"),
    "false number of rows": (
        changed(graph(5, type=["float32", [{"rows": [2, -1]}, 2]])), "not float32[3, 2]"),
    "no number of rows": (changed(graph(0, type=["float32", [{"rows": "ab"}, 3]])), "rows"),
    "unknown operation": (changed(graph(5, op="exec")), "Unknown operation 'exec'"),
    "a bomb": (
        changed(graph(4, type=["float32", [2**30, ROWS, 2]],
                      attributes={"shape": [2**30, ROWS, 2]})),
        "too large"),
    "windows of 2^39": (
        changed(then(LINE, op("sum_pool", [1, 1], source=6, window=[2**39], stride=[2**39],
                              before=[2**39 - 1], after=[2**39 - 2]))), "too much work"),
    "a derivative of order 10^9": (
        changed(then(op("polygamma", [2], order=10**9))), "order from 0 to"),
    "a derivative of order 10^4000": (
        changed(then(op("polygamma", [2], order=10**4000))), "order from 0 to"),
    "memory of a gigabyte": (
        changed(then(op("pad", [2**27], before=[0, 2**27 - 2], after=[0, 0], between=[0, 0],
                        value=0.0))), "too large for a file of this size"),
    "many large nodes": (
        changed(then(WIDE, *(op("exp", [2**23], source=6 + i) for i in range(100)))),
        "too much work"),
    "an exponential of a large matrix": (
        changed(then(op("pad", [2**22], before=[0, 2**22 - 2], after=[0, 0], between=[0, 0],
                        value=0.0),
                     op("reshape", [2**11, 2**11], source=6, shape=[ROWS, 2**11, 2**11]),
                     op("matrix_exp", [2**11, 2**11], source=7))), "too much work"),
    "more nodes than anybody needs": (
        changed(then(*(op("exp", [2], source=5 + i) for i in range(2**15)))), "too large"),
    "a hundred axes": (
        changed(then(op("reshape", [2] + [1] * 99, shape=[ROWS, 2] + [1] * 99))), "shape"),
    "nothing, very often": (
        changed(then(op("reshape", [0, 2**41], shape=[ROWS, 0, 2**41]))), "shape"),
    "a bomb by rows": (
        changed(graph(4, type=["float32", [{"rows": [2**39, 0]}, 2]],
                      attributes={"shape": [{"rows": [2**39, 0]}, 2]})), "too large"),
    "a bomb of a size without end": (
        changed(graph(4, type=["float32", [{"rows": [10**4000, 0]}, 2]],
                      attributes={"shape": [{"rows": [10**4000, 0]}, 2]})), "shape"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_damaged_documents(kind: str) -> None:
    refuse(*DOCUMENTS[kind])


def test_a_graph_that_grows_too_fast_is_computed_in_small_parts() -> None:
    """Three numbers of rows in one shape: harmless for one row, 69 billion elements for 4096."""
    document = copy.deepcopy(DOCUMENT)
    cube = [ROWS, ROWS, ROWS, 3]
    document["graph"]["nodes"] += [
        {"op": "broadcast_to", "type": ["float32", cube], "inputs": [0],
         "attributes": {"shape": cube}},
        {"op": "max", "type": ["float32", [ROWS, 3]], "inputs": [6],
         "attributes": {"axes": [0, 1]}},
    ]  # fmt: skip
    document["graph"]["outputs"] = [7]
    model = parse(build(document))
    assert 3 * model._rows_at_once**3 <= 2**22
    x = np.arange(1500.0, dtype=np.float32).reshape(500, 3)
    np.testing.assert_array_equal(model.predict(x), x)


def test_what_was_checked_is_what_is_used(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(GOOD)
    model = cr.load(path)
    path.write_bytes(b"\0" * len(GOOD))
    np.testing.assert_array_equal(model.predict(X), EXPECTED)
    model.state()["layer.weight"][:] = 0  # a copy
    for node in model.graph(1).nodes:
        if node.value is not None:
            with pytest.raises(ValueError, match="read-only"):
                node.value[:] = 0
    np.testing.assert_array_equal(model.predict(X), EXPECTED)


def test_an_index_out_of_range_is_no_crash() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["graph"]["nodes"] += [
        {"op": "constant", "type": ["int64", []], "value": [10**9]},
        {"op": "take", "type": ["float32", [ROWS]], "inputs": [5, 6], "attributes": {"axis": 1}},
    ]
    document["graph"]["outputs"] = [7]
    with pytest.raises(cr.errors.DataError, match="cannot be computed"):
        parse(build(document)).predict(X)
