"""``chainrule serve``: a model as a web service."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import note
from .error_handling import Debug
from .predict import Model
from .reading import loaded


def serve(
    model: Model,
    port: Annotated[
        int, typer.Option(help="Where it listens; 0 for any free port.", metavar="N")
    ] = 8000,
    host: Annotated[
        str,
        typer.Option(
            help="The address it listens at; others than this machine's own let in whoever "
            "reaches it.",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1",
    max_rows: Annotated[
        int, typer.Option(help="Rows in a request, at most.", metavar="N", min=1)
    ] = 10_000,
    max_body: Annotated[
        float, typer.Option(help="Megabytes in a request, at most.", metavar="MB", min=0.001)
    ] = 10.0,
    max_seconds: Annotated[
        float, typer.Option(help="Seconds for a request, at most.", metavar="S", min=0.1)
    ] = 30.0,
    backend: Annotated[
        str, typer.Option(help="Backend: auto, c or numpy.", metavar="NAME")
    ] = "auto",
    debug: Debug = False,
) -> None:
    """Serve a model of a table, of the classes of texts, or that writes texts.

    JSON or CSV in, predictions out.

    Example: chainrule serve runs/houses-2026-01-31-1 --port 8000
    """
    from ..interop.extras import need

    need("uvicorn", "serve", "A service")
    from ..interop.serving import Application, Limits, engine_of
    from ..interop.serving.requests import LOOPBACK
    from ..interop.serving.server import bound, run

    limits = Limits(body=int(max_body * 1e6), rows=max_rows, seconds=max_seconds)
    predictor = loaded(model, None)
    listening = bound(host, port)
    with listening:
        application = Application(
            engine_of(predictor, backend), str(model), limits,
            LOOPBACK if host in LOOPBACK else frozenset(),
        )  # fmt: skip
        place = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        if host not in LOOPBACK:
            note(f"It listens at {host}: whoever reaches this machine can ask it, without a "
                 "password.")  # fmt: skip
        note(f"{model} answers at {place}/predict; what it takes is at {place}. Ctrl-C ends it.")
        run(application, listening)
