"""Saved models as programs: ``PREFIX_predict``, and ``PREFIX_learn`` where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from ...engine.compile import Traced, trace
from ...engine.tensor import Tensor
from ...errors import ConfigError
from ...serialization import SavedModel
from ...utils.typing import Array
from .graphs import run_graph
from .int8 import in_int8
from .learning import Learning, Step
from .names import check_prefix
from .program import Argument, Program, State, entry_of
from .raw_inputs import Interface, interface, outputs


def model_program(
    saved: SavedModel,
    name: str,
    learning: Learning | None = None,
    calibration: Sequence[Array] | None = None,
) -> tuple[Program, Interface]:
    """The program of a model, and how it is called.

    Args:
        saved: the model.
        name: the prefix.
        learning: how it goes on learning, if it does.
        calibration: rows as the model takes them, for predictions in 8 bits.

    Raises:
        ConfigError: the name is none of C, or predictions in 8 bits are asked for with learning.
    """
    check_prefix(name)
    made = interface(saved, name, 1)
    out = outputs(saved, name, made)
    step = None if learning is None else Step(saved, learning)
    traced = [_prediction(saved, made, out, step)]
    if step is not None:
        many = interface(saved, name, step.learning.batch)
        traced.append(_learning(step, many))
    state = State(traced)
    entries = [entry_of("predict", "Predicts one row.", traced[0], made.arguments, [out], state)]
    if calibration is not None:
        if step is not None:
            raise ConfigError(
                "What goes on learning predicts in floating point.",
                found="--int8 (int8=) with --train",
                hint="Export it twice, with one of them each, or omit one.",
            )
        entries[0] = in_int8(entries[0], made, calibration, len(saved.classes or ()))
    if step is not None:
        given = [*many.arguments, *step.arguments]
        entries.append(
            entry_of("learn", step.about, traced[1], given, [step.loss], state, guards=[0])
        )
        made.notes += step.notes
    names = {} if step is None else step.names
    takes = f"{len(made.columns)} columns" if made.columns else "arrays"
    program = Program(name, entries, state.stored(names), made.number, made.declarations,
                      made.definitions, made.notes, f"A model of {takes}")  # fmt: skip
    return program, made


def _prediction(saved: SavedModel, made: Interface, out: Argument, step: Step | None) -> Traced:
    """The forward pass of one row."""
    graph = saved.graph(1)

    def predict(*given: Tensor) -> Tensor:
        inputs = made.inputs(given)
        if step is None:
            (found,) = run_graph(graph, inputs, saved.arrays, {})
        else:
            found = step.forward(inputs, graph)
        return found.astype(out.type.dtype.name)

    return trace(predict, *(argument.type for argument in made.arguments))


def _learning(step: Step, many: Interface) -> Traced:
    """A step of training."""
    count = len(many.arguments)

    def learn(*given: Tensor) -> Tensor:
        return step(many.inputs(given[:count]), *given[count:])

    return trace(learn, *(argument.type for argument in (*many.arguments, *step.arguments)))
