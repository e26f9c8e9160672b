"""Options that several kinds have, but not all."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from ..option_values import layer_sizes, names, text
from ..options import DATA, NETWORK, TrainingOptions, option


@dataclass(frozen=True)
class ColumnOptions(TrainingOptions):
    """Options of data in columns, and of networks with hidden layers that can be chosen."""

    features: tuple[str, ...] | None = option(
        None, "Columns to use; all others by default.", "A,B,…", DATA, names
    )
    drop: tuple[str, ...] = option((), "Columns to leave out.", "A,B,…", DATA, names)
    hidden: tuple[int, ...] | None = option(
        None, "Sizes of the hidden layers, or none.", "128,64", NETWORK, layer_sizes
    )


@dataclass(frozen=True)
class SplitOptions(TrainingOptions):
    """Options of data whose examples are rows of a table, or of a table of files."""

    split_by_group: str | None = option(
        None,
        "Rows with the same value here, such as a patient's, stay on one side of every split.",
        "COLUMN",
        DATA,
        text,
    )
    split_by_time: str | None = option(
        None, "The latest rows by this column are the test set.", "COLUMN", DATA, text
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split_by_group is not None and self.split_by_time is not None:
            both = f"split-by-group={self.split_by_group} and split-by-time={self.split_by_time}"
            raise ConfigError(
                "A split follows groups or time, not both.",
                found=both,
                hint="Omit one of the two.",
            )

    @property
    def splits_by(self) -> tuple[str, ...]:
        """The column that says how rows are split, if there is one."""
        return tuple(name for name in (self.split_by_group, self.split_by_time) if name)

    def check_no_columns(self, where: str) -> None:
        """Refuse to split what has no columns by one.

        Raises:
            ConfigError: that is asked for.
        """
        if self.splits_by:
            name = "group" if self.split_by_group else "time"
            raise ConfigError(
                "What is no table has no column to split by.",
                where=where,
                expected="a table, whose rows have such a column",
                found=f"--split-by-{name} {self.splits_by[0]}",
                hint=f"Omit --split-by-{name}, or name a table of the files with their classes.",
            )
