"""Messages of a layer by destination core: a spike is sent once to each core that holds one of its targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.pipeline.profiling.counts import Activity, LayerActivity
from spikeport.pipeline.profiling.energy.placement import Placement, Reach


@dataclass(frozen=True, kw_only=True)
class Messages:
    """Messages of one layer.

    Attributes:
        received: messages that the cores of the layer receive, `[3, N]`: low, nominal, high.
        leaving: spikes of the last layer, which leave the network, `[N]`; 0 in other layers.
        reach: cores that an input of the layer reaches; None where they are unknown.
    """

    received: np.ndarray
    leaving: np.ndarray
    reach: Reach | None

    @property
    def total(self) -> np.ndarray:
        """Messages that are paid for, `[3, N]`."""
        return self.received + self.leaving


def count_messages(activity: Activity, placement: Placement | None) -> tuple[Messages, ...]:
    """Messages of each layer.

    Events times the cores that their source reaches. Events are not counted by source, so a convolution over several
    cores, whose inputs reach one core or more, has bounds: nominal is the mean over its inputs, low and high are the
    fewest and the most cores of an input. All other layers are exact. Without a placement an event is one message.

    Args:
        activity: the counts.
        placement: cores of the layers; None where they are unknown.
    """
    reaches = placement.reach if placement and placement.reach else (None,) * len(activity.layers)
    return tuple(_messages(layer, reach) for layer, reach in zip(activity.layers, reaches, strict=True))


def _messages(layer: LayerActivity, reach: Reach | None) -> Messages:
    cores = (1.0, 1.0, 1.0) if reach is None else (reach.fewest, reach.mean, reach.most)
    return Messages(
        received=np.outer(cores, layer.events.astype(np.float64)),
        leaving=layer.messages - layer.events,
        reach=reach,
    )
