"""What the program chooses where the user says nothing: sizes that follow from the data.

The rules were found on house prices and on small tables of flowers, wines, tumours, digits and
diabetes: few rows want many members with much dropout, more rows one wide network without.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from ..kinds.table import TableOptions
from .network import Shape

#: Below this many rows every row is too precious to be held out for good.
SMALL = 5_000
#: Below this many rows a piecewise encoding of numbers may learn noise (`pieces.py` decides it).
_ENOUGH_FOR_PIECES = 2_000
#: Of more columns of numbers than this, such as pixels or wavelengths, each says little by itself:
#: pieces of them would be millions of weights.
_WIDE = 256
#: From so many rows on they get one plain network with a lower rate: as good and much sooner.
_ENOUGH_FOR_PLAIN, _PLAIN_RATE = 1_000, 1e-3
#: Pieces of a number at most, and rows for each of them.
_PIECES, _ROWS_A_PIECE = 64, 32
#: Training takes at least so many updates: fewer leave the network unfinished.
_UPDATES = 800
_EPOCHS = 20
#: Numbers of so many rows go on improving: twice as many.
_ENOUGH_TO_GO_ON = 1_000
#: And no more than so many, where there are very many rows, but each is seen 3 times at least.
_MOST_UPDATES = 20_000
_FEWEST_EPOCHS = 3
#: So many rows are enough to evaluate on.
_JUDGES = 100_000
#: A rate that is good for all tables.
_RATE = 3e-3


@dataclass(frozen=True)
class Defaults:
    """How a network is trained on a table; made by `choose`.

    Attributes:
        shape: of the network.
        epochs: at most.
        batch_size: rows in a step.
        lr: the highest rate, for optimizers that scale their steps.
        schedule: how it changes.
        weight_decay: of the weights, decoupled.
        folds: members hold out different rows instead of all the same ones.
        held_out: fraction of the rows for validation, which decides which weights are the best.
        test: fraction of the rows for the test set.
        wide: there are so many columns of numbers that none is encoded in pieces.
    """

    shape: Shape
    epochs: int
    batch_size: int
    lr: float
    schedule: str
    weight_decay: float
    folds: bool
    held_out: float
    test: float
    wide: bool = False


def choose(options: TableOptions, rows: int, numbers: int = 0) -> Defaults:
    """The user's options, completed by rules for this many training rows.

    Args:
        options: of the user.
        rows: of training and validation.
        numbers: how many columns of numbers there are.
    """
    small, wide = rows < SMALL, numbers > _WIDE
    plain = wide and rows >= _ENOUGH_FOR_PLAIN
    usual = _power_of_two(4 * math.sqrt(rows), 16, 4096)
    batch = min(options.batch_size or (evenly(rows, usual) if small else usual), rows)
    updates = max(rows // batch, 1)
    members = options.members or (8 if small and not plain else 1)
    members = min(members, max(rows // 2, 1))
    usual_hidden = (128, 128) if small else (256, 256) if wide else (256, 128)
    shape = Shape(
        hidden=usual_hidden if options.hidden is None else options.hidden,
        activation=options.activation or "silu",
        # Many rows leave little to learn by heart; tables of pixels still do.
        dropout=_given(options.dropout, 0.3 if small else 0.1 if wide else 0.0),
        input_dropout=0.1 if small and options.dropout is None else 0.0,
        norm=options.norm or "none",
        members=members,
        bins=0 if wide or rows < _ENOUGH_FOR_PIECES else _PIECES,
        ranks=not plain and rows < _ENOUGH_FOR_PIECES,
        # Beside other losses than the usual ones it would not be the best linear model.
        linear=options.hidden != () and options.loss in (None, "mse", "cross_entropy"),
    )
    most = max(_MOST_UPDATES // updates, _FEWEST_EPOCHS)
    return Defaults(
        shape=shape,
        epochs=options.epochs or max(min(_EPOCHS, most), math.ceil(_UPDATES / updates)),
        batch_size=batch,
        lr=_PLAIN_RATE if plain else _RATE,
        schedule=options.schedule or "cosine",
        weight_decay=_given(options.weight_decay, 0.02),
        # Of rows in time the latest validate every member.
        folds=small and options.validation is None and members > 1 and not options.split_by_time,
        held_out=_given(options.validation, min(0.1, _JUDGES / rows)),
        test=options.test
        if isinstance(options.test, float)
        else (0.2 if small else min(0.1, _JUDGES / rows)),
        wide=wide,
    )


def pieces_for(rows: int) -> int:
    """In how many pieces numbers of so many rows are encoded, at most.

    Example:
        >>> pieces_for(300), pieces_for(5000)
        (9, 64)
    """
    return min(_PIECES, rows // _ROWS_A_PIECE)


def evenly(rows: int, batch: int) -> int:
    """The size of a batch, a multiple of 8, with which the last one of an epoch lacks few rows.

    It is padded to the size of the others, so that it needs no program of its own.

    Example:
        >>> evenly(1500, 128), evenly(1040, 128)
        (128, 120)
    """
    count = math.ceil(rows / batch)
    return min(8 * math.ceil(rows / count / 8), batch)


def for_numbers(shape: Shape) -> Shape:
    """The network of a small table whose target is a number: with little dropout.

    Dropout changes the sizes of what the last layer adds up. A class bears that, a number does not.
    """
    return dataclasses.replace(shape, dropout=min(shape.dropout, 0.1), input_dropout=0.0)


def epochs_for_numbers(epochs: int, rows: int) -> int:
    """How long a small table is trained whose target is a number.

    Example:
        >>> epochs_for_numbers(73, 1_500), epochs_for_numbers(115, 400)
        (146, 115)
    """
    return 2 * epochs if _ENOUGH_TO_GO_ON <= rows < SMALL else epochs


def _given(value: float | None, chosen: float) -> float:
    return chosen if value is None else value


def _power_of_two(x: float, low: int, high: int) -> int:
    return int(min(max(2 ** round(math.log2(x)), low), high))
