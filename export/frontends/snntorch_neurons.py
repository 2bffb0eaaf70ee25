"""Converts snnTorch neurons to NIR nodes whose Euler step equals the neuron's update with gain 1.

Settings of a neuron that Loihi does not support are refused.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import snntorch
import torch

from spikeport.errors import NeedsAdaptError, UserError
from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.values import Shape

SNNTORCH_NEURONS = (snntorch.Leaky, snntorch.Synaptic, snntorch.RLeaky)


def neuron_node(name: str, module: Any, shape: Shape, dt_s: float) -> nir.NIRNode:
    """Converts a neuron to a NIR node.

    A Synaptic becomes CubaLIF. A Leaky becomes IF if it does not leak (beta = 1), else LIF. Without reset they become
    CubaLI, I and LI, whose membrane is read out. Subclasses of Synaptic may have a `bias`, one value per channel or
    neuron, which each step adds to the membrane. It is converted to v_leak.

    Args:
        name: name of the module, for error messages.
        module: a snntorch.Leaky, RLeaky or Synaptic.
        shape: shape of its layer, `(C, H, W)` or `(N,)`.
        dt_s: time step in seconds.

    Raises:
        UserError: Loihi does not support a setting of the neuron.
    """
    check_neuron(name, module)
    v_decay = _taken(name, "beta", module.beta, shape)
    zeros = np.zeros(shape)
    silent = resets(module) == "none"
    threshold = (
        {} if silent else {"v_threshold": full_values(name, "threshold", module.threshold, shape), "v_reset": zeros}
    )
    if not isinstance(module, snntorch.Synaptic):
        if not v_decay.any():
            r = np.full(shape, 1 / dt_s)
            return nir.I(r=r) if silent else nir.IF(r=r, **threshold)
        tau = _tau(name, "beta", v_decay, dt_s)
        return (nir.LI if silent else nir.LIF)(tau=tau, r=tau / dt_s, v_leak=zeros, **threshold)
    tau_syn = _tau(name, "alpha", _taken(name, "alpha", module.alpha, shape), dt_s)
    tau_mem = _tau(name, "beta", v_decay, dt_s)
    pushed = _bias(name, getattr(module, "bias", None), shape)
    return (nir.CubaLI if silent else nir.CubaLIF)(
        tau_syn=tau_syn, tau_mem=tau_mem, r=tau_mem / dt_s, v_leak=pushed / v_decay, w_in=tau_syn / dt_s, **threshold
    )  # fmt: skip


def resets(module: Any) -> str:
    """Reset mechanism of a neuron: "zero", "subtract" or "none".

    Args:
        module: a neuron of snnTorch.
    """
    return list(snntorch.SpikingNeuron.reset_dict)[int(module.reset_mechanism_val)]


def check_neuron(name: str, module: Any) -> None:
    """Checks that Loihi supports the settings of a neuron.

    Args:
        name: name of the module.
        module: a neuron of snnTorch.

    Raises:
        UserError: a setting is not supported. The message names the setting.
    """
    kind, reset = type(module).__name__, resets(module)
    if reset == "subtract" or (reset == "none" and isinstance(module, snntorch.RLeaky)):
        raise NeedsAdaptError(
            f"{kind} resets by {reset!r}", where=name, cause="Loihi resets v to zero",
            hint="train with reset_mechanism='zero'",
        )  # fmt: skip
    if reset == "zero" and isinstance(module, (snntorch.Synaptic, snntorch.RLeaky)) and module.reset_delay:
        raise NeedsAdaptError(
            f"{kind} has reset_delay=True", where=name,
            cause="it loses the input of the step after a spike, Loihi does not",
            hint="train with reset_delay=False",
        )  # fmt: skip
    if module.inhibition:
        raise UserError(f"{kind} has inhibition", where=name, hint="train with inhibition=False")
    if module.state_quant:
        raise UserError(f"{kind} has state_quant", where=name, cause="it rounds otherwise than Loihi",
                        hint="train without state_quant")  # fmt: skip
    if torch.any(module.graded_spikes_factor != 1):
        raise UserError(
            f"{kind} has graded_spikes_factor {module.graded_spikes_factor.tolist()}", where=name,
            cause="netx passes spikes of size 1 only", hint="use graded_spikes_factor=1",
        )  # fmt: skip


def array(tensor: torch.Tensor) -> np.ndarray:
    """Values of a tensor as an array: float64 if the tensor is float64, else float32.

    Args:
        tensor: any tensor.
    """
    on_cpu = tensor.detach().cpu()
    return np.array((on_cpu if on_cpu.dtype == torch.float64 else on_cpu.float()).numpy())


def _taken(name: str, key: str, value: torch.Tensor, shape: Shape) -> np.ndarray:
    """Decay per step of each neuron, 1 - factor. Factors are clamped to 0..1 as in snnTorch's forward."""
    return 1.0 - np.clip(full_values(name, key, value, shape), 0, 1)


def clamped(name: str, module: Any) -> list[str]:
    """Decay factors outside 0..1, which snnTorch clamps.

    Args:
        name: name of the module.
        module: a neuron of snnTorch.

    Returns:
        A note for each such factor.
    """
    notes = []
    for key in ("alpha", "beta") if isinstance(module, SNNTORCH_NEURONS) else ():
        factor = array(torch.as_tensor(getattr(module, key, 0.0)))
        if np.any(factor < 0) or np.any(factor > 1):
            worst = float(factor.min() if factor.min() < 0 else factor.max())
            notes.append(
                f"{name}: {key} = {worst:g} was taken as {np.clip(worst, 0, 1):g}, as snnTorch's forward takes it"
            )
    return notes


def _bias(name: str, bias: torch.Tensor | None, shape: Shape) -> np.ndarray:
    """Bias of each neuron, float64 of shape `shape`; zeros if there is none."""
    if bias is None:
        return np.zeros(shape)
    values = array(bias).astype(np.float64)
    if values.shape != shape[:1]:
        raise UserError(f"bias has shape {values.shape}, the layer {shape}", where=name,
                        hint="give one value a channel or neuron")  # fmt: skip
    return np.array(np.broadcast_to(values.reshape(-1, *[1] * (len(shape) - 1)), shape))


def _tau(name: str, key: str, taken: np.ndarray, dt_s: float) -> np.ndarray:
    if np.any(taken == 0):
        raise UserError(
            f"{key} = 1 has no time constant that NIR could hold here", where=name,
            hint=f"use {key} = {DECAY_ONE - 1}/{DECAY_ONE} at most, or Leaky with beta = 1 for every neuron",
        )  # fmt: skip
    return dt_s / taken


def full_values(name: str, key: str, value: torch.Tensor, shape: Shape) -> np.ndarray:
    """Values of each neuron, float64 of `shape`.

    Args:
        name: name of the module, for the error.
        key: name of the parameter.
        value: what broadcasts to the shape.
        shape: shape of the layer.

    Raises:
        UserError: the values are not finite or do not fit the shape.
    """
    values = array(torch.as_tensor(value)).astype(np.float64)
    if not np.all(np.isfinite(values)):
        raise UserError(f"{key} is not finite", where=name, hint="train again with a smaller learning rate")
    try:
        return np.array(np.broadcast_to(values, shape))
    except ValueError:
        raise UserError(f"{key} has shape {values.shape}, the layer {shape}", where=name,
                        hint="give one number, or what broadcasts to the layer") from None  # fmt: skip
