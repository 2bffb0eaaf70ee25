# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False
"""The compiled loops of sigma-delta layers: messages are added up event by event, then the neurons are updated.

Sums are int64, which holds them without overflow, and become 32-bit or 24-bit integers where Lava's do. The casts are
needed: numba computes int32 in int64 otherwise.
"""

from __future__ import annotations

import numpy as np

from spikeport.compiled import compiled, entry_point
from spikeport.export.network.fixed_point import STATE_LIMIT
from spikeport.export.network.neurons.sigma_delta import SPIKE_EXP, STATE_EXP

CONV, DENSE, DELAYED, INPUT = range(4)
DELTA, SIGMA_DELTA, SIGMA = range(3)
# In the order of LayerCounts.
EVENTS_IN, SYNOPS, EFFECTIVE_SYNOPS, MESSAGES_OUT, UPDATES_ACTIVE, UPDATES_NONZERO = range(6)
_SCALE = np.int32(SPIKE_EXP + STATE_EXP)
_BELOW = np.int32(STATE_EXP)


@compiled
def _scatter_conv(geometry, weight, index, value, sums, touched):
    """Adds the kernel of one message to the sums that it reaches. Sums are ordered row, column, channel."""
    channels, height, width, per_group, in_per_group, k_rows, k_columns = geometry[:7]
    s_y, s_x, p_y, p_x, d_y, d_x, rows, columns = geometry[7:15]
    place = height * width
    channel = index // place
    y, x = (index % place) // width + p_y, index % width + p_x
    group = channel // in_per_group
    all_outputs, groups = per_group * (channels // in_per_group), channels // in_per_group
    for ky in range(k_rows):
        above = y - ky * d_y
        if above < 0 or above % s_y or above // s_y >= rows:
            continue
        for kx in range(k_columns):
            left = x - kx * d_x
            if left < 0 or left % s_x or left // s_x >= columns:
                continue
            site = (above // s_y) * columns + left // s_x
            touched[site * groups + group] = 1
            at, row = site * all_outputs + group * per_group, ((channel * k_rows + ky) * k_columns + kx) * per_group
            for o in range(per_group):
                sums[at + o] += np.int64(weight[row + o]) * value


@compiled
def _wrap(total):
    """The low 32 bits as a number with a sign."""
    return np.int32(total & np.int64(0xFFFFFFFF))


@entry_point
def run_layer(
    kind, model, geometry, weight, shift, delay, ring, places, threshold, bias, fan_out, effective_fan_out,
    received, sent, counts,
):  # fmt: skip
    """Runs one layer over one sample, from states of zero.

    Args:
        kind: CONV, DENSE, DELAYED or INPUT.
        model: DELTA, SIGMA_DELTA or SIGMA.
        geometry: of a convolution, see `_scatter_conv`.
        weight: int32, flat: `[inputs, outputs]`, `[Cin, kH, kW, Cout / groups]`, or the factor of an input.
        shift: by which netx shifted the weights of a dense layer to the left.
        delay: int32, flat `[inputs, outputs]`, for DELAYED.
        ring: the longest delay + 1.
        places: index of each neuron's sum.
        threshold: in units of the state.
        bias: int32 `[neurons]` in units of the state; of an input: what is added to the product.
        fan_out, effective_fan_out: int64 `[inputs]`.
        received: int32 `[T, inputs]`, messages or frames.
        sent: int32 `[T, neurons]`, written.
        counts: int64 `[T or 1, 6]`, added to.

    Returns:
        The largest magnitude of a sum of a convolution. Lava converts floats, which is undefined from 2^31 on.
    """
    steps, inputs = received.shape
    neurons = sent.shape[1]
    sums, peak = np.zeros(neurons, np.int64), np.int64(0)
    arriving = np.zeros((ring, neurons), np.int32)
    marks = np.zeros((ring, neurons), np.uint8)
    groups = geometry[0] // geometry[4] if kind == CONV else 1
    per_group = geometry[3] if kind == CONV else neurons
    sigma, before, residue = np.zeros(neurons, np.int32), np.zeros(neurons, np.int32), np.zeros(neurons, np.int32)
    for t in range(steps):
        row, now = t if len(counts) > 1 else 0, t % ring
        sums[:] = 0
        any_event = False
        for i in range(inputs):
            value = np.int64(received[t, i])
            if value == 0:
                continue
            any_event = True
            counts[row, EVENTS_IN] += 1
            counts[row, SYNOPS] += fan_out[i]
            counts[row, EFFECTIVE_SYNOPS] += effective_fan_out[i]
            if kind == CONV:
                _scatter_conv(geometry, weight, i, value, sums, marks[0])
            elif kind == DENSE:
                for o in range(neurons):
                    sums[o] += np.int64(weight[i * neurons + o]) * value
        if kind == DELAYED and any_event:
            for late in range(ring):
                then = (t + late) % ring
                sums[:] = 0
                for i in range(inputs):
                    value = np.int64(received[t, i])
                    if value == 0:
                        continue
                    for o in range(neurons):
                        if delay[i * neurons + o] == late:
                            sums[o] += np.int64(_wrap(np.int64(weight[i * neurons + o]) * value))
                            marks[then, o] = 1
                for o in range(neurons):
                    arriving[then, o] = _wrap(np.int64(arriving[then, o]) + (sums[o] >> shift))
        for n in range(neurons):
            held = sigma[n] != 0 or residue[n] != 0
            if kind == INPUT:
                drive = _wrap(np.int64(weight[0]) * np.int64(received[t, n]) + np.int64(bias[n]))
                act, touched = np.int32(drive << _SCALE), received[t, n] != 0
            else:
                place = places[n]
                if kind == CONV:
                    total = sums[place]
                    peak = max(peak, abs(total))
                    a = np.int32((total + STATE_LIMIT) % (2 * STATE_LIMIT) - STATE_LIMIT)
                    at = place // (per_group * groups) * groups + place % (per_group * groups) // per_group
                    touched = marks[0, at] != 0
                elif kind == DENSE:
                    a, touched = np.int32(_wrap(sums[place]) >> np.int32(shift)), any_event
                else:
                    a, touched = arriving[now, place], marks[now, place] != 0
                sigma[n] = _wrap(np.int64(sigma[n]) + np.int64(a))
                act = max(_wrap(np.int64(sigma[n]) + np.int64(bias[n])), np.int32(0))
            if model == SIGMA:
                message = sigma[n]
            else:
                change = _wrap(np.int64(act) - np.int64(before[n]) + np.int64(residue[n]))
                size = change if change > 0 else _wrap(-np.int64(change))
                passed = change if size >= threshold else np.int32(0)
                residue[n] = _wrap(np.int64(change) - np.int64(passed))
                before[n] = act
                message = np.int32(passed >> _BELOW)
            sent[t, n] = message
            counts[row, MESSAGES_OUT] += message != 0
            counts[row, UPDATES_ACTIVE] += touched or message != 0
            counts[row, UPDATES_NONZERO] += touched or message != 0 or held
        if kind == CONV:
            marks[0, :] = 0
        elif kind == DELAYED:
            marks[now, :] = 0
            arriving[now, :] = 0
    return peak
