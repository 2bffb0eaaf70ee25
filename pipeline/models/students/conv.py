"""Chains of convolution blocks: any number of them, and the published VGG-SNN."""

from __future__ import annotations

from torch import nn

from spikeport.errors import UserError
from spikeport.pipeline.models.neurons.base import Place
from spikeport.pipeline.models.neurons.table import make_neurons, make_norm, needs_bias
from spikeport.pipeline.models.students.base import POOL, Student
from spikeport.pipeline.models.students.network import StudentNetwork, plane_of, with_heads
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.values import Shape

# 64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-AP2; None is a pool.
VGG_SNN = (64, 128, None, 256, 256, None, 512, 512, None, 512, 512, None)
VGG_KERNEL = 3


class Conv(StudentNetwork):
    """Convolution blocks, an optional hidden dense layer, output neurons."""

    summary = "convolution blocks that halve the frame by stride or average pool"
    options = ("channels", "kernel", "downsample", "hidden", "norm_steps")

    def places(self, recipe: StudentRecipe) -> frozenset[Place]:
        return frozenset({"conv", "output", *(("dense",) if recipe.hidden else ())})

    def build(
        self, recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
    ) -> Student:
        if not recipe.channels:
            raise UserError(
                "a conv student needs at least one block", where="student.channels", hint='name one, or network = "mlp"'
            )
        layers, width = conv_blocks(recipe, input_shape, norm=norm)
        if recipe.hidden:
            layers["hidden"] = nn.Linear(width, recipe.hidden, bias=needs_bias(recipe, "dense"))
            layers["hidden_neurons"] = make_neurons(recipe, recipe.hidden, "dense")
            width = recipe.hidden
        return with_heads(layers, width, classes, recipe, shared=shared_head)


class VggSnn(StudentNetwork):
    """The VGG-SNN of He et al. (AAAI 2024): eight 3 x 3 convolutions, four average pools, `width` times as wide.

    The published neuron is u <- u + (I - u) / 2, firing from u = 0.5 on. With v = 2 u that is v <- v / 2 + I, firing
    from v = 1: beta = 0.5 and v_threshold = 1.0 here, on the same weights. (Here v must exceed the threshold, as on the
    chip, and the outputs are neurons whose spikes are counted; the published outputs are the mean of a dense layer.)
    """

    summary = "eight convolutions and four average pools"
    options = ("width", "norm_steps")

    def places(self, recipe: StudentRecipe) -> frozenset[Place]:
        return frozenset({"conv", "output"})

    def build(
        self, recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
    ) -> Student:
        channels, *sides = plane_of(input_shape)
        layers: dict[str, nn.Module] = {}
        blocks = pools = 0
        for planned in VGG_SNN:
            if planned is None:
                if any(side % POOL for side in sides):
                    raise UserError(
                        f"frames of {input_shape[1]} x {input_shape[2]} do not halve four times",
                        where="student.network",
                        cause="a pool that drops a row cannot be folded into the next layer",
                        hint="set data.height and data.width to multiples of 16 (48)",
                    )
                pools += 1
                layers[f"pool{pools}"] = nn.AvgPool2d(POOL)
                sides = [side // POOL for side in sides]
                continue
            wider, blocks = max(1, round(planned * recipe.width)), blocks + 1
            layers |= _block(f"{blocks}", channels, wider, recipe, kernel=VGG_KERNEL, stride=1, norm=norm)
            channels = wider
        layers["flatten"] = nn.Flatten()
        return with_heads(layers, channels * sides[0] * sides[1], classes, recipe, shared=shared_head)


def conv_blocks(recipe: StudentRecipe, input_shape: Shape, *, norm: bool) -> tuple[dict[str, nn.Module], int]:
    """Flattened blocks of convolution, batch norm and neurons, and the number of their outputs.

    A block halves the frame by the convolution's stride, or by an average pool behind the neurons.

    Args:
        recipe: `[student]`.
        input_shape: `(C, H, W)` of a frame.
        norm: whether blocks have a batch norm.
    """
    channels, height, width = plane_of(input_shape)
    layers: dict[str, nn.Module] = {}
    by_stride = recipe.downsample == "stride"
    for index, wider in enumerate(recipe.channels, start=1):
        layers |= _block(
            f"{index}", channels, wider, recipe, kernel=recipe.kernel, stride=2 if by_stride else 1, norm=norm
        )
        height, width = (_halved(side, recipe, index) for side in (height, width))
        if not by_stride:
            layers[f"pool{index}"] = nn.AvgPool2d(POOL)
        channels = wider
    layers["flatten"] = nn.Flatten()
    return layers, channels * height * width


def _block(
    name: str, channels: int, wider: int, recipe: StudentRecipe, *, kernel: int, stride: int, norm: bool
) -> dict[str, nn.Module]:
    block: dict[str, nn.Module] = {
        f"conv{name}": nn.Conv2d(
            channels, wider, kernel, stride=stride, padding=kernel // 2, bias=needs_bias(recipe, "conv", norm=norm)
        )
    }
    if norm:
        block[f"norm{name}"] = make_norm(recipe, wider, nn.BatchNorm2d, "conv")
    block[f"conv{name}_neurons"] = make_neurons(recipe, wider, "conv")
    return block


def _halved(side: int, recipe: StudentRecipe, index: int) -> int:
    """Side of the frame behind block `index`. Raises UserError where the chip could not compute the same."""
    overlap = 2 * (recipe.kernel // 2) - recipe.kernel + 1  # 1 for even kernels, which grow the frame
    if recipe.downsample == "stride":
        return (side + overlap - 1) // 2 + 1
    side += overlap
    if side % POOL:
        raise UserError(
            f"an average pool of {POOL} x {POOL} would drop a row of the {side} that block {index} gives",
            where="student.downsample",
            cause="folded into the next convolution it would reach into that row",
            hint='choose data.height and data.width that halve evenly (32, 48, 64), or downsample = "stride"',
        )
    return side // POOL
