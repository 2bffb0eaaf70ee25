# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False
# numba infers these types when it compiles.
"""The loops of `synaptic.LoihiSynaptic`, compiled for the CPU, for neurons `begin` to `end` of currents `[T, N]`.

As in `leaky_kernels`, tensors are float32 and contiguous, and no product is fused with a sum. `bias` has N values.
"""

from __future__ import annotations

import numpy as np

from spikeport.compiled import entry_point

BLOCK = 1024  # neurons


@entry_point
def integrate(begin, end, currents, bias, alpha, beta, threshold, spikes, membranes):
    """Fills spikes and membranes before reset from the float equations."""
    steps = len(currents)
    zero, one = np.float32(0), np.float32(1)
    syn, mem = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        syn[:] = zero
        mem[:] = zero
        for t in range(steps):
            for i in range(count):
                u = alpha * syn[i] + currents[t, first + i]
                v = beta * mem[i] + (u + bias[first + i])
                fired = v > threshold
                membranes[t, first + i] = v
                spikes[t, first + i] = one if fired else zero
                syn[i] = u
                mem[i] = zero if fired else v


@entry_point
def integrate_loihi(
    begin, end, currents, bias, factor_u, factor_v, limit, scale, unit, ceiling, spikes, membranes, peaks
):
    """As `integrate`, in integers held by float64, with `bias` in units of the state. Membranes saturate at
    +-`ceiling`.

    Fills `peaks` `[N]` with the largest absolute value of each neuron's current and input, in units of the state.
    """
    steps = len(currents)
    zero, one = np.float32(0), np.float32(1)
    out = 1.0 / (unit * scale)
    syn, mem = np.empty(BLOCK, np.float64), np.empty(BLOCK, np.float64)
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        syn[:] = 0.0
        mem[:] = 0.0
        peaks[first : first + count] = 0.0
        for t in range(steps):
            for i in range(count):
                drive = np.rint(np.float64(currents[t, first + i]) * scale) * unit
                u = np.trunc(syn[i] * factor_u) + drive
                peaks[first + i] = max(peaks[first + i], abs(u), abs(drive))
                v = np.trunc(mem[i] * factor_v) + u + bias[first + i]
                v = ceiling if v > ceiling else v
                v = -ceiling if v < -ceiling else v
                fired = v > limit
                membranes[t, first + i] = np.float32(v * out)
                spikes[t, first + i] = one if fired else zero
                syn[i] = u
                mem[i] = 0.0 if fired else v


@entry_point
def gradients(begin, end, membranes, spikes, grad_spk, grad_mem, alpha, beta, threshold, slope, gradient, of_bias):
    """Fills dL/dcurrent and dL/dbias, see `synaptic._SynapticFunction.backward`. A gradient that is None has no
    rows."""
    steps = len(membranes)
    zero, one = np.float32(0), np.float32(1)
    with_spikes, with_membranes = len(grad_spk) > 0, len(grad_mem) > 0
    after, later = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        after[:] = zero
        later[:] = zero
        of_bias[first : first + count] = zero
        for t in range(steps - 1, -1, -1):
            for i in range(count):
                membrane, spike = membranes[t, first + i], spikes[t, first + i]
                root = one / (one + slope * abs(membrane - threshold))
                g = root * root
                now = beta * after[i] * (one - spike - membrane * g)
                if with_spikes:
                    now += grad_spk[t, first + i] * g
                if with_membranes:
                    now += grad_mem[t, first + i]
                after[i] = now
                later[i] = now + alpha * later[i]
                gradient[t, first + i] = later[i]
                of_bias[first + i] += now
