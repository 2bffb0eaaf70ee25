"""Statistics of recordings that need no labels, and the distance between two sets of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikeport.pipeline.data.event_synthesis.energy_coefficient import energy_coefficient

FILTERS, SIDE, LEVEL = 16, 5, 1.0  # random filters, their side, and the response above which they count
STRIDE = 2  # pixels between the places of a filter
GRID = 3  # places on a side where the filters' responses are kept apart
WHOLE = ("filters", "filters by place")  # groups that are compared as a whole
WEIGHT = 10.0  # of a coefficient of these groups, which brings it to the size of the others
REACH = 2  # pixels to either side in the correlations
THIRDS = 3  # parts of a recording whose correlations are kept apart
FEW = 4  # events below which a mean place has no meaning
FEWEST = 3  # recordings with a statistic below which it is not compared
FAR = 3.0  # the largest distance in standard deviations
CUTS = np.linspace(0.05, 0.95, 19)  # quantiles that are compared


def statistics(frames: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of each recording, in groups.

    Counts of events by step and polarity; mean and spread of their places; the shift between OFF and ON events, which
    shows the direction of the motion, and the shift from step to step; correlations of ON with OFF events in a step and
    of events with those of the next step, which show edges and motion; responses of random filters, as in the first
    layer of a student that is not trained.

    Args:
        frames: `[N, T, 2, H, W]` of 0 and 1.

    Returns:
        By name float64 `[N, F]`; NaN where a recording has too few events.
    """
    values = (frames > 0).astype(np.float32)
    number, height, width = len(values), *values.shape[3:]
    counts = values.sum((3, 4), dtype=np.float64)  # [N, T, 2]
    both = counts.sum(2)
    y, x = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    rows, columns = values.sum(4, dtype=np.float64), values.sum(3, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.stack([rows @ y, columns @ x], -1) / np.where(counts < FEW, np.nan, counts)[..., None]
        scarce = np.where(both < FEW, np.nan, both)
        place = np.stack([rows.sum(2) @ y, columns.sum(2) @ x], -1) / scarce[..., None]
        square = np.stack([rows.sum(2) @ (y * y), columns.sum(2) @ (x * x)], -1) / scarce[..., None]
    spread = np.sqrt(np.maximum(square - place**2, 0))
    apart = middle[:, :, 1] - middle[:, :, 0]
    flow = place[:, 1:] - place[:, :-1]
    found = {
        "counts": np.log1p(counts).reshape(number, -1),
        "place": place.reshape(number, -1),
        "spread": spread.reshape(number, -1),
        "apart": np.concatenate([apart, apart[..., :1] * apart[..., 1:]], -1).reshape(number, -1),
        "flow": np.concatenate([flow, flow[..., :1] * flow[..., 1:]], -1).reshape(number, -1),
        "within a step": _correlations(values[:, :, 0], values[:, :, 1], counts[..., 0], counts[..., 1]),
        "edges": _correlations(values[:, :, 1], values[:, :, 1], counts[..., 1], counts[..., 1]),
        **_responses(values),
        "between steps": _correlations(values[:, :-1, 1], values[:, 1:, 1], counts[:, :-1, 1], counts[:, 1:, 1]),
    }
    return {name: value for name, value in found.items() if value.shape[1]}  # one step has none between steps


def _correlations(first: np.ndarray, second: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Share of events of `first` that have one of `second` at each shift, by thirds of the recording: `[N, F]`."""
    number, steps, height, width = first.shape
    reach, shifts = REACH, 2 * REACH + 1
    padded = np.pad(second, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    found = np.empty((number, steps, shifts, shifts))
    for down in range(shifts):
        for across in range(shifts):
            moved = padded[:, :, down : down + height, across : across + width]
            found[:, :, down, across] = np.einsum("nthw,nthw->nt", first, moved)
    norm = np.sqrt(left * right)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = found / np.where(np.minimum(left, right) < FEW, np.nan, norm)[..., None, None]
    parts = np.array_split(np.arange(steps), min(THIRDS, steps)) if steps else []
    with np.errstate(invalid="ignore"):
        means = [_nanmean(shares[:, part]) for part in parts]
    return np.stack(means, 1).reshape(number, -1) if means else np.empty((number, 0))


def _responses(values: np.ndarray) -> dict[str, np.ndarray]:
    """Mean response of each random filter by third of the recording, in all and by place: `[N, F]` each."""
    number, steps = values.shape[:2]
    frames = torch.from_numpy(values).flatten(0, 1)
    found = functional.relu(functional.conv2d(frames, _filters(), padding=SIDE // 2, stride=STRIDE) - LEVEL)
    both = {"filters": found.mean((2, 3)), "filters by place": functional.adaptive_avg_pool2d(found, GRID).flatten(1)}
    thirds = min(THIRDS, steps)
    return {
        name: torch.cat([part.mean(1) for part in rates.sqrt().view(number, steps, -1).tensor_split(thirds, 1)], 1)
        .double()
        .numpy()
        for name, rates in both.items()
    }


@lru_cache(maxsize=1)
def _filters() -> Tensor:
    """Smooth random filters of norm 1, `[FILTERS, 2, SIDE, SIDE]`."""
    noise = torch.randn(FILTERS * 2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    hat = torch.tensor([0.25, 0.5, 0.25])
    smooth = functional.conv2d(noise, (hat[:, None] * hat)[None, None], padding=1).view(FILTERS, 2, SIDE, SIDE)
    return smooth / smooth.flatten(1).norm(dim=1)[:, None, None, None]


def _nanmean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    count = known.sum(1)
    return np.where(count, np.where(known, values, 0).sum(1) / np.maximum(count, 1), np.nan)


def distances(real: dict[str, np.ndarray], synthetic: dict[str, np.ndarray]) -> dict[str, float]:
    """Distance between two sets of recordings for each group of statistics.

    For each statistic the mean difference of quantiles, in standard deviations of the real recordings, at most 3, and
    the difference of the shares of recordings that have it. A group's distance is the mean over its statistics. The
    responses of the filters are compared as a whole, by their energy coefficient.

    Args:
        real: statistics of recordings.
        synthetic: statistics of synthetic events.
    """
    found = {name: WEIGHT * energy_coefficient(real[name], synthetic[name]) for name in WHOLE}
    for name, values in real.items():
        if name in WHOLE:
            continue
        (here, known, scale), (there, other, _) = _quantiles(values), _quantiles(synthetic[name])
        apart = np.minimum(FAR, np.abs(here - there).mean(0) / scale)
        apart = np.where(known * len(values) < FEWEST, 0.0, np.where(other * len(synthetic[name]) < FEWEST, FAR, apart))
        found[name] = float(np.mean(apart * known + np.abs(known - other)))
    return found


def _quantiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each column: the quantiles at CUTS of what is known, the share that is known, and a scale of differences."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(ordered).sum(0)
    at = CUTS[:, None] * np.maximum(count - 1, 0)
    below = at.astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low, high = np.take_along_axis(ordered, below, 0), np.take_along_axis(ordered, above, 0)
    quantiles = np.nan_to_num(low + (at - below) * (high - low))
    known = np.where(np.isfinite(values), values, 0)
    mean = known.sum(0) / np.maximum(count, 1)
    spread = np.sqrt(np.where(np.isfinite(values), (known - mean) ** 2, 0).sum(0) / np.maximum(count, 1))
    return quantiles, count / len(values), spread + 0.05 * np.abs(mean) + 1e-3
