"""Serves the page of a training that goes on, to this machine alone, and keeps it up to date."""

from __future__ import annotations

import functools
import html
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ..errors import ChainruleError, ConfigError
from ..utils.files import MODEL
from ..utils.runs import RECORD, is_locked
from .content import FINDINGS, HISTORY, STORED, RunContent
from .page import report_page

ADDRESS = "127.0.0.1"
#: The page asks for news after so many milliseconds.
_EVERY = 2000
_HOSTS = (ADDRESS, "localhost")


class Watcher(ThreadingHTTPServer):
    """A server of one page, on 127.0.0.1 only.

    Args:
        folder: of the run.
        port: to listen on; 0 for a free one.

    Raises:
        DataError: there is no run and no training.
        ConfigError: the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        RunContent.read(folder)
        self.folder = folder
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                "The port cannot be listened on.",
                found=f"--port {port}: {error}",
                hint="Omit --port: a free one is taken.",
            ) from None

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    def allowed(self, host: str) -> bool:
        """Whether a request names this machine: pages of others, by whatever name, get nothing."""
        return host in {f"{name}:{self.server_address[1]}" for name in _HOSTS}


class _Handler(BaseHTTPRequestHandler):
    """Answers with the page, and with a word that changes when the page would."""

    server: Watcher

    def do_GET(self) -> None:
        """The page, or its version."""
        if not self.server.allowed(self.headers.get("Host", "")):
            self._answer(403, "text/plain", "This page is for this machine.")
        elif self.path == "/":
            self._answer(200, "text/html", served_page(self.server.folder))
        elif self.path == "/version":
            self._answer(200, "text/plain", version(self.server.folder))
        else:
            self._answer(404, "text/plain", "There is only one page here.")

    def _answer(self, status: int, kind: str, text: str) -> None:
        content = text.encode(errors="replace")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal is the training's."""


def version(folder: Path) -> str:
    """A word that changes whenever the page of a run does."""
    stamps = []
    for name in (HISTORY, STORED, RECORD, MODEL, FINDINGS):
        try:
            status = (folder / name).stat()
        except OSError:
            stamps.append("-")
        else:
            stamps.append(f"{status.st_mtime_ns:x}.{status.st_size:x}")
    return "/".join([*stamps, str(is_locked(folder))])


def served_page(folder: Path) -> str:
    """The page of a run, which asks for news; an error as a page."""
    found = version(folder)
    try:
        content = RunContent.read(folder)
    except ChainruleError as error:
        return f"<!doctype html><title>chainrule</title><p>{html.escape(error.what)}</p>"
    attributes = f'data-version="{html.escape(found)}" data-every="{_EVERY}"'
    lost = '<p id="lost" role="alert" hidden>The program that serves this page has ended.</p>'
    return report_page(content, _script(), attributes, lost)


@functools.cache
def _script() -> str:
    return (Path(__file__).parent / "watch.js").read_text(encoding="utf-8")
