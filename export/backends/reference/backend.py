"""The integer reference as a backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeport.export.backends.base import Diagnosis, Fault
from spikeport.export.backends.known_answers import known_answers
from spikeport.export.backends.reference import simulate as reference
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.progress import Progress


@dataclass(frozen=True, kw_only=True)
class ReferenceBackend:
    """netx's integer dynamics in NumPy, numba and torch: batched, with exact counts.

    Attributes:
        name: "reference".
        device: "cpu", "cuda" or "cuda:N".
        memory_bytes: memory for output and work; None: a quarter of the free memory, at most 4 GiB.
        per_step: whether the trace holds the counts of every time step too (`SpikeTrace.step_counts`).
    """

    name: str = field(default="reference", init=False)
    device: str = "cpu"
    memory_bytes: int | None = None
    per_step: bool = False

    def version(self) -> str:
        """The reference is part of Spikeport and has no version of its own."""
        return "reference"

    def check(self, network: IntegerNetwork) -> list[Fault]:
        """The reference executes every integer network.

        Args:
            network: the network.

        Returns:
            An empty list.
        """
        return []

    def simulate(
        self,
        network: IntegerNetwork,
        frames: Any,
        *,
        keep_layers: bool = False,
        timeout_s: float | None = None,
        progress: Progress | None = None,
    ) -> SpikeTrace:
        """Runs every sample in the reference, see `Backend.simulate`. The trace also contains counts.

        Args:
            network, frames, keep_layers, timeout_s, progress: as for `Backend.simulate`. `timeout_s` is ignored,
                since a sample takes milliseconds.
        """
        return reference.simulate(
            network,
            frames,
            keep_layers=keep_layers,
            per_step=self.per_step,
            memory_bytes=self.memory_bytes,
            device=self.device,
            progress=progress,
        )

    def doctor(self) -> Diagnosis:
        """Runs the known-answer networks."""
        for network, frames, expected in known_answers():
            if not np.array_equal(self.simulate(network, frames).output, expected):
                return Diagnosis(state="wrong", detail=f"known-answer network {network.layers[0].name!r}")
        return Diagnosis(state="ok", detail="known-answer networks")
