"""Bodies of requests → rows; everything that may be wrong with them is an error with a status."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ...errors import ChainruleError, DataError
from .engine import Engine, Row

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

JSON, LINES, CSV = "application/json", "application/x-ndjson", "text/csv"
#: Names of the service itself, by which requests reach a machine from itself.
LOOPBACK = frozenset(["localhost", "127.0.0.1", "[::1]", "::1"])


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
        body: bytes.
        rows: of them.
        seconds: for the body to come, and for the answer to be computed.
        headers: bytes of all of them.
        connections: at the same time.
    """

    body: int = 10_000_000
    rows: int = 10_000
    seconds: float = 30.0
    headers: int = 16_384
    connections: int = 1_000


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        status: of HTTP, 4xx or 503.
        error: what is wrong.
        headers: of the answer.
    """

    def __init__(
        self, status: int, error: ChainruleError, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(str(error))
        self.status, self.error, self.headers = status, error, headers


def refuse(status: int, what: str, **parts: str) -> NoReturn:
    """Raise a `RequestError`; the parts are those of errors."""
    raise RequestError(status, DataError(what, **parts))


async def body_of(receive: Receive, declared: bytes, limits: Limits) -> bytes:
    """The whole body.

    Args:
        receive: of ASGI.
        declared: the header Content-Length, or nothing.
        limits: of its size and time.

    Raises:
        RequestError: 413, 408 or 400.
    """
    if declared.isdigit() and int(declared[:20]) > limits.body:
        _too_large(limits)
    try:
        async with asyncio.timeout(limits.seconds):
            message = await receive()
            if not message.get("more_body"):
                body = message.get("body", b"")
                if message["type"] == "http.disconnect":
                    refuse(400, "The client has gone.")
                if len(body) > limits.body:
                    _too_large(limits)
                return bytes(body)
            parts, size = [], 0
            while True:
                if message["type"] == "http.disconnect":
                    refuse(400, "The client has gone.")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limits.body:
                    _too_large(limits)
                if not message.get("more_body"):
                    return b"".join(parts)
                message = await receive()
    except TimeoutError:
        refuse(408, "The body did not come in time.", expected=f"within {limits.seconds:g} s")


def _too_large(limits: Limits) -> NoReturn:
    refuse(
        413, "The body is too large.", expected=f"at most {limits.body:,} bytes",
        hint="send fewer rows at a time, or start the service with a larger --max-body",
    )  # fmt: skip


def rows_of_json(body: bytes, engine: Engine, limits: Limits) -> tuple[list[Row], bool]:
    """The rows of a JSON body, and whether it is one row by itself.

    Raises:
        RequestError: 400, 413 or 422.
    """
    content = _parsed(body)
    alone = False
    if isinstance(content, dict):
        if "rows" in content and "rows" not in engine.known:
            if len(content) > 1:
                others = ", ".join(repr(name) for name in content if name != "rows")
                refuse(422, "Beside 'rows' there is more.", expected='{"rows": […]}', found=others)
            content = content["rows"]
        else:
            content, alone = [content], True
    return _checked(content, limits), alone


def rows_of_lines(body: bytes, limits: Limits) -> list[Row]:
    """The rows of JSON lines.

    Raises:
        RequestError: 400, 413 or 422.
    """
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) > limits.rows:
        _too_many(len(lines), limits)
    return _checked([_parsed(line) for line in lines], limits)


def _parsed(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except UnicodeDecodeError as error:
        found = str(error)[:200]
        refuse(400, "The body is not UTF-8.", found=found)
    except RecursionError:
        refuse(400, "The JSON is too deeply nested.", expected="rows of single values")
    except ValueError as error:
        refuse(400, "The body is not JSON.", found=str(error)[:200])


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON; a missing value is null")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:40]} is too large for a number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} comes twice")
    return content


#: Built once: `json.loads` with hooks builds one for each call.
_DECODER = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique
)


def _checked(rows: Any, limits: Limits) -> list[Row]:
    if not isinstance(rows, list):
        refuse(422, "There are no rows.", expected="an object, or a list of objects",
               found=type(rows).__name__)  # fmt: skip
    if not rows:
        refuse(422, "There are no rows.", expected="at least one")
    if len(rows) > limits.rows:
        _too_many(len(rows), limits)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            refuse(422, "A row is not an object.", where=f"row {number}",
                   expected='{"column": value}', found=f"{row!r:.60}")  # fmt: skip
    return rows


def _too_many(count: int, limits: Limits) -> NoReturn:
    refuse(
        413, "There are too many rows.", expected=f"at most {limits.rows:,}", found=f"{count:,}",
        hint="send fewer at a time, or start the service with a larger --max-rows",
    )  # fmt: skip


def check_host(headers: Mapping[bytes, bytes], allowed: frozenset[str]) -> None:
    """Refuse requests that a page of another site sends by a name of its own (DNS rebinding).

    Raises:
        RequestError: 421.
    """
    if not allowed:
        return
    host = headers.get(b"host", b"").decode("latin-1").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in allowed:
        refuse(421, "The service is not known by this name.", expected=", ".join(sorted(allowed)),
               found=f"{host:.80}")  # fmt: skip
