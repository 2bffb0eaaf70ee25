"""Stages of student and teacher side by side."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

ImageShape = tuple[int, int, int]


def pair_stages(student: int, teacher: int) -> list[tuple[int, int]]:
    """Pairs of stages, the last with the last and so on, as many as both networks have.

    Args:
        student: number of stages of the student.
        teacher: number of stages of the teacher.

    Returns:
        Indices in student and teacher, in order.
    """
    count = min(student, teacher)
    return [(student - count + at, teacher - count + at) for at in range(count)]


class StageAdapter(nn.Module):
    """Maps of one network in the shape of another's: a 1 x 1 convolution with bias, and the mean over places.

    Args:
        given: `(C, H, W)` of the maps.
        wanted: `(C', H', W')` of the result.
        always: whether there is a convolution between equal numbers of channels too.
    """

    def __init__(self, given: ImageShape, wanted: ImageShape, *, always: bool) -> None:
        super().__init__()
        adapt = always or given[0] != wanted[0]
        self.size = wanted[1:]
        self.channels: nn.Module = nn.Conv2d(given[0], wanted[0], 1) if adapt else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Adapts maps.

        Args:
            maps: `[N, C, H, W]`.

        Returns:
            `[N, C', H', W']`. Where these places are more, each repeats the nearest.
        """
        maps = self.channels(maps)
        return maps if maps.shape[2:] == self.size else functional.adaptive_avg_pool2d(maps, self.size)
