"""What a file of each framework means beyond NIR: time step, decay, gains, threshold and reset, a row a framework.

NIR states differential equations. Frameworks run difference equations, and their exporters write these in different
forms. A row says what the framework computes in one step, as its own code does; `framework_nodes` writes that as NIR
nodes whose Euler step is the same. A new framework is one row of `FRAMEWORKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import nir
import numpy as np

from spikeport.errors import UserError

Decay = Literal["euler", "exponential"]
Gain = Literal["file", "one", "kept", "jump"]
FiresAt = Literal[">", ">="]
OwnReset = Literal["zero", "subtract", "subtract-late", "subtract-many"]
STEP = 1e-3  # seconds, where a framework counts time in steps


@dataclass(frozen=True, kw_only=True)
class Framework:
    """Conventions of one framework.

    Attributes:
        name: word for `--from`.
        title: name for people.
        dt_s: time step in seconds where the file does not imply it.
        dt_origin: what `dt_s` is, for people.
        step_of: the time step that the nodes of a file imply, in the unit of their tau; None if they do not.
        steps: whether tau counts steps and not seconds.
        decay: "euler": v loses dt / tau of itself in a step; "exponential": it keeps exp(-dt / tau).
        gains: by node type, how an input enters. "file": as NIR's equation says, which is the default; "one": its
            weight is added to v (or to the current, which is added to v); "kept": as "one", but it decays in the step
            in which it arrives; "jump": its weight is added to the current, which drives v as NIR says.
        if_gain: unit of r of IF nodes.
        fires_at: comparison of v with the threshold.
        own_reset: what neurons do unless they are set to do otherwise, as in `calibration.float_simulator`.
        own_resets: by node type, the same of neurons that differ from the others.
        zero_reset: how neurons are set to reset to zero; "" if they always do or never can.
        spike_height: value of a spike that a neuron hands on: 1, or 1 / dt.
        time_axis: whether input shapes may begin with an axis of time.
        channels_last: whether a Flatten of `(C, H, W)` is in the order of H, W, C in the weights behind it.
        input_at_recurrence: whether the input of a recurrent layer is written as leading to its recurrent weights.
        files: suffix of the files that it writes.
        caveats: what the file does not tell, for people; "" if nothing.
    """

    name: str
    title: str
    dt_s: float
    dt_origin: str
    step_of: Callable[[nir.NIRGraph], float | None] = lambda graph: None
    steps: bool = False
    decay: Decay = "euler"
    gains: Mapping[str, Gain] = field(default_factory=dict)
    if_gain: Literal["per_step", "per_second"] = "per_second"
    fires_at: FiresAt = ">"
    own_reset: OwnReset = "zero"
    own_resets: Mapping[str, OwnReset] = field(default_factory=dict)
    zero_reset: str = ""
    spike_height: Literal["1", "1/dt"] = "1"
    time_axis: bool = False
    channels_last: bool = False
    input_at_recurrence: bool = False
    files: str = ".nir"
    caveats: str = ""

    @property
    def reset(self) -> str:
        """`own_reset` as a word for `--reset`: "zero" or "subtract"."""
        return self.own_reset.partition("-")[0]

    def reset_of(self, node: nir.NIRNode) -> OwnReset:
        """The own reset of the neurons of a node.

        Args:
            node: the node.
        """
        return self.own_resets.get(type(node).__name__, self.own_reset)


def framework_of(name: str) -> Framework:
    """The row of a framework.

    Args:
        name: its name, as for `--from`.

    Raises:
        UserError: there is no such framework.
    """
    if name not in FRAMEWORKS:
        raise UserError(f"framework {name!r} is unknown", hint=f"use one of {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[name]


def _one_step(steps: list[np.ndarray]) -> float | None:
    """The median of values that are equal up to rounding errors of float32, to six digits; None if they differ."""
    values = np.concatenate([np.ravel(np.asarray(step, dtype=np.float64)) for step in steps]) if steps else np.zeros(0)
    if not values.size or not np.all(np.isfinite(values)) or values.min() <= 0 or np.ptp(values) > 1e-4 * values.max():
        return None
    return float(f"{np.median(values):.6g}")


def _of_unit_gain(graph: nir.NIRGraph) -> float | None:
    """dt = tau / r, which holds where an exporter wrote r = tau / dt."""
    return _one_step([n.tau / n.r for n in graph.nodes.values() if isinstance(n, (nir.LIF, nir.LI))] + [
        n.tau_mem / n.r for n in graph.nodes.values() if isinstance(n, nir.CubaLIF)])  # fmt: skip


def _of_norse(graph: nir.NIRGraph) -> float | None:
    """1e-3 s, Norse's step. Its exporter writes tau times its argument dt, 1e-3 by default: then time is in 1e-6 s.

    A tau below one step of 1e-3 s could not have run, so that it tells the second case.
    """
    taus = [np.ravel(getattr(node, key)) for node in graph.nodes.values() for key in ("tau", "tau_mem", "tau_syn")
            if hasattr(node, key)]  # fmt: skip
    shortest = min((float(tau.min()) for tau in taus), default=1.0)
    return 1e-6 if shortest < 1e-3 * (1 - 1e-6) else 1e-3


def _of_integrators(graph: nir.NIRGraph) -> float | None:
    """dt = 1 / r of IF nodes and tau_mem / r of CubaLIF nodes, as SpikingJelly writes them."""
    return _one_step([1 / n.r for n in graph.nodes.values() if isinstance(n, nir.IF)] + [
        n.tau_mem / n.r for n in graph.nodes.values() if isinstance(n, nir.CubaLIF)])  # fmt: skip


def _of_rockpool(graph: nir.NIRGraph) -> float | None:
    """dt = tau W(1 / r), since Rockpool writes r = (tau / dt) exp(-dt / tau): then (dt/tau) exp(dt/tau) = 1 / r."""
    steps = []
    for node in graph.nodes.values():
        if isinstance(node, (nir.LIF, nir.LI)):
            steps.append(node.tau * lambert_w(1 / node.r))
        elif isinstance(node, nir.CubaLIF):
            steps.append(node.tau_mem * lambert_w(1 / node.r))
    return _one_step(steps)


def _of_spyx(graph: nir.NIRGraph) -> float | None:
    """dt = tau (1 - r), since Spyx writes tau = dt / (1 - beta) and r = beta."""
    return _one_step([n.tau * (1 - n.r) for n in graph.nodes.values() if isinstance(n, nir.LIF)] + [
        n.tau_mem * (1 - n.r) for n in graph.nodes.values() if isinstance(n, nir.CubaLIF)])  # fmt: skip


def lambert_w(x: np.ndarray) -> np.ndarray:
    """The solution w >= 0 of w exp(w) = x by Newton's method, which converges from above for x >= 0.

    Args:
        x: numbers of 0 or more, of any shape.
    """
    w = np.log1p(np.asarray(x, dtype=np.float64))  # at least the solution
    for _ in range(40):
        w = w - (w - x * np.exp(-w)) / (1 + w)
    return w


_ROWS = (
    Framework(
        name="snntorch", title="snnTorch", dt_s=1e-4, dt_origin="the step that snnTorch's exporter writes",
        step_of=_of_unit_gain, own_reset="subtract-late", zero_reset="reset_mechanism='zero'",
        caveats="Synaptic and RLeaky need reset_delay=False",
    ),
    Framework(
        name="norse", title="Norse", dt_s=1e-3, dt_origin="Norse's step, where none was chosen", step_of=_of_norse,
        gains={"CubaLIF": "jump"}, if_gain="per_step",
    ),
    Framework(
        name="sinabs", title="Sinabs", dt_s=STEP, dt_origin="Sinabs counts steps; one is taken as 1 ms", steps=True,
        decay="exponential", if_gain="per_step", fires_at=">=", own_reset="subtract-many", time_axis=True,
        zero_reset="spike_fn=SingleSpike, reset_fn=MembraneReset()",
        caveats="tau_syn, norm_input=False and min_v_mem are not in the file",
    ),
    Framework(
        name="spikingjelly", title="SpikingJelly", dt_s=1e-4, dt_origin="the exporter's default",
        step_of=_of_integrators, fires_at=">=",
    ),
    Framework(
        name="rockpool", title="Rockpool", dt_s=1e-3, dt_origin="Rockpool's default", step_of=_of_rockpool,
        decay="exponential", gains={"LIF": "one", "CubaLIF": "kept", "LI": "kept"}, fires_at=">=",
        own_reset="subtract-many",
        caveats="its torch neurons always subtract, and may fire several times a step; recurrent weights and biases "
        "of neurons are not in the file",
    ),
    Framework(
        name="spyx", title="Spyx", dt_s=STEP, dt_origin="Spyx counts steps; one is taken as 1 ms", step_of=_of_spyx,
        steps=True, gains={"LIF": "one", "CubaLIF": "one", "LI": "one"}, if_gain="per_step",
        own_reset="subtract-late", own_resets={"CubaLIF": "subtract"}, channels_last=True, input_at_recurrence=True,
        caveats="its neurons always subtract, and fire one step later than the chip, a step more with each layer",
    ),
    Framework(
        name="nengo", title="Nengo", dt_s=1e-3, dt_origin="Nengo's default", decay="exponential", spike_height="1/dt",
        caveats="tau_ref = 0, a first voltage of 0 and a min_voltage far below 0 are assumed: the chip has no others",
    ),
    Framework(
        name="slayer", title="SLAYER (lava-dl)", dt_s=STEP, dt_origin="SLAYER counts steps; one is taken as 1 ms",
        files=".net", caveats="its .net files state all of this themselves",
    ),
)  # fmt: skip
FRAMEWORKS = {row.name: row for row in _ROWS}
