"""Folders of sounds with what is said in them: a text beside each, or lists of names and texts.

a.wav  a.txt   b.wav  b.txt …           a text file beside each sound
prompts.txt: ``name: text``             a list, as of Asterisk's prompts; ``;`` begins a comment
84-121123.trans.txt: ``name text``      as of LibriSpeech; names without the ending of the file
metadata.csv: ``name|text|text``        as of LJ Speech; the last text counts
"""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from .kinds.audio import KIND as AUDIO

#: Endings of texts beside sounds, and of lists.
_BESIDE = (".txt", ".lab")
_LISTS = (".txt", ".txt.gz", ".list", ".csv", ".tsv", ".trans", ".text")
#: What stands between name and text.
_SEPARATORS = (":", "|", "\t", ",", " ")
#: So many files are looked at to know a folder; lists are no larger than so many bytes.
_SAMPLE, _LARGEST = 2000, 1 << 26


@dataclass
class Transcripts:
    """Sounds of a folder, and their texts.

    Attributes:
        paths: of all sounds.
        texts: by path; of a sound without one there is none.
        found: where the texts stand, in words; empty without any.
        left_out: other files by their ending.
    """

    paths: list[str]
    texts: dict[str, str] = field(default_factory=dict)
    found: str = ""
    left_out: Counter[str] = field(default_factory=Counter)


def is_sound(path: str) -> bool:
    """Whether a file is called like a sound."""
    return path.lower().endswith(AUDIO.endings)


def has_transcripts(folder: str | os.PathLike[str], files: Iterable[str]) -> bool:
    """Whether half of the sounds of a folder or more have a text, by some of its files."""
    some = []
    for path in files:
        some.append(path)
        if len(some) >= _SAMPLE:
            break
    found = transcripts_of(os.fspath(folder), some, lambda path: "x")
    return bool(found.paths) and 2 * len(found.texts) >= len(found.paths)


def transcripts_of(
    folder: str, files: Iterable[str], read: Callable[[str], str] | None = None
) -> Transcripts:
    """The sounds among these files, with the texts that stand beside them or in lists.

    Args:
        folder: that holds them.
        files: their paths.
        read: the text of a file; UTF-8 without it.
    """
    found = Transcripts([])
    texts: dict[str, str] = {}  # by path without the ending
    lists = []
    for path in files:
        if is_sound(path):
            found.paths.append(path)
            continue
        stem, ending = os.path.splitext(path)
        if ending.lower() in _BESIDE:
            texts[stem] = path
        if path.lower().endswith(_LISTS) or os.path.basename(path) in ("text", "transcripts"):
            lists.append(path)
        found.left_out[ending.lower() or "without an ending"] += 1
    read = read or text_of
    for path in found.paths:
        beside = texts.get(os.path.splitext(path)[0])
        if beside is not None:
            found.texts[path] = read(beside)
            found.left_out[os.path.splitext(beside)[1].lower()] -= 1
    if found.texts:
        found.found = "a text file beside each"
    else:
        _from_lists(found, folder, lists)
    found.left_out = +found.left_out
    return found


def _from_lists(found: Transcripts, folder: str, lists: list[str]) -> None:
    """Texts of lists whose lines name sounds of the folder."""
    names = _names(found.paths, folder)
    used = []
    for path in lists:
        if not names or os.path.getsize(path) > _LARGEST:
            continue
        whole = text_of(path).splitlines()
        lines = [line for line in whole if line.strip() and line[0] not in ";#"]
        best = max((dict(_named(lines, s, names)) for s in _SEPARATORS), key=len)
        if best and 2 * len(best) >= min(len(lines), len(found.paths)):
            found.texts |= best
            found.left_out[os.path.splitext(path)[1].lower() or "without an ending"] -= 1
            used.append(os.path.relpath(path, folder))
    if used:
        found.found = f"in {', '.join(used[:3])}{', …' if len(used) > 3 else ''}"


def _names(paths: list[str], folder: str) -> dict[str, str]:
    """How a list may call each sound: by its path or name, with or without the ending.

    Names that two sounds have are none.
    """
    found: dict[str, str] = {}
    twice = set()
    for path in paths:
        whole = os.path.relpath(path, folder).replace(os.sep, "/")
        last = whole.rpartition("/")[2]
        inner = whole.partition("/")[2]  # a language's folder is above those of a list
        for name in {whole, last, inner, *(os.path.splitext(n)[0] for n in (whole, last, inner))}:
            if name and found.setdefault(name, path) != path:
                twice.add(name)
    return {name: path for name, path in found.items() if name not in twice}


def _named(lines: list[str], separator: str, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, found, text = line.partition(separator)
        path = names.get(name.strip().replace("\\", "/"))
        if found and path is not None:
            # A text in several forms has the one in words last.
            yield path, (text.rpartition("|")[2] or text) if separator == "|" else text.strip()


def text_of(path: str) -> str:
    """The text of a file, which may be packed; bytes that are no UTF-8 as Latin-1."""
    opened = gzip.open if path.lower().endswith(".gz") else open
    with opened(path, "rb") as file:
        data = file.read(_LARGEST)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
