"""The description of the service: OpenAPI, and a page that needs nothing from elsewhere."""

from __future__ import annotations

import html
import json
from typing import Any

from ... import __version__
from .engine import Engine
from .requests import CSV, JSON, LINES, Limits


def openapi(engine: Engine, limits: Limits) -> dict[str, Any]:
    """The OpenAPI 3.1 document, with the columns of the model as the schema of a row."""
    row = {
        "type": "object",
        "properties": {field.name: field.to_json_schema() for field in engine.fields},
        "required": [field.name for field in engine.fields],
    }
    rows = {"type": "array", "items": _ref("Row"), "minItems": 1, "maxItems": limits.rows}
    many = {"type": "object", "properties": {"rows": rows}, "required": ["rows"]}
    body = {"oneOf": [_ref("Row"), rows, many]}
    answer = {"oneOf": [_ref("Prediction"), {
        "type": "object",
        "properties": {
            "predictions": {"type": "array", "items": _ref("Prediction")},
            "notes": {"type": "array", "items": {"type": "string"}},
        },
    }]}  # fmt: skip
    refused = {"description": "The request cannot be answered.", "content": {
        JSON: {"schema": _ref("Error")}}}  # fmt: skip
    predict = {
        "summary": "Predict the target of rows",
        "requestBody": {"required": True, "content": {
            JSON: {"schema": body, "example": example_row(engine)},
            LINES: {"schema": {"type": "string"}},
            CSV: {"schema": {"type": "string"}},
        }},
        "responses": {
            "200": {"description": "The predictions, in the order of the rows.",
                    "content": {JSON: {"schema": answer}, CSV: {"schema": {"type": "string"}}}},
            **dict.fromkeys(("400", "408", "413", "415", "421", "422", "503"), refused),
        },
    }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {"title": _title(engine), "version": __version__},
        "paths": {
            "/predict": {"post": predict},
            "/health": _get("Whether the service is up"),
            "/metrics": _get("Counts and times, for Prometheus", "text/plain"),
            "/schema": _get("The columns of the model"),
        },
        "components": {"schemas": {"Row": row, "Prediction": _prediction(engine),
                                   "Error": _ERROR}},
    }  # fmt: skip


_ERROR = {
    "type": "object",
    "properties": {"error": {
        "type": "object",
        "properties": {name: {"type": "string"}
                       for name in ("what", "where", "expected", "found", "hint")},
        "required": ["what"],
    }},
}  # fmt: skip


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _get(summary: str, kind: str = JSON) -> dict[str, Any]:
    content = {kind: {"schema": {"type": "string"}}} if kind != JSON else {JSON: {}}
    return {"get": {"summary": summary, "responses": {"200": {"description": summary,
                                                              "content": content}}}}  # fmt: skip


def _prediction(engine: Engine) -> dict[str, Any]:
    classes = list(engine.predictor.classes)
    value: dict[str, Any] = {"enum": classes} if classes else {"type": ["number", "string"]}
    properties: dict[str, Any] = {"prediction": value}
    if classes:
        numbers = {name: {"type": "number"} for name in classes}
        properties["probabilities"] = {"type": "object", "properties": numbers}
    return {"type": "object", "properties": properties}


def _title(engine: Engine) -> str:
    report = (engine.predictor.record or {}).get("report") or {}
    return f"Predictions of {report.get('target', 'a model')}"


def example_row(engine: Engine) -> dict[str, Any]:
    """A usual row."""
    return {field.name: field.example for field in engine.fields}


def page(engine: Engine) -> str:
    """The service in words, with a form to try it."""
    rows = "".join(
        f"<tr><td><code>{html.escape(f.name)}</code><td>{f.kind}<td>{html.escape(f.description)}"
        for f in engine.fields
    )
    example = html.escape(json.dumps(example_row(engine), indent=1, ensure_ascii=False))
    return _PAGE.format(title=html.escape(_title(engine)), rows=rows, example=example)


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui;max-width:52rem;margin:2rem auto;padding:0 1rem}}
textarea{{width:100%;height:16rem;font:14px monospace}}
td{{padding:.2rem .8rem .2rem 0;vertical-align:top}}
pre{{background:#f4f4f4;padding:1rem;overflow:auto}}</style>
<h1>{title}</h1>
<p>POST rows as JSON (an object, or a list of objects), JSON lines or CSV to <code>/predict</code>.
The description for programs: <a href="/openapi.json">openapi.json</a>. State:
<a href="/health">health</a>, <a href="/metrics">metrics</a>.</p>
<h2>Try it</h2><textarea id="row" aria-label="row">{example}</textarea>
<p><button id="go">Predict</button></p><pre id="answer" aria-live="polite"></pre>
<h2>Columns</h2><table>{rows}</table>
<script>document.getElementById("go").onclick=async()=>{{
const out=document.getElementById("answer");
try{{const r=await fetch("/predict",{{method:"POST",headers:{{"content-type":"application/json"}},
body:document.getElementById("row").value}});out.textContent=JSON.stringify(await r.json(),null,1)}}
catch(e){{out.textContent=String(e)}}}}</script></html>
"""
