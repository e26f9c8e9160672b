"""What all optimizers have in common: parameter groups, penalties, clipping and state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ..engine.ir.types import float64
from ..engine.ops import astype, flush_subnormal, sign, where
from ..engine.tensor import Buffer, Parameter, Tensor, as_tensor
from ..errors import ConfigError, ShapeError, unknown
from ..nn.module import Module
from ..utils.typing import Array
from .clipping import Shared, clip_by_norm, clip_by_value
from .repeated import repeated
from .schedules import Constant, Schedule
from .state import arrays, load, named_parameters, need, need_between

#: State or numbers by name, as the formulas name them.
Named = dict[str, Tensor]

_optimizers: dict[str, type[Optimizer]] = {}
#: Every optimizer by its name in lower case, such as ``adamw``.
OPTIMIZERS: Mapping[str, type[Optimizer]] = MappingProxyType(_optimizers)


@dataclass(eq=False)
class Optimizer:
    """Base of all optimizers.

    An update is made of operations only, so it is the same eagerly and inside `chainrule.compile`.
    All parameters get it in this order, at update t = 1, 2, …:

        g ← ∂L/∂w                                                (−∂L/∂w with ``maximize``)
        g ← g clipped to ±clip_value, then ‖g‖ to clip_norm      (if given)
        g ← g + l2 · w + l1 · sign(w)                            penalties ½ l2 Σw² + l1 Σ|w|
        g ← g + weight_decay · w                                 (an L2 penalty too), or
        w ← w − rate · weight_decay · w                          (``decoupled_weight_decay``)
        w ← `apply_single`                                       the formula of the class

    State too small for a normal number of its type becomes 0 (`chainrule.ops.flush_subnormal`).

    Args:
        model: what is trained: a module, a dict or list of parameters, or a list of groups
            ``{"params": …, option: …}`` with options of their own (see `groups_by_path`). Frozen
            parameters are left untouched. A parameter may belong to two optimizers: each changes
            it when it is updated, from the value that it finds.
        lr: the learning rate, a number or a `Schedule`.
        weight_decay: λ above.
        decoupled_weight_decay: subtract the decay from the weights instead of adding it to the
            gradient (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019).
        l1: sparsity: the subgradient of the absolute values, 0 at 0.
        l2: the same as a weight decay that is not decoupled.
        decay: which parameters the decay and both penalties apply to: "all", "matrices" (two
            axes or more, so no biases and no scales of normalisations), or a function
            ``(path, parameter) -> bool``.
        clip_norm: the largest norm of all gradients together; see `clip_by_norm`.
        clip_value: the largest absolute value in a gradient.
        maximize: gradient ascent instead of descent.

    Attributes:
        steps: how many updates were done (a buffer).
        rate: the learning rate of the last update, of the first group (a buffer).
        groups: the groups of parameters, each with its options.

    Raises:
        ConfigError: an option has an invalid value, or a parameter is in two groups.

    Example:
        >>> import chainrule as cr
        >>> w = {"w": cr.parameter([1.0, -2.0])}
        >>> optimizer = cr.optim.SGD(w, lr=0.1)
        >>> loss, gradients = cr.value_and_grad(lambda p: (p["w"] ** 2).sum())(w)
        >>> optimizer.update(gradients, loss=loss)
        >>> w["w"]
        Tensor([ 0.8, -1.6])
    """

    model: Any = field(repr=False)
    lr: float | Schedule = 1e-3
    weight_decay: float = field(default=0.0, kw_only=True)
    decoupled_weight_decay: bool = field(default=False, kw_only=True)
    l1: float = field(default=0.0, kw_only=True)
    l2: float = field(default=0.0, kw_only=True)
    decay: str | Callable[[str, Parameter], bool] = field(default="all", kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    maximize: bool = field(default=False, kw_only=True)

    #: Options that concern all gradients together and so no single group.
    _OF_ALL: ClassVar[tuple[str, ...]] = ("model", "clip_norm", "clip_value", "maximize")

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            _optimizers[cls.__name__.lower()] = cls

    def __post_init__(self) -> None:
        for option in ("clip_norm", "clip_value"):
            if getattr(self, option) is not None:
                need_between(self, option)
                need(getattr(self, option) > 0, self, option, "a number above 0, or None")
        self.steps = Buffer(0)
        self.groups = list(self._make_groups())

    # ---- what a class of optimizers defines --------------------------------------------------

    def check(self) -> None:
        """Raise ConfigError for invalid options; called once for each group."""
        if not isinstance(self.lr, Schedule):
            need_between(self, "lr")
        for option in ("weight_decay", "l1", "l2"):
            need_between(self, option)
        known = self.decay in ("all", "matrices") or callable(self.decay)
        need(known, self, "decay", "all, matrices, or a function of path and parameter")

    def initial_state(self) -> dict[str, float]:
        """The state of each parameter: for each array its name and first value."""
        return {}

    def initial_memory(self) -> dict[str, float]:
        """The state that all parameters share: numbers by name; see `numbers`."""
        return {}

    def numbers(self, t: Tensor, rate: Tensor, memory: Mapping[str, Buffer]) -> Named:
        """Numbers that are the same for all parameters, computed once an update in float64.

        Args:
            t: the count of this update, from 1.
            rate: its learning rate.
            memory: the state of `initial_memory`, to be read and assigned.
        """
        return {"rate": rate}

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        """The new value of one parameter, and its new state.

        Args:
            w: the parameter.
            g: its gradient.
            state: what `initial_state` named.
            n: what `numbers` gave, of the type of the parameter.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `apply_single`")

    # ---- use ---------------------------------------------------------------------------------

    def update(
        self,
        gradients: Mapping[str, Any] | Sequence[Any],
        loss: Tensor | None = None,
        norm: Tensor | None = None,
    ) -> None:
        """Change the parameters by one step.

        Args:
            gradients: as `chainrule.value_and_grad` gives them for the same model: by path, or a
                list in the order of the parameters. Further ones are ignored.
            loss: the loss, for schedules that follow it.
            norm: `global_norm` of the gradients, if it is known already and ``clip_norm`` is set.

        Raises:
            ConfigError: the gradient of a parameter is missing; the message names its path.
            ShapeError: a gradient has another shape than its parameter.
        """
        given = self._matched(gradients)
        options = [group.options for group in self.groups]
        parts = [self, *self.groups, *options, *_nested(self.schedules())]
        repeated(self, self._change, parts)(given, loss, norm)

    def _change(self, given: Named, loss: Tensor | None, norm: Tensor | None) -> None:
        given = self._prepared(given, norm)
        t = astype(self.steps + 1, float64)
        rates: dict[Schedule, Tensor] = {}
        for group in self.groups:
            if group.schedule not in rates:  # a schedule with state moves on once
                rates[group.schedule] = group.schedule(self.steps, loss)
            group.update(given, t, rates[group.schedule])
        self.steps.assign(self.steps + 1)

    def step(self, loss: Tensor | None = None) -> None:
        """Change the parameters by the gradients that ``loss.backward()`` left in ``.grad``.

        Example:
            >>> import chainrule as cr
            >>> w = cr.parameter(1.0)
            >>> optimizer = cr.optim.SGD([w], lr=0.1)
            >>> for _ in range(3):
            ...     optimizer.zero_grad()
            ...     loss = (w - 3.0) ** 2
            ...     loss.backward()
            ...     optimizer.step()
            >>> round(w.item(), 3)
            1.976
        """
        found = {}
        for group in self.groups:
            for path, w in group.parameters.items():
                if (gradient := w.grad) is not None:
                    found[path] = gradient
        self.update(found, loss)

    def zero_grad(self) -> None:
        """Drop the gradients in ``.grad``, so that the next `backward` starts from zero."""
        for group in self.groups:
            for w in group.parameters.values():
                w.grad = None

    def observe(self, value: float) -> None:
        """Pass the validation metric to the schedules; once an epoch, outside of compiled code."""
        for schedule in self.schedules():
            schedule.observe(value)

    @property
    def rate(self) -> Buffer:
        """The learning rate of the last update, of the first group."""
        return self.groups[0].rate

    @property
    def schedule(self) -> Schedule:
        """The schedule of the first group; of a constant rate: ``schedule.set(0.01)``."""
        return self.groups[0].schedule

    def set_rate(self, lr: float | Schedule) -> None:
        """Use another learning rate or schedule from now on, for all groups.

        A step that was compiled before keeps the old one. Schedules count all updates so far.
        """
        schedule = lr if isinstance(lr, Schedule) else Constant(lr)
        self.lr = schedule
        for group in self.groups:
            group.schedule = schedule

    def schedules(self) -> list[Schedule]:
        """The schedules of all groups, each once."""
        return list(dict.fromkeys(group.schedule for group in self.groups))

    def parameters(self) -> dict[str, Parameter]:
        """The parameters of all groups by path, frozen ones included."""
        return {path: w for group in self.groups for path, w in group.parameters.items()}

    # ---- state -------------------------------------------------------------------------------

    def buffers(self) -> dict[str, Buffer]:
        """The optimizer state, by name: all that changes besides the parameters."""
        found = {"steps": self.steps}
        for number, group in enumerate(self.groups):
            found[f"rate.{number}"] = group.rate
            found |= {f"memory.{number}.{key}": buffer for key, buffer in group.memory.items()}
            for path, state in group.state.items():
                found |= {f"{key}.{path}": buffer for key, buffer in state.items()}
            for path, late in group.late.items():
                found[f"begun.{path}"] = late.begun
                found |= {f"memory.{path}.{key}": buffer for key, buffer in late.memory.items()}
        for number, schedule in enumerate(self.schedules()):
            for key, buffer in schedule.buffers().items():
                found[f"schedule.{number}.{key}"] = buffer
        return found

    def state(self) -> dict[str, Array]:
        """Copies of all that is needed to go on to the bit: arrays by name."""
        return arrays(self.buffers())

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state` gave.

        Raises:
            ConfigError: it belongs to another optimizer or network. Nothing is changed then.
        """
        for group in self.groups:
            for path in group.parameters:
                if any(f"{key}.{path}" in state for key in group.options.initial_state()):
                    group.state_of(path)
        before = [group.late for group in self.groups]
        for group in self.groups:
            group.late = _late_of(group, state)
        try:
            load(self.buffers(), state, "optimizer")
        except ConfigError:
            for group, late in zip(self.groups, before, strict=True):
                group.late = late
            raise

    def to_config(self) -> dict[str, Any]:
        """The name, rate and options as JSON data, without the groups.

        Raises:
            ConfigError: ``decay`` is a function, which has no JSON form.
        """
        need(not callable(self.decay), self, "decay", "all or matrices")
        options = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "model"}
        if isinstance(self.lr, Schedule):
            options["lr"] = self.lr.to_config()
        return {"name": type(self).__name__.lower(), **options}

    # ---- inside ------------------------------------------------------------------------------

    def _make_groups(self) -> Iterator[Group]:
        parts: Any = self.model
        is_list = isinstance(parts, (list, tuple)) and bool(parts)
        if not (is_list and all(isinstance(part, dict) and "params" in part for part in parts)):
            parts = [{"params": parts}]
        allowed = [one.name for one in fields(self) if one.name not in self._OF_ALL]
        common = self.lr if isinstance(self.lr, Schedule) else None
        paths: dict[str, int] = {}
        owners: dict[int, str] = {}
        for number, part in enumerate(parts):
            own = {key: value for key, value in part.items() if key != "params"}
            for option in own:
                if option not in allowed:
                    raise unknown(f"option of group {number}:", option, allowed)
            parameters = named_parameters(part["params"], start=len(paths))
            for path, w in parameters.items():
                _need_new(path, w, number, paths, owners)
            options = copy.copy(self)
            vars(options).update(own)
            options.check()
            if "lr" in own or common is None:
                schedule = options.lr if isinstance(options.lr, Schedule) else Constant(options.lr)
                common = common if "lr" in own else schedule  # groups without their own share it
            else:
                schedule = common
            yield Group(options, parameters, schedule)

    def _matched(self, gradients: Mapping[str, Any] | Sequence[Any]) -> Named:
        """The gradient of each parameter that is not frozen, by its path."""
        if not isinstance(gradients, Mapping):
            gradients = dict(zip(self.parameters(), gradients, strict=False))
        found: Named = {}
        parameters = self.parameters() if len(self.groups) > 1 else self.groups[0].parameters
        for path, w in parameters.items():
            if not w.requires_grad:
                continue
            kind, given = w.node.type, gradients.get(path)
            if type(given) is Tensor and given.node.type == kind:  # as usual
                found[path] = given
                continue
            if path not in gradients:
                raise ConfigError(
                    "The gradient of a parameter is missing.",
                    where=f"parameter {path!r}",
                    expected="the gradients of all parameters that are not frozen",
                    found=", ".join(map(repr, gradients)) or "none: was backward() called?",
                    hint="Does the loss depend on it? If it is not to be learned, freeze it. "
                    "Optimizer and gradients must be of the same model, so that paths agree.",
                )
            g = as_tensor(gradients[path], w.dtype)
            if g.shape != w.shape:
                raise ShapeError(
                    "A gradient must have the shape of its parameter.",
                    where=f"parameter {path!r}",
                    expected=str(w.shape),
                    found=str(g.shape),
                )
            found[path] = g
        return found

    def _prepared(self, gradients: Named, norm: Tensor | None) -> Named:
        if self.maximize:
            gradients = {path: -g for path, g in gradients.items()}
        if self.clip_value is not None:
            gradients, norm = clip_by_value(gradients, self.clip_value), None
        if self.clip_norm is not None:
            gradients = clip_by_norm(gradients, self.clip_norm, norm)
        return gradients


def _nested(schedules: Sequence[Schedule]) -> Iterator[Schedule]:
    """The schedules, and those inside them."""
    for schedule in schedules:
        yield schedule
        yield from _nested([child for _, child in schedule._children()])


class Group:
    """Parameters that share options and a learning rate.

    Attributes:
        options: a copy of the optimizer with the options of this group.
        parameters: by path.
        schedule: gives the learning rate.
        rate: the learning rate of the last update.
        state: the arrays of each parameter, from its first update.
        memory: the numbers that all parameters share.
        late: of parameters that were frozen at first, from when they count their updates.
    """

    def __init__(
        self, options: Optimizer, parameters: dict[str, Parameter], schedule: Schedule
    ) -> None:
        self.options = options
        self.parameters = parameters
        self.schedule = schedule
        self.rate = Buffer(0.0, float64)
        self.memory = {
            key: Buffer(value, float64) for key, value in options.initial_memory().items()
        }
        self.state: dict[str, dict[str, Buffer]] = {}
        self.late: dict[str, _Late] = {}
        for path, w in parameters.items():
            if w.requires_grad:
                self.state_of(path)

    def state_of(self, path: str) -> dict[str, Buffer]:
        """The optimizer state of a parameter."""
        if path not in self.state:
            w = self.parameters[path]
            self.state[path] = {
                key: Buffer(np.full(w.shape, value, w.dtype))
                for key, value in self.options.initial_state().items()
            }
        return self.state[path]

    def _decays(self, path: str, w: Parameter) -> bool:
        decay = self.options.decay
        return decay(path, w) if callable(decay) else decay == "all" or w.ndim >= 2

    def update(self, gradients: Named, t: Tensor, rate: Tensor) -> None:
        """Change those parameters of the group that have a gradient."""
        o = self.options
        self.rate.assign(rate)
        shared: dict[_Late | None, dict[str, Shared]] = {None: self._shared(t, rate, self.memory)}
        new: _Late | None = None
        for path, parameter in self.parameters.items():
            if path not in gradients:
                continue  # it is frozen
            if path not in self.state:
                new = self.late[path] = new or _Late(o)
            late = self.late.get(path)
            if late is not None and late not in shared:
                shared[late] = self._shared(late.count(t), rate, late.memory)
            w: Tensor = parameter
            g = gradients[path]
            n = {key: number.like(w) for key, number in shared[late].items()}
            if self._decays(path, parameter):
                if coupled := o.l2 + (0.0 if o.decoupled_weight_decay else o.weight_decay):
                    g = g + coupled * w
                if o.l1:
                    g = g + o.l1 * sign(w)
                if "keep" in n:
                    w = w * n["keep"]
            state = self.state_of(path)
            value, new_state = o.apply_single(w, g, dict(state), n)
            parameter.assign(value)
            for key, array in new_state.items():
                state[key].assign(flush_subnormal(array))

    def _shared(self, t: Tensor, rate: Tensor, memory: Mapping[str, Buffer]) -> dict[str, Shared]:
        """The numbers of an update, for all parameters that have had as many."""
        o = self.options
        numbers = o.numbers(t, rate, memory)
        if o.decoupled_weight_decay and o.weight_decay:
            numbers["keep"] = 1 - o.weight_decay * rate
        return {key: Shared(number) for key, number in numbers.items()}


class _Late:
    """What parameters share that had their first update together, after those of others.

    They count their own updates: corrections of a bias towards the first state depend on them.
    """

    def __init__(self, options: Optimizer, begun: float = -1.0) -> None:
        self.begun = Buffer(begun, float64)  # how many updates there were before; -1: not begun
        self.memory = {
            key: Buffer(value, float64) for key, value in options.initial_memory().items()
        }

    def count(self, t: Tensor) -> Tensor:
        """The number of this update, from 1, if t is that of the others."""
        begun = where(self.begun < 0, t - 1, self.begun)
        self.begun.assign(begun)
        return t - begun


def _late_of(group: Group, state: Mapping[str, Any]) -> dict[str, _Late]:
    """For each path in a stored state the parameters that began with it."""
    together: dict[float, _Late] = {}
    found = {}
    for path in group.parameters:
        if f"begun.{path}" in state:
            begun = float(state[f"begun.{path}"])
            found[path] = together.setdefault(begun, _Late(group.options, begun))
    return found


def _need_new(
    path: str, w: Parameter, number: int, paths: dict[str, int], owners: dict[int, str]
) -> None:
    """A parameter, and a path, belong to one group only."""
    if id(w) in owners:
        raise ConfigError(
            "A parameter is given to the optimizer twice.",
            where=f"group {number}, parameter {path!r}",
            found=f"the same parameter as {owners[id(w)]!r}",
            hint="Weights that layers share have one path, the first; keep them in one group.",
        )
    if path in paths:
        raise ConfigError(
            "Two groups use the same path for different parameters.",
            where=f"group {number}, parameter {path!r}",
            found=f"the path is in group {paths[path]} already",
            hint="Take the groups from the whole model with cr.optim.groups_by_path.",
        )
    owners[id(w)] = path
    paths[path] = number


def groups_by_path(model: Module, options: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups of a model's parameters, chosen by the beginning of their path.

    Args:
        model: the whole model, so that the paths are those of its gradients.
        options: for a path such as ``"body"`` or ``"layers.0"`` the options of the parameters
            there; the longest path that fits counts. All others keep the optimizer's options.

    Example:
        >>> import chainrule as cr
        >>> class Net(cr.nn.Module):
        ...     def __init__(self):
        ...         self.body = [cr.parameter(1.0), cr.parameter(2.0)]
        ...         self.head = cr.parameter(3.0)
        >>> groups = cr.optim.groups_by_path(Net(), {"body": {"lr": 1e-5}})
        >>> [(sorted(group["params"]), group.get("lr")) for group in groups]
        [(['head'], None), (['body.0', 'body.1'], 1e-05)]
    """
    parts: dict[str, dict[str, Parameter]] = {"": {}, **{prefix: {} for prefix in options}}
    for path, w in model.parameters().items():
        fits = [prefix for prefix in options if f"{path}.".startswith(f"{prefix.rstrip('.')}.")]
        parts[max(fits, key=len, default="")][path] = w
    for prefix in options:
        if not parts[prefix]:
            raise unknown("path of parameters", prefix, model.parameters())
    return [
        {"params": found, **options.get(prefix, {})} for prefix, found in parts.items() if found
    ]
