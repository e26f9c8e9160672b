"""The site of the documentation: it builds without a warning, and its links lead somewhere."""

from __future__ import annotations

import functools
import html
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule as cr

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "docs" / "site" / "build.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, str(BUILD), str(folder)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return folder / "site"


def test_links_lead_somewhere(site: Path) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    anchors = {path: set(re.findall(r'id="([^"]*)"', text)) for path, text in pages.items()}
    broken = []

    @functools.cache
    def file_of(folder: Path, path: str) -> Path | None:
        target = (folder / path).resolve()
        target = target / "index.html" if target.is_dir() else target
        return target if target.exists() else None

    for page, text in pages.items():
        if page.name == "404.html" or (page.parent.name == "demos" and page.name != "index.html"):
            continue
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            path, _, anchor = html.unescape(link).partition("#")
            if re.match(r"[a-z]+:|//", link):
                continue
            target = file_of(page.parent, path) if path else page
            there = target and (not anchor or anchor in anchors.get(target, set()))
            broken += [] if there else [f"{page.relative_to(site)}: {link}"]
    assert broken == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    pages = {path.parent.name: path.read_text(encoding="utf-8") for path in site.rglob("api/*/*")}
    headings = re.findall(
        r'<h2 [^>]*>(.*?)<a class="headerlink"', "".join(pages.values()), re.DOTALL
    )
    told = {re.sub(r"<[^>]+>", "", heading).rpartition(".")[2].strip() for heading in headings}
    modules = {name for name in cr.__all__ if inspect.ismodule(getattr(cr, name))}
    assert set(cr.__all__) - modules - told == set()
    assert modules - pages.keys() == set()
