"""Words from data that give a terminal no commands."""

from __future__ import annotations

#: What may make a terminal do something, or show what is not there: control characters, and those
#: that turn the direction of writing. They stand in data, whose words are shown.
_COMMANDS = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\t\n"
}
#: The same as a pattern, but for control characters, which JSON escapes itself.
ESCAPED = f"[{''.join(chr(code) for code in _COMMANDS if code >= 0x20)}]"


def harmless(text: str) -> str:
    r"""The text without what would command a terminal; its length stays the same.

    Example:
        >>> harmless("price\x1b[2J")
        'price�[2J'
    """
    return text.translate(_COMMANDS)
