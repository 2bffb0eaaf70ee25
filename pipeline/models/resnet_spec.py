"""Specifications of the residual networks, for teachers and for spiking students."""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.errors import UserError

MIN_SIDE = 8  # of a frame or image; a smaller one cannot be halved often enough
LARGE_SIDE = 64  # of an image; for larger ones a teacher has a 7 x 7 stem with stride 2 and a max pool


@dataclass(frozen=True)
class ResNetSpec:
    """The layers of a residual network.

    Attributes:
        stem: channels of the first convolution.
        stages: of each stage, channels, number of blocks of two convolutions, and stride of the first block.
        dense: width of a dense layer between the pooled maps and the output, 0 for none.
    """

    stem: int
    stages: tuple[tuple[int, int, int], ...]
    dense: int = 0

    def scaled(self, width: float) -> ResNetSpec:
        """The same network with another number of channels.

        Args:
            width: factor of the number of channels; at least one channel remains.
        """

        def times(channels: int) -> int:
            return max(1, round(channels * width))

        stages = tuple((times(channels), blocks, stride) for channels, blocks, stride in self.stages)
        return ResNetSpec(times(self.stem), stages, times(self.dense) if self.dense else 0)

    def weight_layers(self) -> int:
        """Number of convolutions and dense layers on the longest path, which is the number in the network's name."""
        return 1 + sum(2 * blocks for _, blocks, _ in self.stages) + (2 if self.dense else 1)


# He et al. 2016 for 18 and 20, Zheng et al. 2021 (tdBN) for 19.
RESNETS: dict[str, ResNetSpec] = {
    "resnet18": ResNetSpec(64, ((64, 2, 1), (128, 2, 2), (256, 2, 2), (512, 2, 2))),
    "resnet19": ResNetSpec(128, ((128, 3, 1), (256, 3, 2), (512, 2, 2)), dense=256),
    "resnet20": ResNetSpec(16, ((16, 3, 1), (32, 3, 2), (64, 3, 2))),
}


def check_side(height: int, width: int, where: str) -> None:
    """Checks that frames or images are large enough.

    Args:
        height: height in pixels.
        width: width in pixels.
        where: recipe key, for the error.

    Raises:
        UserError: they are too small.
    """
    if min(height, width) < MIN_SIDE:
        raise UserError(
            f"{height} x {width} is too small for this network",
            where=where,
            hint=f"set data.height and data.width to at least {MIN_SIDE}",
        )
