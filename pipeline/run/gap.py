"""The domain gap of a run: how far its synthetic events are from its recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LayerGap:
    """The gap in one layer.

    Attributes:
        layer: name of the layer.
        gap: 0 where firing rates of both kinds have one distribution, 1 where nothing of them is alike.
        among_recordings: the same between two halves of the recordings: what chance does.
    """

    layer: str
    gap: float
    among_recordings: float


def gap_line(gap: Sequence[LayerGap]) -> str:
    """The gap of all layers as a line of text.

    Args:
        gap: the layers.

    >>> gap_line([LayerGap(layer="conv1", gap=0.25, among_recordings=0.01)])
    'Domain gap of the synthetic events (0 none, 1 complete): conv1 0.25 (0.01 among recordings)'
    """
    layers = ", ".join(f"{each.layer} {each.gap:.2f} ({each.among_recordings:.2f} among recordings)" for each in gap)
    return f"Domain gap of the synthetic events (0 none, 1 complete): {layers}"
