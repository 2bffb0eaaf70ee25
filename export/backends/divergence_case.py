"""Saves a divergence of two backends as a folder that can be replayed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.export.backends.base import Backend
from spikeport.export.backends.compare import MEMBRANE, Divergence, SpikeComparison, compare_traces
from spikeport.export.backends.table import backend_of
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.files import atomic_folder, write_json, write_npz
from spikeport.versions import versions

_SIDES = ("first", "second")


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A case that was run again.

    Attributes:
        divergence: the divergence that the case holds.
        first_reproduced: whether the first backend gives the same spikes as when the case was written.
        second_reproduced: the same of the second backend.
        now: comparison of both as they are now; its sample is 0.
    """

    divergence: Divergence
    first_reproduced: bool
    second_reproduced: bool
    now: SpikeComparison

    def to_json(self) -> dict[str, object]:
        """Plain values, one key for each attribute."""
        return asdict(self)


def write_case(
    folder: Path,
    network: IntegerNetwork,
    frames: np.ndarray,
    divergence: Divergence,
    traces: Sequence[SpikeTrace],
    backends: Sequence[Backend],
) -> Path:
    """Writes a folder inside `folder` with all files that `replay` needs, atomically.

    Args:
        folder: where the case goes; an earlier case of the same layer and sample is replaced.
        network: the network that both backends ran.
        frames: frames of the one sample, `[1, T, *input_shape]`.
        divergence: what differs.
        traces: what each of the two backends returned for this sample.
        backends: the two backends.

    Returns:
        The folder of the case.

    Raises:
        CannotWriteError: it cannot be written.
    """
    from spikeport.export.formats.netx.write import write_netx

    layer = "".join(c if c.isalnum() else "-" for c in divergence.layer)
    target = Path(folder) / f"divergence-{layer}-sample-{divergence.sample}"
    names = [backend.name for backend in backends]
    with atomic_folder(target) as temporary:
        write_netx(network, temporary / "network.net")
        signals = {side: _signal(network, trace, divergence) for side, trace in zip(_SIDES, traces, strict=True)}
        write_npz(temporary / "case.npz", frames=frames, **signals)
        write_json(
            temporary / "case.json",
            {
                "divergence": asdict(divergence),
                **dict(zip(_SIDES, names, strict=True)),
                "input_shape": list(network.input_shape),
                "versions": {**versions(), **{backend.name: backend.version() for backend in backends}},
            },
        )
    return target


def replay(case: Path, *, timeout_s: float = 600.0) -> Replay:
    """Runs a case that `write_case` wrote through the same two backends, as they are now.

    Args:
        case: the folder.
        timeout_s: seconds for each backend.

    Raises:
        UserError: the folder is not a case.
        MissingDependencyError: a backend is not installed.
    """
    from spikeport.export.formats.netx.write import read_netx

    case = Path(case)
    try:
        written = json.loads((case / "case.json").read_text(encoding="utf-8"))
        divergence = Divergence.from_json(written["divergence"])
        with np.load(case / "case.npz", allow_pickle=False) as archive:
            frames, *recorded = (archive[name] for name in ("frames", *_SIDES))
        shape, names = tuple(written["input_shape"]), [str(written[side]) for side in _SIDES]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("is not a divergence case", where=str(case), cause=str(error),
                        hint="name the folder that the check printed") from error  # fmt: skip
    network = read_netx(case / "network.net", shape)
    backends = [backend_of(name) for name in names]
    traces = [each.simulate(network, frames, keep_layers=True, timeout_s=timeout_s) for each in backends]
    reproduced = [
        np.array_equal(_signal(network, trace, divergence), before)
        for trace, before in zip(traces, recorded, strict=True)
    ]
    now = compare_traces(network, traces[0], traces[1], (names[0], names[1]))
    return Replay(divergence=divergence, first_reproduced=reproduced[0], second_reproduced=reproduced[1], now=now)


def _signal(network: IntegerNetwork, trace: SpikeTrace, divergence: Divergence) -> np.ndarray:
    """Spikes or values `[N, T, *shape]` of the layer that differs, or the membrane `[N, T, K]`."""
    if divergence.layer.endswith(MEMBRANE) and trace.membrane is not None:
        return trace.membrane
    index = [layer.name for layer in network.layers].index(divergence.layer)
    sent = trace.output if trace.signals is None else trace.signals[index]
    return sent.reshape(*trace.spikes.shape[:2], *network.layers[index].output_shape)
