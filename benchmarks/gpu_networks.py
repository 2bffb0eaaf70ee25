"""The networks that gpu_rows.py measures, and the calls that run them on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from spikeport.temporaries import scratch

MLPS = {"mlp-4x256": (4, 256), "mlp-16x512": (16, 512), "mlp-6x4096": (6, 4096)}  # layers and width

Mode = Literal["eager", "graph"]


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network to measure.

    Attributes:
        name: its name.
        module: torch module in eval mode.
        input_shape: shape of one input.
        macs: multiply-accumulates of one inference.
        kernels: kernels of a batch, counted in its ONNX graph.
    """

    name: str
    module: Any
    input_shape: tuple[int, ...]
    macs: int
    kernels: int


def networks() -> list[Network]:
    """The teacher and the ANN of the student's shape of the recipe `digits`, and three MLPs; untrained."""
    import torch
    from torch import nn

    from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
    from spikeport.pipeline.models.students.build import build_student
    from spikeport.pipeline.models.teachers.build import build_teacher
    from spikeport.pipeline.run.recipe_file import find_recipe, load_recipe

    torch.manual_seed(0)
    recipe = load_recipe(find_recipe("digits"))
    side = (recipe.data.height, recipe.data.width)
    teacher = build_teacher(recipe.teacher, (3, *side), 10)
    student = fold_batch_norm(build_student(recipe.student, (2, *side), 10))
    synapses = (nn.Conv2d, nn.Linear, nn.Flatten)
    layers = [layer if isinstance(layer, synapses) else nn.ReLU() for _, layer in student.deployed()]
    found: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        "teacher": (teacher, (3, *side)),
        "ANN of the same shape": (nn.Sequential(*layers[:-1]), (2, *side)),
    }
    small = [counted(name, module.eval(), shape) for name, (module, shape) in found.items()]
    return small + [_mlp(name, depth, width) for name, (depth, width) in MLPS.items()]


def _mlp(name: str, depth: int, width: int) -> Network:
    """Layers of one width with ReLU between them, 10 outputs. A layer is a product and a bias."""
    from torch import nn

    hidden = [part for _ in range(depth - 1) for part in (nn.Linear(width, width), nn.ReLU())]
    return Network(
        name=name,
        module=nn.Sequential(*hidden, nn.Linear(width, 10)).eval(),
        input_shape=(width,),
        macs=(depth - 1) * width**2 + 10 * width,
        kernels=3 * depth - 1,
    )


def counted(name: str, module: Any, shape: tuple[int, ...]) -> Network:
    """A network with its work, counted in its ONNX graph as reports do.

    Args:
        name: its name.
        module: torch module.
        shape: shape of one input.
    """
    import torch

    from spikeport.export.formats.onnx import export_onnx
    from spikeport.pipeline.profiling.gpu_work import count_work

    with scratch() as folder:
        export_onnx(module, torch.rand(2, *shape), folder / "network.onnx")
        work = count_work(folder / "network.onnx")
    return Network(name=name, module=module, input_shape=shape, macs=work.macs.total, kernels=work.kernels)


def runner(network: Network, batch: int, mode: Mode) -> Callable[[], object]:
    """A call that runs one batch, which is in the GPU's memory, and waits for the GPU.

    Args:
        network: the network, on the GPU.
        batch: size of the batch.
        mode: `eager`, or `graph` for kernels that are captured once and replayed.
    """
    import torch

    images = torch.rand(batch, *network.input_shape, device="cuda")

    def eager() -> None:
        with torch.inference_mode():
            network.module(images)
        torch.cuda.synchronize()

    if mode == "eager":
        return eager
    side_stream = torch.cuda.Stream()
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream), torch.inference_mode():
        for _ in range(3):
            network.module(images)
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        network.module(images)

    def replay() -> None:
        graph.replay()
        torch.cuda.synchronize()

    return replay
