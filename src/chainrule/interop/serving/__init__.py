"""A saved model as a web service: rows in, predictions out.

engine.py     what answers: rows as Python values → records
batching.py   requests that come at once are computed at once
requests.py   bodies → rows, with limits; everything that is wrong with them
app.py        the ASGI application: paths, answers, errors
openapi.py    the description of the service, from the schema of the model
measure.py    counts and times, as Prometheus reads them
server.py     uvicorn, with limits on headers and slow clients
"""

from .app import Application
from .engine import engine_of
from .requests import Limits

__all__ = ["Application", "Limits", "engine_of"]
