"""Spiking ResNets. Their shortcuts become relays on the chip, see `export.lowering.branches`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from spikeport.export.frontends.wiring import INPUT
from spikeport.pipeline.models.neurons.base import Place
from spikeport.pipeline.models.neurons.table import make_neurons
from spikeport.pipeline.models.pointwise import Pointwise
from spikeport.pipeline.models.resnet_spec import RESNETS, ResNetSpec, check_side
from spikeport.pipeline.models.students.base import BranchedBlock, Student
from spikeport.pipeline.models.students.network import StudentNetwork, plane_of, with_heads
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.values import Shape

BRANCH_GAIN = 0.1  # initial gain of the norm behind a block's last convolution


class SpikingBlock(BranchedBlock):
    """conv, norm, neurons, conv, norm; plus the input (through a 1 x 1 conv if the shapes differ); neurons.

    Args:
        channels: channels of the input.
        wider: channels of the output.
        stride: stride of the first convolution.
        recipe: `[student]`. The neurons are always leaky.

    Without norm the convolutions have biases, and the shortcut is a 1 x 1 convolution in any case: one weight a channel
    where shapes are equal, 1 before quantization. A new block passes on what its shortcut gives.
    """

    def __init__(self, channels: int, wider: int, stride: int, recipe: StudentRecipe, *, norm: bool) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(channels, wider, stride, norm=norm), _norm(wider, norm=norm)
        self.conv2, self.norm2 = _conv(wider, wider, 1, norm=norm), _norm(wider, norm=norm)
        self.neurons1, self.neurons2 = make_neurons(recipe, wider, "conv"), make_neurons(recipe, wider, "conv")
        if isinstance(self.norm2, nn.BatchNorm2d):
            _start_as_shortcut(self.norm2, recipe)
        self.shortcut: nn.Module
        if stride == 1 and channels == wider:
            self.shortcut = nn.Identity() if norm else _weighted_identity(channels)
        else:
            pointwise = Pointwise(channels, wider, stride)
            self.shortcut = nn.Sequential(pointwise, nn.BatchNorm2d(wider)) if norm else pointwise

    def deployed(self) -> list[tuple[str, nn.Module]]:
        """See `BranchedBlock.deployed`."""
        return [
            ("conv1", self.conv1),
            ("conv1_neurons", self.neurons1),
            ("conv2", self.conv2),
            ("shortcut", self.shortcut),
            ("conv2_neurons", self.neurons2),
        ]

    def wiring(self) -> dict[str, tuple[str, ...]]:
        """See `BranchedBlock.wiring`."""
        return {"conv1": (INPUT,), "shortcut": (INPUT,), "conv2_neurons": ("conv2", "shortcut")}

    def passed(self) -> frozenset[str]:
        """The first neurons: what enters the block passes them."""
        return frozenset({"conv1_neurons"})

    def fold_norms(self, fold: Callable[[nn.Conv2d | nn.Linear, nn.Module], Tensor | None]) -> None:
        """See `BranchedBlock.fold_norms`."""
        for synapse, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2)):
            bias = fold(synapse, norm)
            synapse.bias = None if bias is None else nn.Parameter(bias)
        self.norm1, self.norm2 = nn.Identity(), nn.Identity()
        if isinstance(self.shortcut, nn.Identity):
            self.shortcut = _weighted_identity(self.conv2.out_channels)
        elif isinstance(self.shortcut, nn.Sequential):
            pointwise, norm = self.shortcut
            assert isinstance(pointwise, nn.Conv2d)
            bias = fold(pointwise, norm)
            if bias is not None:
                self.conv2.bias = nn.Parameter(bias if self.conv2.bias is None else self.conv2.bias.detach() + bias)
            self.shortcut = pointwise

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


class SpikingResNet(StudentNetwork):
    """A spiking ResNet: 3 x 3 stem, residual blocks, the mean of the last spikes over places with batch norm.

    Args:
        name: of the specification in `RESNETS`.
        summary: one line for the table of students.
    """

    options = ("width",)

    def __init__(self, name: str, summary: str) -> None:
        self.name, self.summary = name, summary

    def places(self, recipe: StudentRecipe) -> frozenset[Place]:
        return frozenset()

    def build(
        self, recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
    ) -> Student:
        """Builds the student, see `StudentNetwork.build`.

        Args:
            recipe, input_shape, classes, shared_head, norm: as for `StudentNetwork.build`.
        """
        channels, height, width = plane_of(input_shape)
        check_side(height, width, "student.network")
        spec: ResNetSpec = RESNETS[self.name].scaled(recipe.width)
        layers: dict[str, nn.Module] = {
            "conv1": _conv(channels, spec.stem, 1, norm=norm),
            **({"norm1": nn.BatchNorm2d(spec.stem)} if norm else {}),
            "conv1_neurons": make_neurons(recipe, spec.stem, "conv"),
        }
        channels = spec.stem
        for stage, (wider, blocks, stride) in enumerate(spec.stages, start=1):
            for block in range(1, blocks + 1):
                layers[f"stage{stage}_block{block}"] = SpikingBlock(
                    channels, wider, stride if block == 1 else 1, recipe, norm=norm
                )
                channels = wider
            height, width = -(-height // stride), -(-width // stride)  # 3 x 3 with padding 1
        layers["mean"], layers["flatten"] = nn.AvgPool2d((height, width)), nn.Flatten()
        if norm:
            layers["mean_norm"] = nn.BatchNorm1d(channels)
        if spec.dense:
            layers["dense"], layers["dense_neurons"] = (
                nn.Linear(channels, spec.dense),
                make_neurons(recipe, spec.dense, "dense"),
            )
            channels = spec.dense
        return with_heads(layers, channels, classes, recipe, shared=shared_head)


def _conv(channels: int, wider: int, stride: int, *, norm: bool) -> nn.Conv2d:
    return nn.Conv2d(channels, wider, 3, stride=stride, padding=1, bias=not norm)


def _norm(channels: int, *, norm: bool) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm else nn.Identity()


def _start_as_shortcut(norm: nn.BatchNorm2d, recipe: StudentRecipe) -> None:
    """Sets the norm of a block's last convolution so that the block passes on what its shortcut gives.

    The gain is small, as in Goyal et al. 2017 (arXiv 1706.02677), who start at 0. The bias alone takes a membrane to
    half the threshold: b + beta b + beta^2 b + ... = b / (1 - beta). So a spike of weight 1 passes a threshold of up to
    1 + b, and nothing fires without one. With the usual gain of 1 the convolutions, whose currents have a variance of
    1, drown the spikes of the shortcut, and after some blocks nothing of the input is left.

    Args:
        norm: the norm.
        recipe: `[student]`.
    """
    nn.init.constant_(norm.weight, BRANCH_GAIN)
    nn.init.constant_(norm.bias, (1 - recipe.beta) * recipe.v_threshold / 2)


def _weighted_identity(channels: int) -> nn.Conv2d:
    """A 1 x 1 convolution that passes each channel on with weight 1."""
    shortcut = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
    nn.init.ones_(shortcut.weight)
    return shortcut
