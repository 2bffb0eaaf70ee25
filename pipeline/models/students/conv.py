"""Chains of convolution blocks: any number of them, and the published VGG-SNN."""

from __future__ import annotations

from torch import nn

from spikeport.errors import UserError
from spikeport.pipeline.models.students.base import POOL, Student, make_neurons, make_norm, needs_bias, with_heads
from spikeport.pipeline.run.recipe import Student as StudentRecipe

# 64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-AP2; None is a pool.
VGG_SNN = (64, 128, None, 256, 256, None, 512, 512, None, 512, 512, None)
VGG_KERNEL = 3

Shape = tuple[int, ...]


def conv_blocks(recipe: StudentRecipe, input_shape: Shape, *, norm: bool) -> tuple[dict[str, nn.Module], int]:
    """Blocks of conv, batch norm, cells that halve the frame, flattened; and how many signals come out.

    A block halves by the convolution's stride, or by an average pool behind the cells.
    """
    channels, height, width = input_shape
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


def conv_student(
    recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
) -> Student:
    """Convolution blocks, an optional hidden dense layer, an output layer that fires."""
    if not recipe.channels:
        raise UserError(
            "a conv student has at least one block", where="student.channels", hint='name one, or network = "mlp"'
        )
    layers, width = conv_blocks(recipe, input_shape, norm=norm)
    if recipe.hidden:
        layers["hidden"] = nn.Linear(width, recipe.hidden, bias=needs_bias(recipe))
        layers["hidden_cell"] = make_neurons(recipe, recipe.hidden)
        width = recipe.hidden
    return with_heads(layers, width, classes, recipe, shared=shared_head)


def vgg_student(
    recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
) -> Student:
    """The VGG-SNN of He et al. (AAAI 2024), eight convolutions of 3 x 3 and four average pools, `width` times as wide.

    Their cell is u <- u + (I - u) / 2, firing from u = 0.5 on. With v = 2 u that is v <- v / 2 + I, firing from v = 1:
    beta = 0.5 and v_threshold = 1.0 here, on the same weights. (Here v must exceed the threshold, as on the chip; and
    the outputs are cells that count, where theirs are a dense layer's mean.)
    """
    channels, *sides = input_shape
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


def _block(
    name: str, channels: int, wider: int, recipe: StudentRecipe, *, kernel: int, stride: int, norm: bool
) -> dict[str, nn.Module]:
    block: dict[str, nn.Module] = {
        f"conv{name}": nn.Conv2d(
            channels, wider, kernel, stride=stride, padding=kernel // 2, bias=needs_bias(recipe, norm=norm)
        )
    }
    if norm:
        block[f"norm{name}"] = make_norm(recipe, wider, nn.BatchNorm2d)
    block[f"conv{name}_cell"] = make_neurons(recipe, wider)
    return block


def _halved(side: int, recipe: StudentRecipe, index: int) -> int:
    """Side of the frame behind block `index`. Raises UserError where no network on the chip could do the
    same."""
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
