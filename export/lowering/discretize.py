"""Discretizes NIR neurons: one Euler step with the parameters of Loihi's CUBA neuron.

One step of length dt, in the order of snnTorch and Loihi:
    i <- (1 - i_decay) i + input,    v <- (1 - v_decay) v + gain i + drive,    fire if v > threshold, then v <- 0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from spikeport.errors import NeedsAdaptError, UserError
from spikeport.export.graph.parameters import UNIFORM, Value, on_layer, one_value
from spikeport.values import Shape

GAIN_ONE = 1e-6  # largest difference of a gain taken as 1: rounding errors of float32


@dataclass(frozen=True, kw_only=True)
class EulerStep:
    """Parameters of one Euler step. Each is a float, or float64 of the layer's shape if neurons differ.

    Attributes:
        i_decay: fraction of the synaptic current lost per step, 0 to 1.
        v_decay: fraction of the membrane voltage lost per step, 0 to 1.
        gain: factor of the input.
        threshold: in units of v; infinite if the neuron never fires.
        drive: constant added to v in each step, in units of v.
        notes: assumptions of the conversion.
    """

    i_decay: Value
    v_decay: Value
    gain: Value
    threshold: Value
    drive: Value
    notes: tuple[str, ...] = ()

    @property
    def fires(self) -> bool:
        """False for LI, CubaLI and I."""
        return bool(np.all(np.isfinite(self.threshold)))


def euler_step(name: str, node: Any, dt_s: float, shape: Shape | None = None) -> EulerStep:
    """Euler step of a NIR neuron, from the differential equations in the NIR specification.

    The gain is r dt / tau for LIF and LI, (w_in dt / tau_syn)(r dt / tau_mem) for CubaLIF and CubaLI, and r dt for IF
    and I. If v_reset is 0, v_leak becomes the drive v_leak dt / tau. If v_reset equals v_leak, the voltage is measured
    from v_leak: the threshold is shifted by v_leak, and v starts at v_leak.

    Args:
        name: name of the node, for error messages.
        node: a NIR neuron or leaky integrator.
        dt_s: time step in seconds.
        shape: shape of the layer, `(C, H, W)` or `(N,)`. None: arrays keep their own shapes.

    Raises:
        UserError: a parameter is not finite or not positive, tau is shorter than the time step, or v_reset is neither
            0 nor v_leak.
    """
    values = _Values(name, node, shape)
    v_leak: Value = 0.0
    i_decay: Value = 1.0
    if isinstance(node, (nir.IF, nir.I)):
        v_decay: Value = 0.0
        gain = values["r"] * dt_s
    elif isinstance(node, (nir.CubaLIF, nir.CubaLI)):
        i_decay, v_decay = values.decay("tau_syn", dt_s), values.decay("tau_mem", dt_s)
        v_leak = values["v_leak"]
        gain = values["w_in"] * i_decay * values["r"] * v_decay
    else:
        v_decay, v_leak = values.decay("tau", dt_s), values["v_leak"]
        gain = values["r"] * v_decay
    if np.any(gain == 0) or not np.all(np.isfinite(gain)):
        worst = np.ravel(gain)[int(np.argmin(np.abs(np.nan_to_num(np.ravel(gain), nan=0, posinf=0))))]
        raise UserError(f"its input has gain {worst:g}", where=name, hint="give r and tau finite values above 0")
    drive = v_leak * v_decay
    theta: Value = np.inf
    notes: tuple[str, ...] = ()
    if isinstance(node, (nir.LIF, nir.CubaLIF, nir.IF)):
        theta, drive, notes = _threshold(name, values["v_threshold"], values["v_reset"], v_leak, drive)
    gain = np.where(np.abs(np.asarray(gain) - 1) <= GAIN_ONE, 1.0, gain)
    return EulerStep(
        i_decay=i_decay, v_decay=v_decay, gain=one_value(gain), threshold=theta, drive=one_value(np.asarray(drive)),
        notes=notes,
    )  # fmt: skip


def _threshold(
    name: str, theta: Value, v_reset: Value, v_leak: Value, drive: Value
) -> tuple[Value, Value, tuple[str, ...]]:
    """(threshold, drive, notes) for a voltage that is reset to 0."""
    notes: tuple[str, ...] = ()
    if np.any(v_reset != 0):
        reset, leak = np.broadcast_arrays(v_reset, v_leak)
        shifted = reset != 0
        off = shifted & ((leak == 0) | (np.abs(reset - leak) > UNIFORM * np.abs(leak)))
        if np.any(off):
            raise NeedsAdaptError(
                f"v_reset = {reset[off].flat[0]:g} is neither 0 nor v_leak = {leak[off].flat[0]:g}", where=name,
                cause="the chip resets v to 0", hint="train with v_reset 0",
            )  # fmt: skip
        theta, drive = theta - np.where(shifted, leak, 0.0), np.where(shifted, 0.0, drive)
        notes = (f"v, threshold and reset are shifted by v_leak = {leak[shifted].flat[0]:g}; v starts there",)
    if np.any(theta <= 0):
        lowest = float(np.min(theta))
        raise UserError(f"threshold {lowest:g} above rest is not positive", where=name, cause="it would fire by itself")
    return one_value(np.asarray(theta)), one_value(np.asarray(drive)), notes


@dataclass(frozen=True)
class _Values:
    """Reads parameters of a node as one number or an array of the layer's shape."""

    name: str
    node: Any
    shape: Shape | None

    def __getitem__(self, key: str) -> Value:
        return self.read(key)

    def read(self, key: str, infinite: bool = False) -> Value:
        array = np.asarray(getattr(self.node, key), dtype=np.float64)
        if array.size == 0 or np.any(np.isnan(array)) or not (infinite or np.all(np.isfinite(array))):
            raise UserError(
                f"{key} holds no finite numbers", where=self.name,
                hint="write a neuron without leak (beta = 1) as IF with r = 1/dt, not with infinite tau and r",
            )  # fmt: skip
        one = one_value(array) if np.all(np.isfinite(array)) or array.min() == array.max() else array
        if self.shape is None or np.ndim(one) == 0:
            return one
        return on_layer(self.name, key, array, self.shape)

    def decay(self, key: str, dt_s: float) -> Value:
        """Decay per step, dt / tau, at most 1."""
        tau = self.read(key, infinite=True)
        if not np.all(tau > 0):
            raise UserError(f"{key} = {np.min(tau):g} s is not positive", where=self.name)
        if np.any(dt_s / tau > 1 + UNIFORM):
            raise UserError(
                f"{key} = {np.min(tau):g} s is shorter than the time step {dt_s:g} s", where=self.name,
                cause="the decay of one step would exceed 1", hint="give the dt that the network was trained with "
                "(files that Norse's exporter wrote with its default dt = 1e-3 s need 1e-6 s)",
            )  # fmt: skip
        fraction = np.minimum(dt_s / tau, 1.0)
        return float(fraction) if np.ndim(fraction) == 0 else fraction
