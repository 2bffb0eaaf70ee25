# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False
# numba infers these types when it compiles.
"""The loops of `fused_norm_lif`, compiled for the CPU, for neurons `begin` to `end` of values `[T, N]`.

Tensors are float32 and contiguous; `begin` and `end` are multiples of BLOCK, or N. Numbers of channels come as tiles
of BLOCK values, channels last as in memory. Sums are stored for each block, so that they do not depend on the number of
threads, and added in float64.
"""

from __future__ import annotations

import numpy as np

from spikeport.compiled import entry_point
from spikeport.pipeline.models.neurons.leaky_kernels import BLOCK


@entry_point
def sums_of(begin, end, values, sums, squares):
    """Fills sums and sums of squares over time, `[blocks, BLOCK]`, for each position in a block."""
    steps = len(values)
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        one, two = sums[first // BLOCK], squares[first // BLOCK]
        one[:], two[:] = 0.0, 0.0
        for t in range(steps):
            value = values[t, first : first + count]
            for i in range(count):
                v = np.float64(value[i])
                one[i] += v
                two[i] += v * v


@entry_point
def integrate(begin, end, values, gain, shift, beta, threshold, spikes, reset_mem):
    """Fills spikes and membranes after reset (if `reset_mem` has rows) from currents gain * value + shift."""
    steps = len(values)
    zero, one = np.float32(0), np.float32(1)
    mem = np.empty(BLOCK, np.float32)
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        mem[:] = zero
        for t in range(steps):
            value, spike = values[t, first : first + count], spikes[t, first : first + count]
            for i in range(count):
                v = (gain[i] * value[i] + shift[i]) + beta * mem[i]
                fired = v > threshold
                spike[i] = one if fired else zero
                mem[i] = zero if fired else v
            if len(reset_mem) > 0:
                reset_mem[t, first : first + count] = mem[:count]


@entry_point
def gradients(
    begin, end, values, gain, shift, beta, threshold, slope, grad_spk, grad_reset_mem, gradient, sums, products
):
    """Fills dL/dcurrent, its sums, and the sums of its products with the values, as `sums_of` does but in float32.

    Membranes are recomputed. A gradient that is None has no rows.
    """
    steps = len(values)
    zero, one = np.float32(0), np.float32(1)
    with_spikes = len(grad_spk) > 0
    membranes = np.empty((steps, BLOCK), np.float32)
    mem, after = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    total, product = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        mem[:] = zero
        for t in range(steps):
            value, membrane = values[t, first : first + count], membranes[t]
            for i in range(count):
                v = (gain[i] * value[i] + shift[i]) + beta * mem[i]
                membrane[i] = v
                mem[i] = zero if v > threshold else v
        after[:], total[:], product[:] = zero, zero, zero
        for t in range(steps - 1, -1, -1):
            value, membrane = values[t, first : first + count], membranes[t]
            direct = grad_spk[t, first : first + count] if with_spikes else value
            now = gradient[t, first : first + count]
            share = one if with_spikes else zero
            if len(grad_reset_mem) > 0:
                rest = grad_reset_mem[t, first : first + count]
                for i in range(count):
                    after[i] += rest[i]
            for i in range(count):
                m = membrane[i]
                root = one / (one + slope * abs(m - threshold))
                g = root * root
                reset_factor = (zero if m > threshold else one) - m * g
                now[i] = share * direct[i] * g + after[i] * reset_factor
            for i in range(count):
                d = now[i]
                after[i] = beta * d
                total[i] += d
                product[i] += d * value[i]
        sums[first // BLOCK], products[first // BLOCK] = total, product


@entry_point
def combine(begin, end, values, gradient, of_gradient, of_value, constant):
    """gradient = of_gradient * gradient + of_value * values + constant, in place."""
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        for t in range(len(values)):
            value, now = values[t, first : first + count], gradient[t, first : first + count]
            for i in range(count):
                now[i] = of_gradient[i] * now[i] + (of_value[i] * value[i] + constant[i])
