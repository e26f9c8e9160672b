"""One record per operation: an operation is an addition, and nobody keeps a list beside."""

import ast
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c import lowering_cache
from chainrule.engine.backends.numpy import ArrayBackend
from chainrule.engine.backends.registry import find_backend
from chainrule.engine.ir import Graph, Node, operation
from chainrule.engine.ir.node import placeholder
from chainrule.engine.ir.notation import Notation
from chainrule.engine.ir.operation import OPERATIONS
from chainrule.engine.ir.types import Type, type_of
from chainrule.engine.ops.declare import unary
from chainrule.engine.passes import optimize
from chainrule.engine.tensor import FUNCTIONS, apply
from chainrule.errors import ChainruleError
from chainrule.explain.checker import check
from chainrule.explain.html.page import arithmetic_script

PACKAGE = Path(cr.__file__).parent


@pytest.fixture(scope="module")
def logcosh():
    """An operation on elements, as a family's file declares it."""
    yield unary(
        "logcosh",
        lambda xp, x: xp.log(xp.cosh(x)),
        lambda g, y, x: g * cr.tanh(x),
        "ln cosh({0})",
        "ln cosh x",
        c={"f": "log{f}(cosh{f}({0}))"},
        js="Math.log(Math.cosh({0}))",
        notation=Notation(
            text="logcosh({0})",
            latex=r"\operatorname{{logcosh}}\left({0}\right)",
            title="log-cosh",
            gradient="The log-cosh has the derivative tanh.",
        ),
    )
    del operation._operations["logcosh"], FUNCTIONS["logcosh"]


X = np.array([[-1.5, 0.25, 2.0], [0.0, 3.0, -0.5]])


def test_it_runs_eagerly(logcosh):
    np.testing.assert_allclose(logcosh(X).numpy(), np.log(np.cosh(X)), rtol=1e-12)


def test_it_runs_in_c(logcosh):
    for dtype, tolerance in ((np.float32, 1e-6), (np.float64, 1e-13)):
        found = cr.compile(lambda x: logcosh(x) * 2.0, backend="c")(X.astype(dtype)).numpy()
        assert found.dtype == dtype
        np.testing.assert_allclose(found, 2 * np.log(np.cosh(X)), rtol=tolerance, atol=tolerance)
    graph = cr.trace(lambda x: logcosh(x), X).graph
    assert "log(cosh(" in lowering_cache.lowered(graph, {}, (), True).source


def test_it_is_differentiated_twice(logcosh):
    assert cr.check_grad(logcosh, X, order=2) < 1e-6
    second = cr.grad(lambda x: cr.grad(lambda x: logcosh(x).sum())(x).sum())(cr.tensor(X))
    np.testing.assert_allclose(second.numpy(), 1 / np.cosh(X) ** 2, rtol=1e-12)


def test_passes_and_batches_know_it(logcosh):
    wide = cr.trace(lambda x: logcosh(cr.broadcast_to(x, (50, 3))), X[0]).graph
    (node,) = [node for node in optimize(wide).nodes if node.op.name == "logcosh"]
    assert node.type.shape == (3,)  # computed once for what is repeated
    from chainrule.engine.batch_independence import rows_are_independent

    graph = cr.trace(lambda x: logcosh(x).sum(1), X).graph
    assert rows_are_independent(graph, {graph.inputs[0]: 0}, 2)


def test_it_is_explained_as_text(logcosh):
    w = cr.parameter(np.array([0.3, -0.7, 1.1]), name="w")
    told = cr.explain(lambda: logcosh(cr.tensor(X[0]) * w).sum(), optimizer="sgd", lr=0.1)
    text = told.to_text()
    assert "logcosh(" in text
    assert "The log-cosh has the derivative tanh." in text
    assert r"\operatorname{logcosh}\left(" in told.to_latex()
    equations = [one for one in check(text) if any("logcosh(" in side for side in one.sides)]
    assert equations
    assert all(one.holds and one.numeric > 1 for one in equations)


