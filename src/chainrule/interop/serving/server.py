"""The application in uvicorn, which leaves the size and the time of headers open."""

from __future__ import annotations

import contextlib
import socket
from asyncio import TimerHandle
from typing import Any

from ...errors import ConfigError
from ..extras import need
from .app import Application
from .requests import Limits

#: Connections that wait to be taken, at most.
_BACKLOG = 2048


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any free one.

    Raises:
        ConfigError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)  # whoever calls before the server is up waits, and is answered
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(
            "The service cannot listen there.",
            where=f"{host}:{port}",
            found=getattr(error, "strerror", None) or str(error),
            hint="name another port: --port 8001, or 0 for any that is free",
        ) from None
    return listening


def server_of(application: Application) -> Any:
    """The server of uvicorn; it ends when its ``should_exit`` is set.

    Raises:
        ConfigError: uvicorn is not installed.
    """
    uvicorn = need("uvicorn", "serve", "A service")
    need("httptools", "serve", "A service")
    limits = application.limits
    config = uvicorn.Config(
        application, http=_limited(limits), ws="none", access_log=False, log_level="warning",
        limit_concurrency=limits.connections, timeout_keep_alive=5, server_header=False,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    return uvicorn.Server(config)


def run(application: Application, listening: socket.socket) -> None:
    """Answer until interrupted; requests that have begun are answered first."""
    with contextlib.suppress(KeyboardInterrupt):  # it has ended all requests by then
        server_of(application).run(sockets=[listening])


def _limited(limits: Limits) -> type[Any]:
    """The protocol of uvicorn, with limits on the headers: their size, and the time they take."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Limited(HttpToolsProtocol):
        _size, _reading = 0, True
        _timer: TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._timer = self.loop.call_later(limits.seconds, self._late)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            self._reading = True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._size, self._reading = 0, False
            self._stop()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._reading:
                self._size += len(data)
                if self._timer is None:
                    self._timer = self.loop.call_later(limits.seconds, self._late)
                if self._size > limits.headers and not self.transport.is_closing():
                    self.send_400_response("The headers are too large.")

        def _late(self) -> None:
            self._timer = None
            if self._reading and not self.transport.is_closing():
                self.transport.close()

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Limited
