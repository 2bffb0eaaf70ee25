"""Spiking ResNets, for comparison in software: netx holds chains of layers, and a shortcut is a branch."""

from __future__ import annotations

from torch import Tensor, nn

from spikeport.pipeline.models.neurons.base import Place
from spikeport.pipeline.models.neurons.table import make_neurons
from spikeport.pipeline.models.pointwise import Pointwise
from spikeport.pipeline.models.resnet_spec import RESNETS, ResNetSpec, check_side
from spikeport.pipeline.models.students.base import BranchedBlock, Student
from spikeport.pipeline.models.students.network import StudentNetwork, with_heads
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.values import Shape


class SpikingBlock(BranchedBlock):
    """conv, norm, neurons, conv, norm; plus the input (through a 1 x 1 conv if the shapes differ); neurons.

    Args:
        channels: channels of the input.
        wider: channels of the output.
        stride: stride of the first convolution.
        recipe: `[student]`. The neurons are always leaky.
    """

    def __init__(self, channels: int, wider: int, stride: int, recipe: StudentRecipe) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(channels, wider, stride), nn.BatchNorm2d(wider)
        self.conv2, self.norm2 = _conv(wider, wider, 1), nn.BatchNorm2d(wider)
        self.neurons1, self.neurons2 = make_neurons(recipe, wider, "conv"), make_neurons(recipe, wider, "conv")
        same = stride == 1 and channels == wider
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(Pointwise(channels, wider, stride), nn.BatchNorm2d(wider))
        )

    def forward(self, spikes: Tensor) -> tuple[list[Tensor], Tensor]:
        """Computes the block.

        Args:
            spikes: `[T, B, C, H, W]`.
        """
        time = spikes.shape[:2]
        flat = spikes.flatten(0, 1)
        inner, _ = self.neurons1(self.norm1(self.conv1(flat)).unflatten(0, time))
        currents = self.norm2(self.conv2(inner.flatten(0, 1))) + self.shortcut(flat)
        outer, membranes = self.neurons2(currents.unflatten(0, time))
        return [inner, outer], membranes


class _SpatialMean(nn.Module):
    def forward(self, spikes: Tensor) -> Tensor:
        return spikes.mean((-2, -1))


class SpikingResNet(StudentNetwork):
    """A spiking ResNet: 3 x 3 stem, residual blocks, the mean of the last spikes over places with batch norm.

    Args:
        name: of the specification in `RESNETS`.
        summary: one line for the table of students.
    """

    options = ("width",)
    not_for_netx = "a shortcut is a branch, and netx holds chains of layers"

    def __init__(self, name: str, summary: str) -> None:
        self.name, self.summary = name, summary

    def places(self, recipe: StudentRecipe) -> frozenset[Place]:
        return frozenset()

    def build(
        self, recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
    ) -> Student:
        """Builds the student, see `StudentNetwork.build`. Batch norms stay without `norm` too.

        Args:
            recipe, input_shape, classes, shared_head, norm: as for `StudentNetwork.build`.
        """
        channels, height, width = input_shape
        check_side(height, width, "student.network")
        spec: ResNetSpec = RESNETS[self.name].scaled(recipe.width)
        layers: dict[str, nn.Module] = {
            "conv1": _conv(channels, spec.stem, 1),
            "norm1": nn.BatchNorm2d(spec.stem),
            "conv1_neurons": make_neurons(recipe, spec.stem, "conv"),
        }
        channels = spec.stem
        for stage, (wider, blocks, stride) in enumerate(spec.stages, start=1):
            for block in range(1, blocks + 1):
                layers[f"stage{stage}_block{block}"] = SpikingBlock(
                    channels, wider, stride if block == 1 else 1, recipe
                )
                channels = wider
        layers["mean"], layers["mean_norm"] = _SpatialMean(), nn.BatchNorm1d(channels)
        if spec.dense:
            layers["dense"], layers["dense_neurons"] = (
                nn.Linear(channels, spec.dense),
                make_neurons(recipe, spec.dense, "dense"),
            )
            channels = spec.dense
        return with_heads(layers, channels, classes, recipe, shared=shared_head)


def _conv(channels: int, wider: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, wider, 3, stride=stride, padding=1, bias=False)
