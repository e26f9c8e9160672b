"""Names in C of what a user has named: identifiers, comments, strings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

from ...errors import ConfigError

#: Words that C and C++ keep for themselves, and those that the text itself uses.
_TAKEN = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "alignas",
        "alignof",
        "and",
        "asm",
        "bool",
        "catch",
        "class",
        "compl",
        "concept",
        "constexpr",
        "delete",
        "explicit",
        "export",
        "false",
        "friend",
        "module",
        "mutable",
        "namespace",
        "new",
        "noexcept",
        "not",
        "nullptr",
        "operator",
        "or",
        "private",
        "protected",
        "public",
        "requires",
        "template",
        "this",
        "throw",
        "true",
        "try",
        "typeid",
        "typename",
        "using",
        "virtual",
        "xor",
        "main",
        "arena",
        "state",
        "bytes",
        "inputs",
        "outputs",
        "constants",
        "idx",
    ]
)
_LONGEST = 40


def check_prefix(name: str) -> str:
    """A name that all names of the C text begin with.

    Raises:
        ConfigError: it is no identifier of C; the hint is one that works.

    Example:
        >>> check_prefix("pump_2")
        'pump_2'
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name, re.IGNORECASE) or name in _TAKEN or (
        len(name) > _LONGEST or name.lower().startswith("cr_")
    ):  # fmt: skip
        raise ConfigError(
            "Names in C cannot begin with this.",
            expected=f"letters, digits and _, a letter first, at most {_LONGEST}, no word of C",
            found=repr(name)[:80],
            hint=f"--name {identifier(name, 'model')} (name= in Python)",
        )
    return name


def identifier(text: str, instead: str) -> str:
    """The nearest identifier of C.

    Args:
        text: any.
        instead: what to take if nothing of it is left.

    Example:
        >>> [identifier(text, "column_1") for text in ("Größe in m", "价格", "2nd")]
        ['Grosse_in_m', 'column_1', 'x_2nd']
    """
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    plain = plain.encode("ascii", "ignore").decode()
    found = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:_LONGEST]
    if not found:
        return instead
    if found[0].isdigit():
        found = f"x_{found}"
    return f"{found}_" if found in _TAKEN or found.startswith("cr_") else found


def identifiers(texts: Iterable[str], instead: str, taken: Collection[str] = ()) -> list[str]:
    """Identifiers that are all different.

    Example:
        >>> identifiers(["a b", "a-b", "!"], "column")
        ['a_b', 'a_b_2', 'column_3']
    """
    found: list[str] = []
    for number, text in enumerate(texts, 1):
        name = first = identifier(text, f"{instead}_{number}")
        repeated = 1
        while name in found or name in taken:
            repeated += 1
            name = f"{first}_{repeated}"
        found.append(name)
    return found


def comment(text: str, longest: int = 60) -> str:
    """A user's text in a comment: nothing in it can end the comment or continue a line.

    Example:
        >>> comment("km*/ system(1); /*")
        'km__ system(1); __'
    """
    tidy = "".join(c if c.isascii() and c.isprintable() and c not in "*\\/?" else "_" for c in text)
    return tidy if len(tidy) <= longest else f"{tidy[: longest - 3]}..."


def string(text: str) -> str:
    r"""A string of C, in UTF-8.

    Example:
        >>> print(string('a"b?ö'))
        "a\042b\077\303\266"
    """
    plain = frozenset(b" +-_.,:;()=<>")
    octets = (chr(b) if (chr(b).isalnum() and b < 128) or b in plain else f"\\{b:03o}"
              for b in text.encode())  # fmt: skip
    return f'"{"".join(octets)}"'
