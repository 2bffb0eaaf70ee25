"""What losses on feature maps have in common."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import WHERE, Sizes
from spikeport.values import ImageShape


def both_maps(sizes: Sizes, loss: str) -> tuple[ImageShape, ImageShape]:
    """`(C, H, W)` of the last maps of student and teacher.

    Args:
        sizes: sizes of data and networks.
        loss: name of the loss, for the error.

    Raises:
        UserError: one of the networks has no maps.
    """
    if sizes.student_map is None or sizes.teacher_map is None:
        raise UserError(
            f"the loss {loss!r} compares maps, and one of the networks has none",
            where=WHERE,
            hint="use other networks, or remove the loss",
        )
    return sizes.student_map, sizes.teacher_map


def common_size(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, int]:
    """Height and width, each the smaller of two shapes.

    Args:
        first: a shape that ends in height and width.
        second: another one.
    """
    return min(first[-2], second[-2]), min(first[-1], second[-1])


def same_places(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps `[N, C, H, W]`, averaged down to their `common_size`.

    Args:
        first: maps.
        second: maps of any other number of samples, channels and places.
    """
    size = common_size(first.shape, second.shape)
    return functional.adaptive_avg_pool2d(first, size), functional.adaptive_avg_pool2d(second, size)
