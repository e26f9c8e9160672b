"""Values and gradients of mapped functions, by JAX's own vmap, for the tests.

    python tests/references/make_vmap.py

needs jax. `vmap.json`: for each case of `vmap_cases.py` its results, as lists of numbers, and the
gradients of their weighted sum with respect to the floating-point arguments; in float64.
"""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from vmap_cases import CASES, VmapCase, arrays_of, weights_of

jax.config.update("jax_enable_x64", True)

#: JAX with all names in one place, as chainrule has them.
names = {name: getattr(jnp, name) for name in dir(jnp) if not name.startswith("_")}
m = types.SimpleNamespace(**names)
m.softmax, m.logsumexp = jax.nn.softmax, jax.scipy.special.logsumexp
m.scan, m.grad, m.vmap = jax.lax.scan, jax.grad, jax.vmap


def numbers(x: Any) -> dict[str, Any]:
    array = np.asarray(x)
    return {"shape": list(array.shape), "data": [float(v) for v in array.reshape(-1)]}


def computed(case: VmapCase) -> dict[str, Any]:
    given = [jax.tree.map(jnp.asarray, x) for x in arrays_of(case)]
    smooth = [i for i in range(len(given)) if i not in case.integers]

    def mapped(*arguments: Any) -> Any:
        one = lambda *x: case.function(m, *x)  # noqa: E731
        return jax.vmap(one, in_axes=case.in_axes, out_axes=case.out_axes)(*arguments)

    def total(*arguments: Any) -> Any:
        results = jax.tree.leaves(mapped(*arguments))
        return sum((y * weights_of(y.shape, i)).sum() for i, y in enumerate(results))

    gradients = jax.grad(total, argnums=tuple(smooth))(*given)
    return {
        "name": case.name,
        "results": [numbers(y) for y in jax.tree.leaves(mapped(*given))],
        "gradients": [numbers(g) for g in jax.tree.leaves(gradients)],
    }


def main() -> None:
    content = {"made_with": f"jax {jax.__version__}", "cases": [computed(case) for case in CASES]}
    lines = ",\n".join(json.dumps(case) for case in content["cases"])
    head = json.dumps(content["made_with"])
    path = Path(__file__).with_name("vmap.json")
    path.write_text(f'{{"made_with": {head}, "cases": [\n{lines}\n]}}\n', encoding="utf-8")
    print(len(CASES), "cases")


if __name__ == "__main__":
    main()
