"""The settings of an adaptation and their ranges."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from spikeport.errors import UserError

RANGES: dict[str, tuple[float, float]] = {
    "epochs": (0, inf),
    "batch": (1, inf),
    "lr": (0, inf),
    "shift": (0, inf),
    "rotation": (0, 180),
    "scale": (0, 0.9),
    "event_drop": (0, 1),
    "seed": (0, inf),
    "message_bits": (0, 8),
    "widen": (1, 8),
    "threads": (0, inf),
}


@dataclass(frozen=True, kw_only=True)
class AdaptSettings:
    """Settings of an adaptation.

    Attributes:
        epochs: epochs of the training; 0: the rounded network with matched rates is the result.
        batch: samples of a batch.
        lr: learning rate of AdamW, which falls by a cosine.
        shift: largest shift of frames in pixels in each batch; the source answers the shifted frames.
        rotation: largest rotation of frames in degrees.
        scale: largest change of size; 0.1: from 0.9 to 1.1 times.
        event_drop: largest share of events that are dropped from a sample of a batch.
        temperature: of the output loss.
        classes: weight of the class loss.
        rates: weight of the rate loss.
        ema_decay: decay of the moving average of the weights, over steps, which is the result; 0: the last weights are.
        seed: seed of all random numbers.
        message_bits: bits of input counts; 0: inputs are spikes.
        widen: channels of hidden layers per channel of the source.
        threads: threads of torch; 0: torch's default.

    Raises:
        UserError: a setting is outside its range.
    """

    epochs: int = 30
    batch: int = 28
    lr: float = 2e-3
    shift: int = 2
    rotation: float = 10.0
    scale: float = 0.1
    event_drop: float = 0.2
    temperature: float = 2.0
    classes: float = 1.0
    rates: float = 1.0
    ema_decay: float = 0.97
    seed: int = 0
    message_bits: int = 0
    widen: int = 1
    threads: int = 0

    def __post_init__(self) -> None:
        for key, (low, high) in RANGES.items():
            value = getattr(self, key)
            whole = isinstance(getattr(AdaptSettings, key), int)
            if not low <= value <= high or (whole and value % 1 != 0):
                legal = f"{low} or more" if high == inf else f"{low} to {high}"
                raise UserError(f"{key} = {value} is outside its range", where="adapt",
                                hint=f"give {'a whole number, ' if whole else ''}{legal}")  # fmt: skip
