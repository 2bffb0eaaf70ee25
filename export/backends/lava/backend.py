"""Lava as a backend: Intel's simulator, in an environment of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spikeport.errors import UserError
from spikeport.export.backends.base import Diagnosis, Fault
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.progress import Progress


@dataclass(frozen=True, kw_only=True)
class LavaBackend:
    """lava-nc 0.10.0 and lava-dl 0.6.0 (`netx`, `fixed_pt`), driven as processes; the trace has no counts.

    Attributes:
        name: "lava".
        workers: Lava processes at once; None: one for each core.
        timeout_s: seconds for all samples together, unless `simulate` is given others.
    """

    name: str = field(default="lava", init=False)
    workers: int | None = None
    timeout_s: float = 1800.0

    def version(self) -> str:
        """`lava 0.10.0 fixed_pt`."""
        from spikeport.export.backends.lava.results import BACKEND

        return BACKEND

    def check(self, network: IntegerNetwork) -> list[Fault]:
        """Reasons why Lava cannot execute `network` exactly, found by writing a `.net` file into a temporary folder.

        Args:
            network: the network.

        Returns:
            Faults of the network; empty if a `.net` file can contain it.
        """
        from spikeport.export.formats.netx.write import write_netx
        from spikeport.temporaries import scratch

        with scratch() as folder:
            try:
                write_netx(network, folder / "network.net")
            except UserError as error:
                return [
                    Fault(
                        layer=error.where,
                        message=": ".join(filter(None, (error.message, error.cause))),
                        hint=error.hint,
                    )
                ]
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
        """Runs every sample in Lava, see `Backend.simulate`.

        Args:
            network, frames, keep_layers, timeout_s, progress: as for `Backend.simulate`.
        """
        from spikeport.export.backends.lava import driver

        return driver.simulate(
            network,
            frames,
            keep_layers=keep_layers,
            workers=self.workers,
            timeout_s=self.timeout_s if timeout_s is None else timeout_s,
            progress=progress,
        )

    def doctor(self) -> Diagnosis:
        """Runs the known-answer networks in one Lava process."""
        from spikeport.export.backends.lava.driver import known_answer
        from spikeport.export.backends.lava.environment import interpreter

        try:
            python = interpreter()
            correct = known_answer()
        except UserError as error:
            return Diagnosis(state="missing", detail=str(error))
        return Diagnosis(state="ok" if correct else "wrong", detail=f"known-answer network through {python}")