def test_the_page_computes_it(logcosh, nodejs):
    script = f"""{arithmetic_script()}
    const {{ of, derivatives }} = ELEMENTWISE.logcosh, x = {X.ravel().tolist()};
    console.log(JSON.stringify(x.map((v) => [of(v), derivatives[0](of(v), v)])));"""
    done = subprocess.run([nodejs, "-"], input=script, capture_output=True, text=True, check=True)
    values, slopes = np.transpose(json.loads(done.stdout))
    np.testing.assert_allclose(values, np.log(np.cosh(X.ravel())), rtol=1e-12)
    np.testing.assert_allclose(slopes, np.tanh(X.ravel()), rtol=1e-12)


def test_the_page_has_every_derivative(nodejs):
    """Those that are made of the rules, at the first sample of each operation, beside the rule."""
    cases = []
    for name, op in OPERATIONS.items():
        sample = next((s for s in op.samples() if s.inputs and np.size(s.inputs[0])), None)
        is_float = sample and all(np.asarray(x).dtype.kind == "f" for x in sample.inputs)
        if not op.js or op.view or not is_float or sample.attributes:
            continue
        operands = [float(np.ravel(x)[0]) for x in sample.inputs]
        if op.type_rule(*(cr.as_tensor(np.float64(x)).type for x in operands)).is_float:
            slopes = cr.grad(
                lambda *x, op=op: apply(op, *map(cr.as_tensor, x)), tuple(range(len(operands)))
            )(*map(np.float64, operands))
            cases.append([name, operands, [float(slope.item()) for slope in slopes]])
    assert len(cases) > 45
    script = f"""{arithmetic_script()}
    const found = {json.dumps(cases)}.map(([name, x]) => {{
      const y = ELEMENTWISE[name].of(...x);
      return ELEMENTWISE[name].derivatives.map((f) => f(y, ...x));
    }});
    console.log(JSON.stringify(found));"""
    done = subprocess.run([nodejs, "-"], input=script, capture_output=True, text=True, check=True)
    for (name, _, expected), found in zip(cases, json.loads(done.stdout), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=name)


def test_what_is_exact_is_equal_on_every_backend():
    """All of it in one program, on the samples and where infinities and NaN matter."""
    special = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 1e-40, 3.0])
    inputs, leaves, outputs = [], [], []
    for op in [op for op in OPERATIONS.values() if op.exact]:
        cases = [(sample.inputs, sample.attributes) for sample in op.samples()]
        if op.elementwise and not op.moves and op.name != "where":
            count = len(op.derivatives)
            cases += [([special, np.roll(special, 3)][:count], {})]
        for arrays, attributes in cases:
            for dtype in ("float32", "float64"):
                given = [np.asarray(x) for x in arrays]
                given = [x.astype(dtype) if x.dtype.kind == "f" else x for x in given]
                nodes = [placeholder(type_of(x), "x", 0) for x in given]
                kind = op.type_rule(*(node.type for node in nodes), **attributes)
                inputs, leaves = [*inputs, *given], [*leaves, *nodes]
                outputs.append(Node(op, tuple(nodes), attributes, kind))
    assert len(outputs) > 250
    graph = Graph(leaves, outputs)
    native, reference = (find_backend(name).build(graph, {}, ()) for name in ("c", "numpy"))
    for node, found, expected in zip(outputs, native(inputs), reference(inputs), strict=True):
        same = (found == expected) | ((found != found) & (expected != expected))
        assert np.all(same), (node, found, expected)


def test_an_array_backend_falls_back_on_the_meaning():
    asked = []

    def exp(xp, x):
        asked.append(x.shape)
        return xp.exp(x)

    graph = cr.trace(lambda x: cr.exp(x) + cr.tanh(x), X).graph
    program = ArrayBackend("mine", np, {"exp": exp}).build(graph, {}, ())
    np.testing.assert_array_equal(program([X])[0], np.exp(X) + np.tanh(X))
    assert asked == [X.shape]


# ---- nobody keeps a list beside ------------------------------------------------------------------


def sources(words=("",)):
    """The name and the tree of each module in which one of the words occurs: parsing takes long."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if any(word in text for word in words):
            yield path.relative_to(PACKAGE).as_posix(), ast.parse(text)


def imported(tree):
    """What a module imports, without the dots in front."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}".strip(".") for alias in node.names)


