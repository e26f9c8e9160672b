"""The API reference: a Markdown page for each public module, from the docstrings.

Names are read from the imported package, not from its source: many functions are declared by
records, so that no definition stands in the text.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

import griffe

import chainrule as cr

#: Titles of the pages; the order is that of the navigation. Other modules come after them.
PAGES = {
    "chainrule": "Functions and classes",
    "nn": "Layers",
    "losses": "Losses",
    "metrics": "Metrics",
    "optim": "Optimizers and schedules",
    "models": "Ready models",
    "training": "Training",
    "data": "Reading data",
    "tables": "Tables",
    "text": "Texts",
    "series": "Series",
    "images": "Images",
    "audio": "Sounds",
    "sequence_to_text": "Sequences to texts",
    "active": "Active learning",
    "ops": "Operations",
    "linalg": "Linear algebra",
    "masked": "Masked reductions",
    "random": "Random numbers",
    "onnx": "ONNX",
    "weights": "Weights of other systems",
    "ir": "Graphs",
    "errors": "Errors",
}


def pages() -> Iterator[tuple[str, str, str]]:
    """Of each page: its name, its title and its Markdown."""
    others = [n for n in cr.__all__ if n not in PAGES and inspect.ismodule(getattr(cr, n))]
    for name, title in (PAGES | {other: other.capitalize() for other in others}).items():
        module = cr if name == "chainrule" else getattr(cr, name)
        yield name, title, _page(module, f"cr.{name}" if name != "chainrule" else "cr", title)


def _public(module: types.ModuleType) -> list[str]:
    """Names of a page: those of a module; of the package, those that no other page has."""
    if module is cr:
        elsewhere = {*cr.ops.NAMES, *cr.ops.__all__}
        names = [n for n in cr.__all__ if n not in elsewhere]
        return [n for n in names if not inspect.ismodule(getattr(cr, n))]
    own = getattr(module, "__all__", None)
    if own is None:
        own = [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_") and getattr(thing, "__module__", "") == module.__name__
        ]
    return [n for n in own if not isinstance(getattr(module, n), types.ModuleType)]


def _page(module: types.ModuleType, path: str, title: str) -> str:
    parts = [f"# {title}", _text(inspect.getdoc(module))] if module is not cr else [f"# {title}"]
    for name in sorted(_public(module), key=str.lower):
        thing = getattr(module, name)
        if inspect.isclass(thing) or callable(thing):
            parts.append(_entry(thing, f"{path}.{name}", "##"))
            if inspect.isclass(thing):
                parts += _methods(thing)
    return "\n\n".join(part for part in parts if part) + "\n"


def _methods(cls: type) -> list[str]:
    """The documented methods and properties that a class defines itself."""
    found = []
    for name, member in vars(cls).items():
        plain = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if name.startswith("_") or not _doc(plain):
            continue
        if isinstance(plain, property):
            found.append(f"### `{name}`\n\n{_text(_doc(plain))}")
        elif inspect.isfunction(plain):
            found.append(_entry(plain, f"{cls.__name__}.{name}", "###"))
    return found


def _entry(thing: Any, path: str, level: str) -> str:
    heading = f"{level} `{path.rpartition('.')[2] if level == '###' else path}`"
    return f"{heading}\n\n```python\n{_signature(thing, path)}\n```\n\n{_text(_doc(thing))}"


def _doc(thing: Any) -> str | None:
    """Its own docstring: not that of a built-in base class."""
    return inspect.cleandoc(thing.__doc__) if getattr(thing, "__doc__", None) else None


def _signature(thing: Any, path: str) -> str:
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return path
    own = [p for p in signature.parameters.values() if p.name != "self"]
    shown = [str(p.replace(annotation=p.empty)).replace(" = ", "=") for p in own]
    for number, parameter in enumerate(own):
        before = own[number - 1].kind if number else None
        named = parameter.kind is parameter.KEYWORD_ONLY
        if named and before not in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL):
            shown[number] = f"*, {shown[number]}"
    line = f"{path}({', '.join(shown)})"
    if len(line) <= 88:
        return line
    return f"{path}(\n    " + ",\n    ".join(shown) + ",\n)"


def _text(doc: str | None) -> str:
    """A docstring as Markdown: its sections as lists, its examples as code."""
    if not doc:
        return ""
    sections = griffe.parse_google(griffe.Docstring(doc), warnings=False)
    return "\n\n".join(_section(section) for section in sections)


def _section(section: Any) -> str:
    kind, value = section.kind.value, section.value
    if kind == "text":
        return str(value)
    if kind in ("parameters", "attributes"):
        items = [f"- `{one.name}`: {_inline(one.description)}" for one in value]
        return f"**{'Arguments' if kind == 'parameters' else 'Attributes'}**\n\n" + "\n".join(items)
    if kind in ("returns", "yields"):
        return f"**{kind.capitalize()}**\n\n" + " ".join(_inline(one.description) for one in value)
    if kind == "raises":
        items = [f"- `{one.annotation}`: {_inline(one.description)}" for one in value]
        return "**Raises**\n\n" + "\n".join(items)
    if kind == "examples":
        return "\n\n".join(_example(str(text)) for _, text in value)
    if kind == "admonition" and section.title.startswith("Example"):
        return _example(value.description)
    title = section.title or kind.capitalize()
    return f"**{title}**\n\n{getattr(value, 'description', value)}"


def _example(text: str) -> str:
    return f"**Example**\n\n```pycon\n{text}\n```"


def _inline(text: str | None) -> str:
    return " ".join((text or "").split())
