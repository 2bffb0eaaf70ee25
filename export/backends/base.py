"""The interface of a backend: whatever executes an integer network and returns its spikes.

How to add a backend:

1. Write a class with the members of `Backend` in a file (or a folder) of its own beside this one. A frozen dataclass
   whose fields are the backend's options (device, number of processes) is enough; it needs no base class.
2. Add an instance to `BACKENDS` in `table.py`. Its module must not import torch, Lava or another large library when it
   is imported: import them inside the methods.

A backend outside this package needs no entry in the table. Wherever the name of a backend is expected, write
`package.module:factory`, where `factory()` returns the backend. Give it this text as `name`, so that a divergence that
was kept can be replayed.

A backend is right if its spikes equal those of `reference` for every legal network and every legal input, layer by
layer. `compare_backends` checks this and names the first spike that differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One reason why a backend cannot execute a network exactly.

    Attributes:
        layer: name of the layer, "" for the whole network.
        message: what is wrong, as a sentence for people.
        hint: remedy, or "".
    """

    layer: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.layer}: " if self.layer else ""
        return f"{where}{self.message}" + (f". Hint: {self.hint}" if self.hint else "")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Whether a backend works on this machine.

    Attributes:
        state: "ok"; "missing" if a part is not installed; "wrong" if a known-answer network gave wrong spikes.
        detail: what was tried or what is missing, as a sentence for people.
    """

    state: Literal["ok", "missing", "wrong"]
    detail: str


class SimulationTimeout(UserError):  # noqa: N818 named after what happened, as MissingDependencyError is
    """A backend did not finish in time.

    Attributes:
        trace: spikes of the samples that were finished.
        done: which samples these are, int64 `[n]`, ascending.
    """

    trace: SpikeTrace
    done: np.ndarray


@runtime_checkable
class Backend(Protocol):
    """Executes integer networks. The module's docstring says how to add one."""

    @property
    def name(self) -> str:
        """Short name, as in `BACKENDS` and after `--backend`."""
        ...

    def version(self) -> str:
        """What executes the network, with its version; it becomes `SpikeTrace.backend`."""
        ...

    def check(self, network: IntegerNetwork) -> list[Fault]:
        """Reasons why this backend cannot execute `network` exactly; empty if it can. Runs nothing.

        Args:
            network: the network; no backend is started.

        Returns:
            Faults of the network for this backend.
        """
        ...

    def simulate(
        self,
        network: IntegerNetwork,
        frames: Any,
        *,
        keep_layers: bool = False,
        timeout_s: float | None = None,
        progress: Progress | None = None,
    ) -> SpikeTrace:
        """Runs every sample from a state of zero.

        Args:
            network: the network, for which `check` found no fault.
            frames: `[N, T, *input_shape]`, whole numbers from `network.input_lowest` to `network.input_limit`: an
                array, or any object with `shape` that is sliced by samples.
            keep_layers: whether the trace holds the spikes of every layer (`SpikeTrace.layer_spikes`, or
                `layer_values` of a network that sends values).
            timeout_s: seconds after which to give up; None: the backend's own limit. A backend that cannot stop early
                may ignore it.
            progress: called with (samples done, samples in all).

        Returns:
            Output spikes uint8 `[N, T, K]` in logical time: a layer's spike belongs to the time step of the input that
            caused it, whatever the latency. `membrane` is given if it is the network's read-out, and `values` if
            the network sends values (sigma-delta neurons).

        Raises:
            UserError: the frames are not legal inputs of the network.
            MissingDependencyError: the backend is not installed.
            SimulationTimeout: the time is up.
        """
        ...

    def doctor(self) -> Diagnosis:
        """Runs a network whose spikes are known. Never raises UserError."""
        ...
