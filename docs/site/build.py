"""Build the documentation as a site, in build/site or another folder: ``make site``.

The pages are those of the repository, the API reference is made from the docstrings, and the
explained demos are copied in as they are. Links between pages are those of the repository, too;
here they are turned to where the pages lie in the site.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path

import api

import chainrule as cr
from chainrule.explain.demos import DEMOS, demo

ROOT = Path(__file__).parents[2]
BUILD = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "build"
SOURCE = BUILD / "site-source"
#: The navigation: titles of groups, and the pages of the repository in them; other pages of docs/
#: come in a group of their own.
NAVIGATION = {
    "Start": {
        "README.md": "chainrule", "docs/install.md": "Install",
        "examples/data/README.md": "Example data",
    },
    "Kinds of data": {
        "docs/tables.md": "Tables", "docs/text.md": "Texts", "docs/series.md": "Series",
        "docs/images.md": "Images", "docs/audio.md": "Sounds",
        "docs/sequence_to_text.md": "From anything to text",
        "docs/translations.md": "Twenty translations",
        "docs/generative.md": "Generative networks", "docs/learning_on.md": "Learning on",
        "docs/reinforcement_learning.md": "Reinforcement learning",
    },
    "Backpropagation": {
        "docs/textbook.md": "The textbook", "docs/explain.md": "Explanations",
        "docs/explain_page.md": "The page of an explanation",
        "docs/learn.md": "Exercises and the course",
        "docs/conventions.md": "Conventions",
    },
    "Reference": {
        "docs/command_line.md": "Command line", "docs/operations.md": "Operations",
        "docs/from_pytorch.md": "From PyTorch", "docs/scikit_learn.md": "scikit-learn",
        "docs/onnx.md": "ONNX", "docs/export.md": "C for devices",
        "docs/weights.md": "Weights of other systems",
        "docs/scale.md": "From a laptop to a cluster",
        "docs/reliability.md": "Reliability",
        "docs/architecture.md": "Architecture", "benchmarks/README.md": "Benchmarks",
        "CONTRIBUTING.md": "Contributing", "CHANGELOG.md": "Changelog",
    },
}  # fmt: skip
_LINK = re.compile(r"(!?\[[^\]]*\]\()<?([^)\s>#]*)(#[^)\s>]*)?>?(\))")
_FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)


def site_path(path: str) -> str:
    """Where a file of the repository lies in the site."""
    if path == "README.md":
        return "index.md"
    path = path.removeprefix("docs/")
    if path.endswith("README.md"):
        return path.removesuffix("/README.md") + "/index.md"
    return f"{path}.md" if path.endswith((".py", ".c")) else path


class Pages:
    """The pages of the site, and the files that they link to."""

    def __init__(self) -> None:
        self.written: set[str] = set()

    def add(self, path: str) -> None:
        """Write a file of the repository, and all that it links to, into the source of the site."""
        if path in self.written:
            return
        self.written.add(path)
        file, target = ROOT / path, SOURCE / site_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".md"):
            target.write_text(self._linked(path, file.read_text(encoding="utf-8")), "utf-8")
        elif path.endswith((".py", ".c")):
            language = path.rpartition(".")[2]
            code = file.read_text(encoding="utf-8").rstrip()
            target.write_text(f"# {path}\n\n````{language}\n{code}\n````\n", "utf-8")
        else:
            shutil.copyfile(file, target)

    def _linked(self, page: str, text: str) -> str:
        parts = _FENCE.split(text)
        return "".join(
            part if part.startswith("```") else _LINK.sub(lambda m: self._link(page, m), part)
            for part in parts
        )

    def _link(self, page: str, match: re.Match[str]) -> str:
        before, path, anchor, after = match.groups()
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        if not (ROOT / target).is_file():
            raise SystemExit(f"{page}: there is no {path}")
        self.add(target)
        start = posixpath.dirname(site_path(page))
        return f"{before}{posixpath.relpath(site_path(target), start)}{anchor or ''}{after}"


def demos() -> None:
    """The demos as pages of their own, which work in the browser; and the page that lists them."""
    folder = SOURCE / "demos"
    folder.mkdir()
    lines = ["# Demos", "", "Backpropagation with every number, in pages that compute along:", ""]
    for name in DEMOS:
        (folder / f"{name}.html").write_text(demo(name).to_html(), encoding="utf-8")
        lines.append(f'- <a href="{name}.html">{name}</a>')
    (folder / "index.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def navigation(reference: dict[str, str]) -> str:
    """The navigation in zensical's notation."""
    groups = {
        group: {title: site_path(path) for path, title in pages.items()}
        for group, pages in NAVIGATION.items()
    }
    groups["Backpropagation"]["Demos"] = "demos/index.md"
    groups["Python"] = {title: path for path, title in reference.items()}
    lines = []
    for group, pages in groups.items():
        inside = ", ".join(
            f"{{ {json.dumps(t)} = {json.dumps(path)} }}" for t, path in pages.items()
        )
        lines += [f'  {{ "{group}" = [{inside}] }},'] if pages else []
    return "nav = [\n" + "\n".join(lines) + "\n]"


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def prepare() -> None:
    """Write the source of the site."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    pages = Pages()
    told = {path for group in NAVIGATION.values() for path in group}
    others = sorted({f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} - told)
    NAVIGATION["More"] = {path: _title(ROOT / path) for path in others}
    for group in NAVIGATION.values():
        for path in group:
            pages.add(path)
    demos()
    reference = {}
    (SOURCE / "api").mkdir()
    for name, title, text in api.pages():
        (SOURCE / "api" / f"{name}.md").write_text(text, encoding="utf-8")
        reference[f"api/{name}.md"] = title
    settings = (Path(__file__).parent / "zensical.toml").read_text(encoding="utf-8")
    settings = settings.replace("nav = []", navigation(reference))
    settings = settings.replace("VERSION", cr.__version__)
    (BUILD / "zensical.toml").write_text(settings, encoding="utf-8")


def main() -> int:
    """Write the source, and let zensical build the site."""
    prepare()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run([*command, "-f", str(BUILD / "zensical.toml")]).returncode


if __name__ == "__main__":
    sys.exit(main())
