"""The service: predictions by JSON and CSV, and everything that may be wrong with a request."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DataError
from chainrule.interop.serving import Application, Limits, engine_of
from chainrule.interop.serving.server import bound, server_of
from chainrule.tasks import load_predictor
from chainrule.tasks.tabular.rows import RowModel

JSON = "application/json"


def table(rows=60):
    rng = np.random.default_rng(0)
    city = rng.choice(["Rome", "Oslo", "NA-town"], rows)
    return pl.DataFrame({
        "city": city,
        "area": rng.integers(20, 200, rows),
        "built": [f"19{50 + i % 40}-03-0{1 + i % 9}" for i in range(rows)],
        "lift": rng.choice(["yes", "no"], rows),
        "size": [f"{x:,.1f} m²" for x in rng.uniform(900, 3000, rows)],
        "remark": "same",
        "rent": rng.uniform(5, 9, rows) + 4 * (city == "Oslo"),
    })  # fmt: skip


def trained(tmp_path, **options):
    options = {"target": "rent", "epochs": 2, "hidden": (4,), "members": 1} | options
    made = cr.tables.TableOptions(backend="numpy", **options)
    cr.tables.train_table(table(), made, progress=False).save(tmp_path / "m.safetensors")
    return load_predictor(tmp_path / "m.safetensors")


@pytest.fixture(scope="module")
def rents(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("rents"))


@pytest.fixture
def application(rents):
    return Application(engine_of(rents, "numpy"), "rents")


def ask(application, method, path, body=b"", kind=JSON, host="localhost:8000", parts=1):
    """One request in process: status, headers, body."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    step = -(-len(body) // parts) or 1
    pieces = [body[i : i + step] for i in range(0, len(body), step)] or [b""]
    waiting = [
        {"type": "http.request", "body": piece, "more_body": i + 1 < len(pieces)}
        for i, piece in enumerate(pieces)
    ]
    sent = []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode()), (b"content-type", kind.encode())]
    headers += [(b"content-length", b"%d" % len(body))] if parts == 1 else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(application(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def predict(application, body, **more):
    status, _, answer = ask(application, "POST", "/predict", body, **more)
    return status, json.loads(answer)


ROW = {"city": "Oslo", "area": 70, "built": "1975-03-01", "lift": "yes", "size": "1,200.5 m²"}


# ---- rows without a data frame -------------------------------------------------------------------


CELLS = [
    *({"city": value} for value in (None, " Oslo ", "NA", "na", "Lima", "", 7, True, "?")),
    *({"area": value} for value in (None, 70.5, "70", "1,250.5", "n/a", True, 10**18, 1e300)),
    *({"built": value} for value in (None, "1975-03-01", " 1980-01-02 ", "")),
    *({"lift": value} for value in (True, False, "no", "YES", None, 1, 0)),
    *({"size": value} for value in ("1,200.5 m²", "900", 950, None, "#DIV/0!")),
]


@pytest.mark.parametrize("change", CELLS, ids=lambda change: str(change)[:30])
def test_a_cell_means_the_same_with_and_without_a_data_frame(rents, change):
    row = ROW | change
    notes = [], []
    framed = rents.predict({k: [v] for k, v in row.items()}, say=notes[0].append)
    plain = rents.predict(row, say=notes[1].append)
    assert plain["prediction"].to_list() == framed["prediction"].to_list()
    assert notes[0] == notes[1]


@pytest.mark.parametrize(
    "change",
    [{"area": "much"}, {"built": "yesterday"}, {"size": "1.250,5 m²"}, {"city": ["Oslo"]},
     {"lift": {}}],
    ids=str,
)  # fmt: skip
def test_a_cell_that_cannot_be_read_is_the_same_error(rents, change):
    (name,) = change
    row = ROW | change
    with pytest.raises(DataError) as framed:
        rents.predict({k: [v] for k, v in row.items()})
    with pytest.raises(DataError) as plain:
        rents.predict([ROW, row])
    assert plain.value.what == framed.value.what
    assert plain.value.where == f"row 2, column '{name}'"


def test_rows_stand_beside_columns_that_are_kept(rents):
    found = rents.predict([ROW | {"remark": "a"}, ROW | {"remark": "b"}], keep=["remark"])
    assert found["remark"].to_list() == ["a", "b"]
    with pytest.raises(DataError, match="no column 'area'"):
        rents.predict([{name: value for name, value in ROW.items() if name != "area"}])


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_programs_of_few_rows_agree_with_the_model(rents, backend):
    model = RowModel(rents.saved, rents.schema, backend=backend, sizes=(1, 4))
    rows = table().drop("rent").to_dicts()[:11]
    expected = rents.predict(pl.DataFrame(rows))["prediction"].to_numpy()
    for count in (1, 2, 4, 11):
        found = [record["prediction"] for record in model.predict(rows[:count])[0]]
        assert np.allclose(found, expected[:count], rtol=1e-5)


# ---- answers -------------------------------------------------------------------------------------


def test_a_row_rows_lines_and_csv(application, rents):
    expected = rents.predict(ROW)["prediction"][0]
    status, one = predict(application, ROW)
    assert (status, one) == (200, {"prediction": pytest.approx(expected, rel=1e-6)})
    for body in ([ROW, ROW], {"rows": [ROW, ROW]}):
        status, many = predict(application, body)
        assert status == 200
        found = [each["prediction"] for each in many["predictions"]]
        assert found == pytest.approx([one["prediction"]] * 2, rel=1e-6)
    lines = "\n".join([json.dumps(ROW)] * 3).encode()
    assert len(predict(application, lines, kind="application/x-ndjson")[1]["predictions"]) == 3
    csv = pl.DataFrame([ROW]).write_csv().encode()
    status, headers, answer = ask(application, "POST", "/predict", csv, kind="text/csv")
    assert (status, headers[b"content-type"][:8]) == (200, b"text/csv")
    assert pl.read_csv(answer)["prediction"][0] == pytest.approx(expected)


def test_notes_come_with_the_answer(application):
    _, answer = predict(application, ROW | {"city": "Lima"})
    assert answer["notes"] == ["column city: 1 row with values never seen in training: 'Lima'"]


def test_probabilities_and_quantiles(tmp_path):
    classes = Application(engine_of(trained(tmp_path, target="lift"), "numpy"))
    row = {name: value for name, value in ROW.items() if name != "lift"} | {"rent": 8}
    _, answer = predict(classes, row)
    assert answer["probabilities"].keys() == {"no", "yes"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    levels = Application(engine_of(trained(tmp_path, quantiles=(0.1, 0.9)), "numpy"))
    _, answer = predict(levels, ROW)
    assert answer["quantiles"]["0.1"] <= answer["quantiles"]["0.9"]


def test_texts(tmp_path):
    texts = {"text": ["good film", "bad film", "good", "bad"] * 10, "mood": ["glad", "sad"] * 20}
    options = cr.text.TextOptions(target="mood", epochs=10, backend="numpy")
    cr.text.train(texts, options, progress=False).save(tmp_path / "m.safetensors")
    application = Application(engine_of(load_predictor(tmp_path / "m.safetensors")))
    _, answer = predict(application, [{"text": "good"}, {"text": "bad"}])
    assert [each["prediction"] for each in answer["predictions"]] == ["glad", "sad"]
    assert predict(application, {"words": "good"})[0] == 422


@pytest.mark.parametrize("columns", [("words",), ("question", "context")])
def test_texts_that_are_written(tmp_path, columns):
    names = ["one", "two", "three", "four"]
    pairs = {name: [f"{a} {b}" for a in names for b in names] for name in columns}
    pairs["digits"] = [f"{a}-{b}" for a in "1234" for b in "1234"]
    options = cr.sequence_to_text.SequenceToTextOptions(
        target="digits", hidden=(8,), epochs=1, backend="numpy", features=columns
    )
    result = cr.sequence_to_text.train(pairs, options, progress=False)
    result.save(tmp_path / "m.safetensors")
    predictor = load_predictor(tmp_path / "m.safetensors")
    application = Application(engine_of(predictor))
    row = dict.fromkeys(columns, "one two")
    expected = predictor.write([("one two",) * len(columns)])[0][0]
    status, answer = predict(application, row)
    assert status == 200
    assert answer["prediction"] == expected.text
    assert answer["log_score"] == pytest.approx(expected.score)
    assert answer["ended"] == expected.ended
    rows = [row, row | {columns[0]: "four four"}, row | {columns[-1]: " "}, row | {"digits": "7"}]
    answer = predict(application, rows)[1]
    assert [each["prediction"] for each in answer["predictions"]] == [
        expected.text, predictor.write([("four four", "one two")[: len(columns)]])[0][0].text, "",
        expected.text,
    ]  # fmt: skip
    noted = predict(application, row | {columns[0]: "sechs"})[1]["notes"]
    assert "not in the vocabulary" in noted[0]
    assert predict(application, {"other": "one"})[0] == 422
    assert predict(application, {columns[0]: "one", "other": "two"})[0] == 422
    assert "".join(columns[0]) in ask(application, "GET", "/schema")[2].decode()


def test_other_kinds_are_refused():
    with pytest.raises(ConfigError, match="cannot be served yet"):
        engine_of(object())


def test_requests_that_come_at_once_are_computed_at_once(application):
    async def all_at_once():
        return await asyncio.gather(
            *(application.batcher.predict([ROW | {"area": 50 + i}]) for i in range(5)),
            application.batcher.predict([ROW | {"area": "much"}]),
            return_exceptions=True,
        )

    *found, failed = asyncio.run(all_at_once())
    assert application.batcher.batches == 1
    alone = [predict(application, ROW | {"area": 50 + i})[1]["prediction"] for i in range(5)]
    assert np.allclose([records[0]["prediction"] for records, _ in found], alone)
    assert isinstance(failed, DataError)


# ---- what describes it ---------------------------------------------------------------------------


def test_the_description_is_that_of_the_schema(application):
    _, _, body = ask(application, "GET", "/openapi.json")
    description = json.loads(body)
    row = description["components"]["schemas"]["Row"]
    assert row["required"] == ["city", "area", "built", "lift", "size"]
    example = description["paths"]["/predict"]["post"]["requestBody"]["content"][JSON]["example"]
    assert predict(application, example)[0] == 200
    _, headers, page = ask(application, "GET", "/")
    assert b"openapi.json" in page
    assert b"http" not in page.replace(b"httpEquiv", b"")  # nothing from elsewhere
    assert b"default-src 'none'" in headers[b"content-security-policy"]


def test_health_and_metrics(application):
    predict(application, [ROW] * 3)
    predict(application, {})
    assert json.loads(ask(application, "GET", "/health")[2])["status"] == "ok"
    text = ask(application, "GET", "/metrics")[2].decode()
    assert 'chainrule_requests_total{path="/predict",status="200"} 1\n' in text
    assert 'chainrule_requests_total{path="/predict",status="422"} 1\n' in text
    assert "chainrule_rows_total 3\n" in text
    assert "chainrule_predict_seconds_count 2\n" in text


# ---- what is wrong with requests -----------------------------------------------------------------

DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "The body is empty."),
        (b"{", 400, "The body is not JSON."),
        (b"\xff\xfe\x00", 400, "The body is not"),
        (DEEP, 400, "nested"),
        (b'{"area": NaN}', 400, "not JSON"),
        (b'{"area": 1e999}', 400, "not JSON"),
        (b'{"area": ' + b"9" * 5000 + b"}", 400, "not JSON"),
        (b'{"area": 1, "area": 2}', 400, "not JSON"),
        (b"7", 422, "There are no rows."),
        (b"[]", 422, "There are no rows."),
        (b"[7]", 422, "A row is not an object."),
        (b'{"rows": 7}', 422, "There are no rows."),
        (b'{"rows": [], "more": 1}', 422, "Beside 'rows' there is more."),
        (b"{}", 422, "There are no columns 'city', 'area'"),
        ({"area": 1}, 422, "There are no columns 'city', 'built'"),
        (ROW | {"cty": "Oslo"}, 422, "There is no column 'cty'."),
        (ROW | {"area": "much"}, 422, "A cell of column 'area' cannot be read."),
        (ROW | {"area": [70]}, 422, "holds lists or objects"),
        (ROW | {"area": {"$ne": 1}}, 422, "holds lists or objects"),
        ([ROW] * 11, 413, "There are too many rows."),
        (b'["' + b"x" * 5000 + b'"]', 413, "The body is too large."),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_request_that_is_wrong_is_refused_with_the_reason(rents, body, status, said):
    limits = Limits(body=4000 if status == 413 else 200_000, rows=10)
    application = Application(engine_of(rents, "numpy"), limits=limits)
    found, answer = predict(application, body)
    assert (found, said in answer["error"]["what"]) == (status, True)
    assert predict(application, ROW)[0] == 200  # and nothing else has happened


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/predict", {}, 405),
        ("POST", "/health", {}, 405),
        ("GET", "/../etc/passwd", {}, 404),
        ("POST", "/predict", {"kind": "text/plain"}, 415),
        ("POST", "/predict", {"kind": ""}, 415),
        ("GET", "/health", {"host": "evil.example"}, 421),
        ("GET", "/health", {"host": "localhost.evil.example:8000"}, 421),
        ("GET", "/health", {"host": "[::1]:8000"}, 200),
        ("POST", "/predict", {"body": b"a,b\n1,2\n", "kind": "text/csv"}, 422),
        ("POST", "/predict", {"body": b"\x00\x01\x02", "kind": "text/csv"}, 422),
    ],
)
def test_paths_methods_kinds_and_hosts(application, method, path, more, status):
    assert ask(application, method, path, **more)[0] == status


