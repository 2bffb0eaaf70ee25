# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False
# numba infers these types when it compiles.
"""The loops of `leaky.LoihiLeaky`, compiled for the CPU, for neurons `begin` to `end` of currents `[T, N]`.

Tensors are float32 and contiguous. Each loop runs through time once for a block of neurons whose state stays in the
cache. No product is fused with a sum, so float results equal those of snnTorch's operations bit for bit.
"""

from __future__ import annotations

import numpy as np

from spikeport.compiled import entry_point

BLOCK = 1024  # neurons


@entry_point
def integrate(begin, end, currents, beta, threshold, spikes, membranes):
    """Fills spikes and membranes before reset from the float equations."""
    steps = len(currents)
    zero, one = np.float32(0), np.float32(1)
    mem = np.empty(BLOCK, np.float32)
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        mem[:] = zero
        for t in range(steps):
            current, membrane = currents[t, first : first + count], membranes[t, first : first + count]
            spike = spikes[t, first : first + count]
            for i in range(count):
                v = current[i] + beta * mem[i]
                fired = v > threshold
                membrane[i] = v
                spike[i] = one if fired else zero
                mem[i] = zero if fired else v


@entry_point
def integrate_loihi(begin, end, currents, decay_factor, limit, scale, unit, ceiling, spikes, membranes):
    """As `integrate`, in integers held by float64, which saturate at +-`ceiling`."""
    steps = len(currents)
    zero, one = np.float32(0), np.float32(1)
    out = 1.0 / (unit * scale)
    mem = np.empty(BLOCK, np.float64)
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        mem[:] = 0.0
        for t in range(steps):
            current, membrane = currents[t, first : first + count], membranes[t, first : first + count]
            spike = spikes[t, first : first + count]
            for i in range(count):
                v = np.rint(np.float64(current[i]) * scale) * unit + np.trunc(mem[i] * decay_factor)
                v = ceiling if v > ceiling else v
                v = -ceiling if v < -ceiling else v
                fired = v > limit
                membrane[i] = np.float32(v * out)
                spike[i] = one if fired else zero
                mem[i] = 0.0 if fired else v


@entry_point
def gradients(begin, end, membranes, spikes, grad_spk, grad_mem, beta, threshold, slope, gradient):
    """Fills dL/dcurrent, see `leaky._LeakyFunction.backward`. A gradient that is None has no rows."""
    steps = len(membranes)
    zero, one = np.float32(0), np.float32(1)
    with_spikes, with_membranes = len(grad_spk) > 0, len(grad_mem) > 0
    after = np.empty(BLOCK, np.float32)
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        after[:] = zero
        for t in range(steps - 1, -1, -1):
            membrane, spike = membranes[t, first : first + count], spikes[t, first : first + count]
            direct = grad_spk[t, first : first + count] if with_spikes else membrane
            now = gradient[t, first : first + count]
            share = one if with_spikes else zero
            for i in range(count):
                root = one / (one + slope * abs(membrane[i] - threshold))
                g = root * root
                now[i] = share * direct[i] * g + beta * after[i] * (one - spike[i] - membrane[i] * g)
            if with_membranes:
                now += grad_mem[t, first : first + count]
            after[:count] = now
