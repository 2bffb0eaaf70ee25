"""A NIR neuron as one Euler step: the decays, gain, threshold and constant term that Loihi's CUBA neuron needs.

One step of length dt, in the order that snnTorch and Loihi share (spec 4.2):
    i <- (1 - i_decay) i + input,    v <- (1 - v_decay) v + gain i + drive,    fire if v > threshold, then v <- 0
"""

from __future__ import annotations

from dataclasses import dataclass

import nir
import numpy as np

from hardware_profiles.errors import UserError

UNIFORM = 1e-6  # relative spread that counts as one value: float32 arithmetic leaves as much
GAIN_ONE = 1e-6  # an exporter that means gain 1 writes it to float32 rounding


@dataclass(frozen=True, kw_only=True)
class EulerStep:
    """`i_decay`, `v_decay`: fractions taken per step, 0 to 1. `gain`: of the input. `threshold` and `drive` (a constant
    added to v each step) in units of v. `notes`: what had to be assumed, in words."""

    i_decay: float
    v_decay: float
    gain: float
    threshold: float
    drive: float
    notes: tuple[str, ...] = ()


def euler_step(name: str, node: nir.LIF | nir.CubaLIF | nir.IF, dt_s: float) -> EulerStep:
    """The step of length `dt_s` (s) of a LIF, CubaLIF or IF whose neurons all share their parameters.

    LIF: gain r dt/tau. CubaLIF: (w_in dt/tau_syn)(r dt/tau_mem). IF: r dt. v_leak becomes drive v_leak dt/tau where
    v_reset is 0, or shifts the threshold where v_reset equals it (v then starts at v_leak). Raises UserError naming
    the node, the value and the mend.
    """
    theta = _uniform(name, "v_threshold", node.v_threshold)
    v_reset = _uniform(name, "v_reset", node.v_reset)
    if isinstance(node, nir.IF):
        i_decay, v_decay, v_leak = 1.0, 0.0, 0.0
        gain = _uniform(name, "r", node.r) * dt_s
    elif isinstance(node, nir.CubaLIF):
        i_decay = _decay(name, "tau_syn", node.tau_syn, dt_s)
        v_decay, v_leak = _decay(name, "tau_mem", node.tau_mem, dt_s), _uniform(name, "v_leak", node.v_leak)
        gain = _uniform(name, "w_in", node.w_in) * i_decay * _uniform(name, "r", node.r) * v_decay
    else:
        i_decay, v_decay = 1.0, _decay(name, "tau", node.tau, dt_s)
        v_leak = _uniform(name, "v_leak", node.v_leak)
        gain = _uniform(name, "r", node.r) * v_decay
    if gain == 0 or not np.isfinite(gain):
        raise UserError(f"its input has gain {gain:g}", where=name, mend="give r and tau finite values above 0")
    notes: tuple[str, ...] = ()
    drive = v_leak * v_decay
    if v_reset != 0:
        if v_leak == 0 or abs(v_reset - v_leak) > UNIFORM * abs(v_leak):
            raise UserError(
                f"v_reset = {v_reset:g} is neither 0 nor v_leak = {v_leak:g}", where=name,
                why="the chip resets v to 0", mend="train with v_reset 0",
            )  # fmt: skip
        theta, drive = theta - v_leak, 0.0
        notes = (f"v, threshold and reset are shifted by v_leak = {v_leak:g}; v starts there",)
    if theta <= 0:
        raise UserError(f"threshold {theta:g} above rest is not positive", where=name, why="it would fire by itself")
    gain = 1.0 if abs(gain - 1) <= GAIN_ONE else gain
    return EulerStep(i_decay=i_decay, v_decay=v_decay, gain=gain, threshold=theta, drive=drive, notes=notes)


def _decay(name: str, key: str, tau: np.ndarray, dt_s: float) -> float:
    value = _uniform(name, key, tau, infinite=True)
    if not value > 0:
        raise UserError(f"{key} = {value:g} s is not positive", where=name)
    if dt_s / value > 1 + UNIFORM:
        raise UserError(
            f"{key} = {value:g} s is shorter than the time step {dt_s:g} s", where=name,
            why="the decay of one step would exceed 1", mend="give the dt that the network was trained with",
        )  # fmt: skip
    return min(dt_s / value, 1.0)


def _uniform(name: str, key: str, values: np.ndarray, infinite: bool = False) -> float:
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size == 0 or np.any(np.isnan(array)) or not (infinite or np.all(np.isfinite(array))):
        raise UserError(
            f"{key} holds no finite numbers", where=name,
            mend="write a cell without leak (beta = 1) as IF with r = 1/dt, not with infinite tau and r",
        )  # fmt: skip
    low, high = float(array.min()), float(array.max())
    if high > low and not high - low <= UNIFORM * max(abs(low), abs(high)):
        raise UserError(
            f"{key} differs between neurons ({low:g} to {high:g})", where=name,
            why="a layer on the chip has one set of parameters", mend="train one value per layer",
        )  # fmt: skip
    return float(array[0])
