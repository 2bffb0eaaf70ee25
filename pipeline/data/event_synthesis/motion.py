"""What moves in front of an event camera, and how the camera sees it, as numbers that can be fitted to recordings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from spikeport.errors import UserError

# Least spreads of a motion that is fitted to FEW recordings; places in sides of a frame.
LEAST = {
    "spread_rad": 0.25, "speed_spread": 0.8, "drift_spread": 1.5, "size_spread": 0.25, "gain_spread": 0.6,
    "offset_spread": 1 / 24, "reverse": 0.2,
}  # fmt: skip
FEW = 20


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A family of scenes: each image draws its own from these distributions.

    The path has up to three straight segments of equal duration. Angles are from right to down, as x and y of an image.
    A fly-by is one segment, N-MNIST's saccades are three, a hand-held object is mostly `shake` and `wander`, and a
    screen that flickers stands still. A tracked window follows the object: edges fire along the motion, at their own
    places.

    Attributes:
        segments: straight segments of the path.
        heading_rad: direction of the first segment.
        turn_2_rad: by how much the second segment is turned from the first.
        turn_3_rad: by how much the third segment is turned from the second.
        spread_rad: standard deviation of the whole path's direction between recordings; 3 and more is any direction.
        reverse: share of recordings in which the path is run in the opposite direction.
        speed: mean speed in pixels a time step.
        speed_spread: standard deviation of its logarithm between recordings.
        ease: 0 is an even speed in a segment, 1 starts and ends at rest.
        drift: mean change of the speed from the middle to the last step, as a share; above 1 the motion turns back.
        drift_spread: its standard deviation between recordings.
        tracked: 0 is a window at rest, 1 a window that follows the object.
        shake: amplitude of a shake in pixels.
        shake_cycles: its cycles in all steps.
        shake_spread: standard deviation of the logarithm of both between recordings.
        wander: speed of a random walk in pixels a time step, in each direction, as of a camera in a hand.
        rotation_rad: standard deviation of the rotation a time step.
        zoom_rate: standard deviation of the growth a time step.
        offset_y, offset_x: mean place of the object, in pixels from the middle.
        offset_spread: standard deviation of the place in pixels.
        size: mean size of the object, 1 is that of the image.
        size_spread: standard deviation of its logarithm.
        least_steps, most_steps: a recording ends after a number of time steps between these.
        bright: 1 where the object is brighter than its surroundings as bright parts of an image are, 0 where bright
            parts of an image are dark.
        blur: mean standard deviation of the blur in pixels.
        lag_steps: time constant of the pixels' low-pass filter in time steps. Behind a fast object events trail.
        gain: mean number of events of a full change from black to white.
        gain_spread: standard deviation of its logarithm between recordings.
        on_share: sensitivity to brighter, as a share of both.
        mismatch: standard deviation between pixels of the logarithm of their sensitivity.
        noise: probability of an event without a cause, for each pixel, polarity and time step.
        flicker: amplitude of a change of all light, as a share.
        flicker_cycles: its cycles in all steps.
    """

    segments: int = 1
    heading_rad: float = 0.0
    turn_2_rad: float = 0.0
    turn_3_rad: float = 0.0
    spread_rad: float = 3.0
    reverse: float = 0.5
    speed: float = 2.0
    speed_spread: float = 0.3
    ease: float = 0.5
    drift: float = 0.0
    drift_spread: float = 0.3
    tracked: float = 0.0
    shake: float = 0.0
    shake_cycles: float = 2.0
    shake_spread: float = 0.0
    wander: float = 0.0
    rotation_rad: float = 0.0
    zoom_rate: float = 0.0
    offset_y: float = 0.0
    offset_x: float = 0.0
    offset_spread: float = 1.0
    size: float = 1.0
    size_spread: float = 0.1
    least_steps: float = 1e6
    most_steps: float = 1e6
    bright: int = 1
    blur: float = 0.7
    lag_steps: float = 0.0
    gain: float = 2.0
    gain_spread: float = 0.3
    on_share: float = 0.5
    mismatch: float = 0.1
    noise: float = 0.001
    flicker: float = 0.0
    flicker_cycles: float = 2.0

    def widened(self, recordings: int, side: int) -> Motion:
        """The same motion with spreads that are not below what so few recordings can show.

        Recordings of a few objects have less variety than those to come. The least spreads fall with the root of the
        number of recordings, as the error of a mean does.

        Args:
            recordings: number of recordings that it was fitted to, 1 or more.
            side: the shorter side of the frames in pixels.
        """
        factor = min(1.0, (FEW / recordings) ** 0.5)
        least = {name: factor * value * (side if name == "offset_spread" else 1) for name, value in LEAST.items()}
        reverse = min(max(self.reverse, least.pop("reverse")), 1 - factor * LEAST["reverse"])
        return replace(
            self, **{name: max(getattr(self, name), value) for name, value in least.items()}, reverse=reverse
        )

    def to_text(self) -> str:
        """JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_text(cls, text: str, where: str) -> Motion:
        """Reads JSON text.

        Args:
            text: the text.
            where: the file, for errors.

        Raises:
            UserError: it is not a motion.
        """
        try:
            values = json.loads(text)
            known = {field.name: field.type for field in fields(cls)}
            if set(values) != set(known):
                raise ValueError(f"keys {sorted(set(values) ^ set(known))}")
            read: dict[str, Any] = {
                name: int(value) if known[name] == "int" else float(value) for name, value in values.items()
            }
            return cls(**read)
        except (ValueError, TypeError) as error:
            raise UserError("is not a fitted motion", where=where, cause=str(error), hint="fit it again") from None