def test_a_large_body_without_its_length_and_a_slow_one(rents):
    application = Application(engine_of(rents, "numpy"), limits=Limits(body=100, seconds=0.05))
    assert predict(application, b"[" + b" " * 200 + b"]", parts=4)[0] == 413

    async def slowly():
        sent = []

        async def receive():
            await asyncio.sleep(1)

        async def send(message):
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-type", JSON.encode())]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
        await application(scope, receive, send)
        return sent[0]["status"]

    assert asyncio.run(slowly()) == 408


# ---- the server ----------------------------------------------------------------------------------


@pytest.fixture
def service(application):
    """A running server: its port."""
    object.__setattr__(application.limits, "seconds", 0.5)
    listening = bound("127.0.0.1", 0)
    server = server_of(application)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def raw(port, *parts, pause=0.0):
    """What comes back for bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        found = b""
        try:
            while more := connection.recv(65536):
                found += more
                if b"\r\n\r\n" in found:
                    break
        except ConnectionResetError:
            pass
    return found


def test_a_server_answers_and_closes_on_what_is_hostile(service):
    client = http.client.HTTPConnection("127.0.0.1", service)
    client.request("POST", "/predict", json.dumps(ROW), {"content-type": JSON})
    assert json.loads(client.getresponse().read())["prediction"] > 0
    client.close()
    head = b"GET /health HTTP/1.1\r\nhost: localhost\r\n"
    assert raw(service, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    huge = head + b"x: " + b"y" * 17_000
    assert b" 400 " in raw(service, huge).partition(b"\r\n")[0]
    assert raw(service, head) == b""  # headers that do not end: closed after the limit
    assert raw(service, head, b"\r\n").startswith(b"HTTP/1.1 200")


def test_who_calls_before_the_server_is_up_waits_for_it(application):
    with bound("127.0.0.1", 0) as listening:
        early = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=10)
        early.request("GET", "/health")
        server = server_of(application)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        assert early.getresponse().status == 200
        early.close()
        server.should_exit = True
        thread.join()


def test_a_port_that_is_taken_is_a_clear_error():
    with bound("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(ConfigError, match="cannot listen"):
            bound("127.0.0.1", port)
    with pytest.raises(ConfigError, match="cannot listen"):
        bound("127.0.0.1", 99_999)
