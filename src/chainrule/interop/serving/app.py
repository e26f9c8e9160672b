"""The ASGI application: paths, answers and errors."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ... import __version__
from ...data import read_table
from ...errors import ChainruleError
from .batching import Batcher
from .engine import Engine
from .measure import Measures
from .openapi import openapi, page
from .requests import (
    CSV,
    JSON,
    LINES,
    LOOPBACK,
    Limits,
    Receive,
    RequestError,
    body_of,
    check_host,
    refuse,
    rows_of_json,
    rows_of_lines,
)

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Answer = tuple[int, str, bytes]

#: Requests of more rows are computed in another thread, so that others need not wait.
_FEW = 64
_GET = ("/", "/docs", "/health", "/metrics", "/openapi.json", "/schema")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy",
     b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
     b"connect-src 'self'; frame-ancestors 'none'"),
)  # fmt: skip


class Application:
    """A saved model as an ASGI 3 application, for uvicorn or any other server.

    Args:
        engine: answers; see `engine_of`.
        name: of the model, for those who ask.
        limits: of requests.
        hosts: names by which the service may be called; empty for any.
    """

    def __init__(
        self,
        engine: Engine,
        name: str = "",
        limits: Limits | None = None,
        hosts: frozenset[str] = LOOPBACK,
    ) -> None:
        self.engine, self.limits, self.hosts = engine, limits or Limits(), hosts
        self.measures = Measures()
        self.batcher = Batcher(engine)
        schema = [{"column": f.name, "kind": f.kind, "description": f.description,
                   "example": f.example} for f in engine.fields]  # fmt: skip
        health = {"status": "ok", "model": name, "version": __version__}
        self._fixed = {
            "/": (200, "text/html; charset=utf-8", page(engine).encode()),
            "/docs": (200, "text/html; charset=utf-8", page(engine).encode()),
            "/health": (200, JSON, _json(health)),
            "/openapi.json": (200, JSON, _json(openapi(engine, self.limits))),
            "/schema": (200, JSON, _json({"columns": schema})),
        }

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """One connection, by the protocol of ASGI."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        begun = time.perf_counter()
        path = scope["path"]
        headers: tuple[tuple[bytes, bytes], ...] = ()
        try:
            answer = await self._answer(scope, receive)
        except RequestError as refused:
            answer, headers = _refusal(refused.status, refused.error), refused.headers
        except ChainruleError as error:
            answer = _refusal(422, error)
        known = path if path in _GET or path == "/predict" else "other"
        self.measures.add(known, answer[0], time.perf_counter() - begun)
        await _send(send, answer, headers, with_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> Answer:
        given = dict(scope["headers"])
        check_host(given, self.hosts)
        path, method = scope["path"], scope["method"]
        if path == "/predict":
            if method != "POST":
                _wrong_method(b"POST")
            return await self._predict(scope, receive, given)
        if path not in _GET:
            refuse(404, "There is no such path.", expected=", ".join(["/predict", *_GET]),
                   found=f"{path:.80}")  # fmt: skip
        if method not in ("GET", "HEAD"):
            _wrong_method(b"GET, HEAD")
        if path == "/metrics":
            text = self.measures.to_text(self.batcher.batches)
            return 200, "text/plain; version=0.0.4; charset=utf-8", text.encode()
        return self._fixed[path]

    async def _predict(
        self, scope: Mapping[str, Any], receive: Receive, given: Mapping[bytes, bytes]
    ) -> Answer:
        kind = given.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        if kind not in (JSON, LINES, CSV):
            refuse(415, "The kind of the body is not known.", expected=f"{JSON}, {LINES} or {CSV}",
                   found=kind or "no content-type",
                   hint="curl -H 'content-type: application/json' …")  # fmt: skip
        body = await body_of(receive, given.get(b"content-length", b""), self.limits)
        if not body.strip():
            refuse(400, "The body is empty.", expected="rows")
        if kind == CSV:
            return await self._in_time(self._of_csv, body)
        alone = False
        if kind == JSON:
            rows, alone = rows_of_json(body, self.engine, self.limits)
        else:
            rows = rows_of_lines(body, self.limits)
        if len(rows) <= _FEW:
            records, notes = await self.batcher.predict(rows)
        else:
            records, notes = await self._in_time(self._of_many, rows)
        self.measures.rows += len(records)
        found: dict[str, Any] = dict(records[0]) if alone else {"predictions": records}
        if notes:
            found["notes"] = list(dict.fromkeys(notes))
        return 200, JSON, _json(found)

    async def _in_time(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """In another thread, and not longer than the limit."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await asyncio.to_thread(function, argument)
        except TimeoutError:
            refuse(503, "The answer took too long.", expected=f"{self.limits.seconds:g} s",
                   hint="send fewer rows at a time")  # fmt: skip

    def _of_many(self, rows: list[Any]) -> tuple[list[dict[str, Any]], list[str]]:
        arrays, notes = self.engine.encode(rows)
        return self.engine.compute(arrays), notes

    def _of_csv(self, body: bytes) -> Answer:
        """Read as `chainrule predict` reads a file."""
        table = read_table(body)
        if table.height > self.limits.rows:
            refuse(413, "There are too many rows.", expected=f"at most {self.limits.rows:,}",
                   found=f"{table.height:,}")  # fmt: skip
        notes: list[str] = []
        found = self.engine.predictor.predict(table, proba=True, say=notes.append)
        self.measures.rows += found.height
        return 200, "text/csv; charset=utf-8", found.write_csv().encode()


def _wrong_method(allowed: bytes) -> None:
    error = ChainruleError("This path has another method.", expected=allowed.decode())
    raise RequestError(405, error, ((b"allow", allowed),))


def _refusal(status: int, error: ChainruleError) -> Answer:
    parts = {name: getattr(error, name) for name in ("what", "where", "expected", "found", "hint")}
    return status, JSON, _json({"error": {k: v for k, v in parts.items() if v is not None}})


def _json(content: Any) -> bytes:
    return _ENCODER.encode(content).encode("utf-8", "surrogatepass")


async def _send(
    send: Send, answer: Answer, headers: tuple[tuple[bytes, bytes], ...], with_body: bool
) -> None:
    status, kind, body = answer
    known = ((b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status,
                "headers": [*known, *_SAFE, *headers]})  # fmt: skip
    await send({"type": "http.response.body", "body": body if with_body else b""})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
