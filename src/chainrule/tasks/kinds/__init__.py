"""The kinds of data: what is known of each before it is worked with, and the options of each.

Nothing here takes time to load, so that the command line answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import ConfigError
from . import audio, images, sequence_to_text, series, table, text
from .kind import Kind

__all__ = ["KINDS", "Kind", "kind_named"]

#: By name. A new kind has a module here, which is entered here, and a folder beside this one.
KINDS: Mapping[str, Kind] = {
    module.KIND.name: module.KIND
    for module in (table, text, series, images, audio, sequence_to_text)
}


def kind_named(name: str) -> Kind:
    """The kind of data of this name.

    Raises:
        ConfigError: there is no such kind.

    Example:
        >>> kind_named("audio").noun
        'sounds'
    """
    name = name if name in KINDS else name.replace("_", "-")
    if name not in KINDS:
        raise ConfigError(
            f"There is no kind of data {name!r}.",
            expected=", ".join(KINDS),
            hint="The kind of a column is said as column=kind, such as zip=category.",
        )
    return KINDS[name]