#: Where operations are declared; the backends' registries of lowerings, of views as strides, and
#: the C functions that they bring.
ABOUT_OPERATIONS = (
    "engine/ops/",
    "engine/backends/c/lowerings.py",
    "engine/backends/c/views.py",
    "engine/backends/c/prelude.py",
    "engine/backends/c/kernels/math.py",
    "engine/backends/c/kernels/linalg.py",
    "engine/backends/xla/lowerings/",
    "engine/backends/xla/trace.py",
    "doctor/measure.py",  # which activations it looks into, each in its way
    "interop/c/int8.py",  # what is quantised
    "interop/c/learning.py",  # what a prediction is made of behind the logits
)


#: Who imports one of these looks at graphs.
GRAPHS = {"Node", "Graph", "Operation", "OPERATIONS"}


def names_in(node):
    if isinstance(node, ast.Dict):
        entries = node.keys
    else:
        entries = node.elts if isinstance(node, (ast.Set, ast.Tuple, ast.List)) else []
    return [x.value for x in entries if isinstance(x, ast.Constant) and x.value in OPERATIONS]


def test_no_set_of_operations_outside_of_their_records():
    """In whatever looks at graphs: names of other things may be alike."""
    found = []
    looked_at = 0
    for name, tree in sources(GRAPHS):
        sees_graphs = {module.rpartition(".")[2] for module in imported(tree)} & GRAPHS
        if sees_graphs and not name.startswith(ABOUT_OPERATIONS):
            looked_at += 1
            found += [
                f"{name}:{node.lineno}: {names_in(node)}"
                for node in ast.walk(tree)
                if len(names_in(node)) > 1
            ]
    assert looked_at > 40
    assert not found, "\n".join(found)


def members_of(made):
    for node in made.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_no_backend_is_asked_for_its_class():
    backends = {
        node.name
        for name, tree in sources(("build", "run_steps"))
        if name.startswith("engine/backends/") or name == "engine/ir/program.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and {"build", "run_steps"} & set(members_of(node))
    }
    assert {"CProgram", "Program", "CBackend", "ArrayBackend"} <= backends
    found = [
        f"{name}:{node.lineno}"
        for name, tree in sources(backends)
        if not name.startswith("engine/backends/c/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in ("isinstance", "issubclass", "type")
        and backends & {x.id for x in ast.walk(node) if isinstance(x, ast.Name)}
    ]
    assert not found


def test_graph_properties_are_not_taken_from_the_c_backend():
    """From outside only what is about C itself is imported: its text, its cache, its tuning."""
    entries = {"engine/backends/registry.py", "engine/backends/updates.py"}
    allowed = {"explain/native.py", "cli/cache.py", *entries}
    users = {
        name
        for name, tree in sources(("backends", ".c.", ".c import"))
        if not name.startswith(("engine/backends/c/", "interop/c/"))  # both write C
        if any(
            f".{module}.".find(".backends.c.") >= 0 or module.startswith("c.")
            for module in imported(tree)
        )
    }
    assert users == allowed


def test_a_set_of_operations_would_be_found():
    (node,) = (n for n in ast.walk(ast.parse('X = {"exp", "log", "other"}')) if names_in(n))
    assert names_in(node) == ["exp", "log"]


def test_operations_on_elements_refuse_operands_of_two_types():
    """Functions broadcast and convert before; a graph from a file may hold anything."""
    looked_at = 0
    for op in OPERATIONS.values():
        sample = next((s for s in op.samples() if len(s.inputs) > 1), None)
        if not op.elementwise or sample is None:
            continue
        types = [type_of(np.asarray(x)) for x in sample.inputs]
        assert op.type_rule(*types, **sample.attributes).shape == types[-1].shape, op.name
        for wrong in (Type(types[-1].dtype, (7, 5)), Type(np.dtype("uint32"), types[-1].shape)):
            with pytest.raises(ChainruleError, match="expected"):
                op.type_rule(*types[:-1], wrong, **sample.attributes)
        looked_at += 1
    assert looked_at > 15


NAMED = [op for op in OPERATIONS.values() if op.numpy is not None]


@pytest.mark.parametrize("op", NAMED, ids=lambda op: op.name)
def test_the_function_of_numpy_is_what_it_computes(op):
    for sample in op.samples():
        arrays = [np.asarray(x) for x in sample.inputs]
        with np.errstate(all="ignore"):
            expected = np.asarray(op.compute(np, *arrays))
            found = op.numpy(*arrays)
        assert (found.dtype, found.tobytes()) == (expected.dtype, expected.tobytes())
        assert not any(np.shares_memory(found, array) for array in arrays)
