"""The reference against Lava on given frames; where they part, a case that anybody can replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import CannotWriteError, UserError
from spikeport.export.backends.compare import Divergence, SpikeComparison, compare_traces, merge
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace, joined
from spikeport.files import atomic_folder, write_json, write_npz
from spikeport.notes import warning
from spikeport.versions import versions

CHUNK_BYTES = 1 << 28  # spikes of all layers kept at once, each side
_SIDES = ("reference", "lava")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`equivalence` over the samples `done` (int64); `lava`: its output spikes and membranes for them. `case`: the
    folder to replay, where the two part and a folder was given. `late`: the time-out, where not all samples are done.
    """

    equivalence: SpikeComparison
    lava: SpikeTrace
    done: np.ndarray
    case: Path | None
    late: UserError | None


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A case run again: whether each side fires as it did then, and whether the two agree now."""

    divergence: Divergence
    reference_as_then: bool
    lava_as_then: bool
    now: SpikeComparison

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def reference_against_lava(
    network: IntegerNetwork,
    frames: Any,
    *,
    rows: np.ndarray | None = None,
    case_folder: Path | None = None,
    workers: int | None = None,
    timeout_s: float = 1800.0,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Runs `frames` `[N, T, *input_shape]` in both, compares every layer (and the membrane where it is the read-out).

    `rows` `[N]`: which of a larger set they are, by which numbers a divergence and its case name samples.
    Where they part, writes the first sample that differs as a case into `case_folder`. When time is up, compares what
    Lava has finished; raises LavaTimeout where that is nothing, and otherwise as the two simulators.
    """
    import time

    from spikeport.export.backends.lava.driver import LavaTimeout, simulate

    samples, steps = frames.shape[:2]
    numbers = np.arange(samples) if rows is None else rows
    size = max(1, CHUNK_BYTES // max(1, steps * sum(layer.neurons for layer in network.layers)))
    end = time.monotonic() + timeout_s
    parts: list[SpikeComparison] = []
    outputs: list[SpikeTrace] = []
    done: list[np.ndarray] = []
    case: Path | None = None
    late: LavaTimeout | None = None
    for start in range(0, max(samples, 1), size):
        chunk = np.asarray(frames[start : start + size])
        chunk_progress = None if progress is None else _shifted(progress, start, samples)
        try:
            lava = simulate(network, chunk, keep_layers=True, workers=workers, progress=chunk_progress,
                            timeout_s=max(1.0, end - time.monotonic()))  # fmt: skip
            finished = np.arange(len(chunk))
        except LavaTimeout as error:
            late, lava, finished = error, error.trace, error.done
            if not len(finished) and not parts:
                raise
        if len(finished) or not parts:
            found, where = _settle(
                network, chunk[finished], lava, numbers[start + finished], None if case else case_folder
            )
            parts.append(found)
            outputs.append(SpikeTrace(backend=lava.backend, spikes=lava.spikes, membrane=lava.membrane))
            done.append(start + finished)
            case = case or where
        if late:
            break
    equivalence, compared = merge(parts), np.concatenate(done)
    if (first := equivalence.first_divergence) is not None:
        named = replace(first, sample=int(numbers[compared[first.sample]]))
        equivalence = replace(equivalence, first_divergence=named)
    return Comparison(equivalence=equivalence, lava=joined(outputs), done=compared, case=case, late=late)


def write_case(
    folder: Path,
    network: IntegerNetwork,
    frames: np.ndarray,
    divergence: Divergence,
    reference: SpikeTrace,
    lava: SpikeTrace,
) -> Path:
    """A folder inside `folder` that holds all that `replay` needs: the network, the frames of the one sample
    `[1, T, *input_shape]`, what each side fired in the first layer that differs, versions. Returns it; replaces a case
    of the same layer and sample. Whole or not at all.
    """
    from spikeport.export.backends.lava.environment import LAVA_DL, LAVA_NC
    from spikeport.export.formats.netx.write import write_netx

    plain = "".join(c if c.isalnum() else "-" for c in divergence.layer)
    target = Path(folder) / f"divergence-{plain}-sample-{divergence.sample}"
    with atomic_folder(target) as temporary:
        write_netx(network, temporary / "network.net")
        sides = {
            side: _of(network, trace, divergence.layer) for side, trace in zip(_SIDES, (reference, lava), strict=True)
        }
        write_npz(temporary / "case.npz", frames=frames, **sides)
        write_json(
            temporary / "case.json",
            {
                "divergence": asdict(divergence),
                "first": "reference",
                "second": "lava",
                "input_shape": list(network.input_shape),
                "versions": {**versions(), "lava-nc": LAVA_NC, "lava-dl": LAVA_DL},
            },
        )
    return target


def replay(case: Path, *, timeout_s: float = 600.0) -> Replay:
    """Runs a case that `write_case` kept through the reference and Lava of today.

    Raises UserError where the folder is no case, MissingDependencyError where there is no Lava.
    """
    from spikeport.export.backends.lava.driver import simulate
    from spikeport.export.formats.netx.write import read_netx

    case = Path(case)
    try:
        details = json.loads((case / "case.json").read_text(encoding="utf-8"))
        then = details["divergence"]
        divergence = Divergence(**(then | {"neuron": tuple(then["neuron"])}))
        with np.load(case / "case.npz", allow_pickle=False) as archive:
            frames, *recorded = (archive[name] for name in ("frames", *_SIDES))
        shape = tuple(details["input_shape"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("is no divergence case", where=str(case), cause=str(error),
                        hint="name the folder that the check printed") from error  # fmt: skip
    network = read_netx(case / "network.net", shape)
    reference = _reference(network, frames)
    lava = simulate(network, frames, keep_layers=True, workers=1, timeout_s=timeout_s)
    same = [
        np.array_equal(_of(network, trace, divergence.layer), before)
        for trace, before in zip((reference, lava), recorded, strict=True)
    ]
    now = compare_traces(network, reference, lava)
    return Replay(divergence=divergence, reference_as_then=same[0], lava_as_then=same[1], now=now)


def lines(divergence: Divergence, case: Path | None = None) -> list[str]:
    """What a person is told: the layer, the step, the neuron, what each side says, and how to see it again."""
    quantity = "voltages" if divergence.layer.endswith(" membrane") else "spikes"
    text = [
        f"they part first in layer {divergence.layer}, step {divergence.step}, neuron {divergence.neuron}, "
        f"sample {divergence.sample}: {quantity} {divergence.first} (reference) and {divergence.second} (Lava)"
    ]
    return text if case is None else [*text, f"to see it again: spikeport replay {case}"]


def _settle(
    network: IntegerNetwork,
    frames: np.ndarray,
    lava: SpikeTrace,
    numbers: np.ndarray,
    case_folder: Path | None,
) -> tuple[SpikeComparison, Path | None]:
    """Compares Lava's trace with the reference's on `frames`; writes the case, named by its number."""
    reference = _reference(network, frames)
    found = compare_traces(network, reference, lava)
    place = found.first_divergence
    if place is None or case_folder is None:
        return found, None
    row, named = slice(place.sample, place.sample + 1), replace(place, sample=int(numbers[place.sample]))
    try:
        return found, write_case(case_folder, network, frames[row], named, _rows(reference, row), _rows(lava, row))
    except CannotWriteError as error:  # that the two part is the news, and is told in any case
        warning(f"the case is not kept: {error}")
        return found, None


def _reference(network: IntegerNetwork, frames: np.ndarray) -> SpikeTrace:
    from spikeport.export.backends.reference.simulate import simulate

    return simulate(network, frames, keep_layers=True)


def _of(network: IntegerNetwork, trace: SpikeTrace, layer: str) -> np.ndarray:
    """Spikes of one layer, or the membrane."""
    if layer.endswith(" membrane") and trace.membrane is not None:
        return trace.membrane
    assert trace.layer_spikes is not None
    index = [other.name for other in network.layers].index(layer)
    return trace.layer_spikes[index].reshape(*trace.spikes.shape[:2], *network.layers[index].output_shape)


def _rows(trace: SpikeTrace, rows: slice) -> SpikeTrace:
    return SpikeTrace(
        backend=trace.backend,
        spikes=trace.spikes[rows],
        layer_spikes=None if trace.layer_spikes is None else tuple(layer[rows] for layer in trace.layer_spikes),
        membrane=None if trace.membrane is None else trace.membrane[rows],
    )


def _shifted(progress: Callable[[int, int], None], before: int, total: int) -> Callable[[int, int], None]:
    return lambda done, _: progress(before + done, total)
