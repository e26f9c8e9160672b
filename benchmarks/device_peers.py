"""Exported C beside keras2c and TensorFlow Lite Micro, on a simulated Cortex-M4F.

    git clone https://github.com/f0uriest/keras2c
    git clone https://github.com/tensorflow/tflite-micro
    python -m benchmarks.device_peers --keras2c keras2c --tflite-micro tflite-micro

keras2c's program is what its converter writes for such a network: calls of its C library, weights
and results in arrays of the function, which lie on the stack. TensorFlow Lite Micro is built of its
reference kernels, with the registered operations of one model only, and runs the models of its own
examples: the sine network in float32, and the keyword spotter in 8 bits. Its folder also needs
``tp/flatbuffers``, ``tp/gemmlowp`` and ``tp/ruy``, the repositories of these names by Google, and
arm-none-eabi-g++ with its library. Flash is code and constants of everything that is linked but for
the C library and the start; RAM what the program itself needs: arena, or stack of its function.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import chainrule as cr

from .devices import _PRINT, _TICK, _TIMER_C, CORTEX, DEVICES, models, ours, run

BOARD, FLAGS = DEVICES["Cortex-M4F"]


@dataclass(frozen=True)
class Cost:
    """Bytes of flash and RAM, and instructions of a prediction."""

    flash: int
    ram: int
    instructions: int

    def __str__(self) -> str:
        return f"{self.flash:,} | {self.ram:,} | {self.instructions:,}"


# ---- chainrule -----------------------------------------------------------------------------------


def exported(name: str, folder: Path, in_8_bits: bool = False) -> Cost:
    """The cost of one of the models of `benchmarks.devices`."""
    found, source = ours(name, False, folder)
    if in_8_bits:
        x = models()[name]()[1]
        rows = np.random.default_rng(0).uniform(0, 1, (20, *x.shape[1:])).astype(x.dtype)
        found = cr.export_c(folder / "m.safetensors", out=folder, int8=rows)
    (ticks,) = run(BOARD, FLAGS, [Path(source), folder / "model.c"], folder)
    assert found.stack is not None
    return Cost(grown(folder), found.arena + found.stack, ticks * _TICK)


def grown(folder: Path) -> int:
    """Bytes of flash of the program beyond those of one that calls nothing but printf."""
    size = _linked(folder)
    (folder / "nothing.c").write_text(
        f"{_TIMER_C}\nint main(void)\n{{\n  timer();\n  const uint32_t before = TICKS;\n"
        f"{_PRINT}\n  return 0;\n}}\n"
    )
    run(BOARD, FLAGS, [folder / "nothing.c"], folder)
    return size - _linked(folder)


def _linked(folder: Path) -> int:
    said = subprocess.run(("arm-none-eabi-size", "program.elf"), cwd=folder, capture_output=True,
                          text=True, check=True).stdout  # fmt: skip
    text, data, *_ = said.splitlines()[1].split()
    return int(text) + int(data)


# ---- keras2c -------------------------------------------------------------------------------------

#: Layers as (name, numbers); images are (height, width, channels).
_DENSE, _CONV, _POOL, _FLAT = "dense", "conv", "pool", "flatten"
NETWORKS: dict[str, tuple[tuple[int, ...], list[tuple[object, ...]]]] = {
    "sine, 1-16-16-1": (
        (1,), [(_DENSE, 16, "relu"), (_DENSE, 16, "relu"), (_DENSE, 1, "linear")]),
    "digits, CNN 28 × 28": (
        (28, 28, 1),
        [(_CONV, (5, 5), 1, 6, "relu"), (_POOL,), (_CONV, (5, 5), 1, 16, "relu"), (_POOL,),
         (_FLAT,), (_DENSE, 64, "relu"), (_DENSE, 10, "softmax")]),
    "keywords, CNN 49 × 40": (
        (49, 40, 1), [(_CONV, (10, 8), 2, 8, "relu"), (_FLAT,), (_DENSE, 4, "softmax")]),
    "anomalies, autoencoder 64-32-8-32-64": (
        (64,), [(_DENSE, 32, "relu"), (_DENSE, 8, "linear"), (_DENSE, 32, "relu"),
                (_DENSE, 64, "linear")]),
}  # fmt: skip


class _Keras2c:
    """Writes a network as keras2c does: a function with all arrays in it."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.arrays: list[str] = []
        self.calls: list[str] = []
        self.count = 0

    def tensor(self, shape: Sequence[int], filled: bool = False) -> str:
        """An array and its description; filled with weights, or with zeros."""
        name, total = f"t{self.count}", int(np.prod(shape))
        self.count += 1
        values = self.random.normal(0, 0.1, total) if filled else [0]
        text = ",".join(f"{v:+.8e}f" if filled else "0" for v in values)
        extents = ",".join(map(str, [*shape, *[1] * (5 - len(shape))]))
        self.arrays.append(f"float {name}_array[{total}] = {{{text}}};")
        self.arrays.append(
            f"k2c_tensor {name} = {{&{name}_array[0], {len(shape)}, {total}, {{{extents}}}}};"
        )
        return name

    def layer(
        self, x: str, shape: tuple[int, ...], layer: tuple[object, ...]
    ) -> tuple[str, tuple[int, ...]]:
        """One more layer; its result, and the shape of that."""
        kind, *rest = layer
        if kind == _FLAT:
            out = self.tensor((int(np.prod(shape)),))
            self.calls.append(f"k2c_flatten(&{out}, &{x});")
            return out, (int(np.prod(shape)),)
        if kind == _POOL:
            shape = (shape[0] // 2, shape[1] // 2, shape[2])
            out = self.tensor(shape)
            self.calls.append(
                f"k2c_maxpool2d(&{out}, &{x}, (size_t[]){{2, 2}}, (size_t[]){{2, 2}});"
            )
            return out, shape
        if kind == _CONV:
            return self._convolution(x, shape, *rest)  # type: ignore[arg-type]
        units, activation = rest
        assert isinstance(units, int)
        kernel, bias = self.tensor((shape[0], units), True), self.tensor((units,), True)
        out, work = self.tensor((units,)), shape[0] * (units + 1)
        self.arrays.append(f"float {out}_fwork[{work}] = {{0}};")
        self.calls.append(
            f"k2c_dense(&{out}, &{x}, &{kernel}, &{bias}, k2c_{activation}, {out}_fwork);"
        )
        return out, (units,)

    def _convolution(
        self, x: str, shape: tuple[int, ...], window: tuple[int, int], stride: int, channels: int,
        activation: str,
    ) -> tuple[str, tuple[int, ...]]:  # fmt: skip
        high, wide = (-(-n // stride) for n in shape[:2])
        more = [max((n - 1) * stride + w - m, 0)
                for n, w, m in zip((high, wide), window, shape, strict=False)]  # fmt: skip
        pad = [p for n in more for p in (n // 2, n - n // 2)]
        padded = self.tensor((shape[0] + more[0], shape[1] + more[1], shape[2]))
        kernel = self.tensor((*window, shape[2], channels), True)
        bias, out = self.tensor((channels,), True), self.tensor((high, wide, channels))
        pads = ", ".join(map(str, pad))
        self.calls.append(f"k2c_pad2d(&{padded}, &{x}, 0.0f, (size_t[]){{{pads}}});")
        self.calls.append(f"k2c_conv2d(&{out}, &{padded}, &{kernel}, &{bias}, "
                          f"(size_t[]){{{stride}, {stride}}}, (size_t[]){{1, 1}}, "
                          f"k2c_{activation});")  # fmt: skip
        return out, (high, wide, channels)


def keras2c(name: str, library: Path, folder: Path) -> Cost:
    """The cost of a network by keras2c."""
    shape, layers = NETWORKS[name]
    made = _Keras2c()
    at = shape
    first = made.tensor(shape)
    made.calls.append(f"memcpy({first}_array, given, sizeof {first}_array);")
    x = first
    for layer in layers:
        x, at = made.layer(x, at, layer)
    made.calls.append(f"memcpy(out, {x}_array, sizeof {x}_array);")
    text = "\n  ".join([*made.arrays, *made.calls])
    (folder / "network.c").write_text(
        '#include <string.h>\n#include <math.h>\n#include "k2c_include.h"\n'
        "void network(const float *given, float *out);\n"
        f"void network(const float *given, float *out)\n{{\n  {text}\n}}\n"
    )
    inputs, outputs = int(np.prod(shape)), int(np.prod(at))
    (folder / "peer.c").write_text(
        f"{_TIMER_C}\nvoid network(const float *, float *);\n"
        f"static float x[{inputs}], out[{outputs}];\nint main(void)\n{{\n  timer();\n"
        f"  for (int i = 0; i < {inputs}; i++) x[i] = 0.01f * (float)(i % 100);\n"
        f"  const uint32_t before = TICKS;\n  network(x, out);\n{_PRINT}\n  return 0;\n}}\n"
    )
    own = (*FLAGS, f"-I{library / 'include'}", "-w", "-fstack-usage")
    used = ["k2c_core_layers", "k2c_activations", "k2c_helper_functions", "k2c_pooling_layers",
            "k2c_convolution_layers"]  # fmt: skip
    sources = [library / "include" / f"{one}.c" for one in used]
    (ticks,) = run(BOARD, own, [folder / "peer.c", folder / "network.c", *sources], folder)
    (usage,) = folder.glob("*network.su")
    stack = int(re.search(r":network\t(\d+)", usage.read_text())[1])  # type: ignore[index]
    return Cost(grown(folder), stack, ticks * _TICK)


# ---- TensorFlow Lite Micro -----------------------------------------------------------------------

_MICRO, _KERNELS = "tensorflow/lite/micro", "tensorflow/lite/micro/kernels"
_SOURCES = [
    *(f"{_MICRO}/{name}.cc" for name in (
        "debug_log", "flatbuffer_utils", "memory_helpers", "micro_allocation_info",
        "micro_allocator", "micro_context", "micro_interpreter", "micro_interpreter_context",
        "micro_interpreter_graph", "micro_log", "micro_op_resolver", "micro_resource_variable",
        "micro_utils", "arena_allocator/non_persistent_arena_buffer_allocator",
        "arena_allocator/persistent_arena_buffer_allocator",
        "arena_allocator/single_arena_buffer_allocator", "memory_planner/greedy_memory_planner",
        "memory_planner/linear_memory_planner", "tflite_bridge/flatbuffer_conversions_bridge",
        "tflite_bridge/micro_error_reporter",
    )),
    *(f"{_KERNELS}/{name}.cc" for name in (
        "fully_connected", "fully_connected_common", "depthwise_conv", "depthwise_conv_common",
        "conv_common", "softmax", "softmax_common", "reshape", "reshape_common", "kernel_util",
    )),
    *(f"tensorflow/{name}.cc" for name in (
        "lite/core/api/flatbuffer_conversions", "lite/core/api/tensor_utils", "lite/core/c/common",
        "lite/kernels/kernel_util", "lite/kernels/internal/common",
        "lite/kernels/internal/quantization_util", "lite/kernels/internal/portable_tensor_utils",
        "lite/kernels/internal/tensor_ctypes", "lite/kernels/internal/runtime_shape",
        "lite/kernels/internal/reference/portable_tensor_utils", "lite/array",
        "compiler/mlir/lite/core/api/error_reporter", "compiler/mlir/lite/schema/schema_utils",
    )),
]  # fmt: skip
_CXX = ("-mthumb", "-Os", "-std=c++17", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics",
        "-fno-unwind-tables", "-ffunction-sections", "-fdata-sections", "-DTF_LITE_STATIC_MEMORY",
        "-DTF_LITE_STRIP_ERROR_STRINGS", "-DTF_LITE_DISABLE_X86_NEON", "-DNDEBUG",
        "-w")  # fmt: skip
#: Their model, and the operations that it needs, by the name of ours.
_THEIRS = {
    "sine, 1-16-16-1": ("hello_world/models/hello_world_float.tflite", ["FullyConnected"]),
    "keywords, CNN 49 × 40": (
        "micro_speech/models/micro_speech_quantized.tflite",
        ["Reshape", "FullyConnected", "DepthwiseConv2D", "Softmax"],
    ),
}
_TFLM_CC = """
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
@TIMER@
extern "C" {
void *__dso_handle = nullptr; /* for destructors, which do not run */
}
alignas(16) static const unsigned char model_bytes[] = {@MODEL@};
alignas(16) static unsigned char arena[65536];
int main(void)
{
  timer();
  static tflite::MicroMutableOpResolver<@COUNT@> resolver;
  @OPERATIONS@
  static tflite::MicroInterpreter interpreter(tflite::GetModel(model_bytes), resolver, arena,
                                              sizeof arena);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 1;
  TfLiteTensor *const x = interpreter.input(0);
  for (size_t i = 0; i < x->bytes; i++) x->data.uint8[i] = 1;
  const uint32_t before = TICKS;
  if (interpreter.Invoke() != kTfLiteOk) return 1;
@PRINT@
  printf("arena %lu\\n", (unsigned long)interpreter.arena_used_bytes());
  return 0;
}
"""


def tflite_micro(name: str, library: Path, folder: Path) -> Cost:
    """The cost of a network by TensorFlow Lite Micro."""
    file, operations = _THEIRS[name]
    model = (library / _MICRO / "examples" / file).read_bytes()
    text = _TFLM_CC.replace("@TIMER@", _TIMER_C).replace("@PRINT@", _PRINT)
    text = text.replace("@MODEL@", ",".join(map(str, model)))
    text = text.replace("@COUNT@", str(len(operations)))
    text = text.replace("@OPERATIONS@", "\n  ".join(f"resolver.Add{o}();" for o in operations))
    (folder / "peer.cc").write_text(text)
    include = [f"-I{library}", f"-I{library}/tp/flatbuffers/include", f"-I{library}/tp/gemmlowp",
               f"-I{library}/tp/ruy"]  # fmt: skip
    compiler = ("arm-none-eabi-g++", *FLAGS, *_CXX, *include)
    objects = []
    (library / "obj").mkdir(exist_ok=True)
    for source in _SOURCES:
        if not (library / source).exists():  # it comes and goes with versions
            continue
        made = library / "obj" / f"{source.replace('/', '_')}.o"
        if not made.exists():
            subprocess.run((*compiler, "-c", str(library / source), "-o", str(made)), check=True)
        objects.append(str(made))
    subprocess.run(
        ("arm-none-eabi-gcc", *FLAGS, "-mthumb", "-Os", "-c", str(CORTEX / "startup.c"), "-o",
         "startup.o"),
        cwd=folder, check=True,
    )  # fmt: skip
    subprocess.run(
        (*compiler, "-specs=rdimon.specs", "-nostartfiles", "-Wl,--gc-sections", "-T",
         str(CORTEX / "board.ld"), "peer.cc", "startup.o", *objects, "-lm", "-o", "program.elf"),
        cwd=folder, check=True,
    )  # fmt: skip
    done = subprocess.run(
        ("qemu-system-arm", "-M", BOARD, "-nographic", "-monitor", "none", "-serial", "none",
         "-semihosting", "-icount", "shift=0", "-kernel", "program.elf"),
        cwd=folder, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    ticks, arena = (int(re.search(rf"^{word} (\d+)$", done.stdout, re.MULTILINE)[1])  # type: ignore[index]
                    for word in ("ticks", "arena"))  # fmt: skip
    return Cost(grown(folder), arena, ticks * _TICK)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras2c", type=Path, metavar="FOLDER")
    parser.add_argument("--tflite-micro", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    print("| model | by | flash | RAM | instructions of a prediction |\n|---|---|---:|---:|---:|")
    for name in models():
        kinds: list[tuple[str, Callable[[Path], Cost]]] = [
            ("chainrule", partial(exported, name)),
            ("chainrule, 8 bits", partial(exported, name, in_8_bits=True)),
        ]
        if chosen.keras2c:
            kinds.append(("keras2c", partial(keras2c, name, chosen.keras2c.resolve())))
        if chosen.tflite_micro and name in _THEIRS:
            by = "tflite-micro" + ", 8 bits" * ("quantized" in _THEIRS[name][0])
            kinds.append((by, partial(tflite_micro, name, chosen.tflite_micro.resolve())))
        for by, measure in kinds:
            with tempfile.TemporaryDirectory() as folder:
                print(f"| {name} | {by} | {measure(Path(folder))} |", flush=True)


if __name__ == "__main__":
    main()
