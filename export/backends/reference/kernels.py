# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False
# pyright: reportCallIssue=false
# numba infers these types when it compiles, and gives intrinsics their first argument.
"""The compiled loops of the event-driven reference. They share one file, longer than others, because numba's cache
notices changes in the file of a function only, not in those that it calls.

`run_samples` runs a packed network (see `execution_plan`) over samples, time step by time step. Each layer takes the
list of events of the layer before, adds a row of weights for each event, updates its neurons and lists those that
fired. All arithmetic is int32, which `bounds` has proved wide enough. Neurons are ordered channels last, so that a row
of a kernel is added to the sums in one run.

The casts are needed: numba computes int32 in int64 otherwise. Indices are unsigned, since negative indices, which count
from the end, would keep LLVM from using whole registers (measured: 14 sums a ns against 2).
"""

from __future__ import annotations

import numpy as np

from spikeport.compiled import compiled, entry_point
from spikeport.export.backends.reference.simd import add8, add8_both, add16, add16_both, first_byte, word_at
from spikeport.export.network.fixed_point import DECAY_ONE, STATE_LIMIT, STATE_SHIFT

# Fields of a layer's row in the plan. `*_AT`: index at which the layer's part of a flat array begins.
(
    KIND, MODE, NEURONS, PADDED, IN_CHANNELS, IN_RECIPROCAL, CHANNELS, GROUPS, PER_GROUP, IN_PER_GROUP,
    WEIGHT_AT, CHANNEL_STRIDE, STARTS_AT, MET_AT, MARKS_AT,
    RECURRENT, RECURRENT_AT, RING, DELAYS, DELAY_AT, DELAY_STRIDE, RECURRENT_DELAY_AT,
    FAN_OUT_AT, RECURRENT_FAN_OUT_AT, PLACE_AT, FREE_AT, BIASED, UNBIASED, WRAPS,
    ODD, REST, SHIFT, THRESHOLD, STATE_AT, SUMS_AT, TOUCHED_AT, TOUCHED, EVENTS_AT, OUT_AT, GAIN, FIELDS,
) = range(41)  # fmt: skip

CONV, DENSE, INPUT = range(3)
# How a layer's neurons are updated. TOUCHED_ONLY: no leak, bias or current, so that only neurons change that received
# an event. LEAKY: one decay and threshold for all neurons, no current. GENERAL: parameters for each neuron, a current.
TOUCHED_ONLY, LEAKY, GENERAL = range(3)
NO_DELAY, DELAY_BY_INPUT, DELAY_BY_SYNAPSE = range(3)
# In the order of spike_trace.LayerCounts.
EVENTS_IN, SYNOPS, EFFECTIVE_SYNOPS, SPIKES_OUT, UPDATES_ACTIVE, UPDATES_NONZERO = range(6)
BLOCK = 32  # masks are searched in blocks of this many bytes, and padded to them


_u = np.uint64
_LIMIT = np.int32(STATE_LIMIT)
_TURN = np.int32(2 * STATE_LIMIT)  # what wrapping adds or subtracts
_SHIFT = np.int32(STATE_SHIFT)
_DECAY_BITS, _DECAY_REST = np.int32(DECAY_ONE.bit_length() - 1), np.int32(DECAY_ONE - 1)


@compiled
def _add(sums, at, weights, row, count):
    """sums[at : at + count] += weights[row : row + count], for a multiple of eight."""
    done = np.int64(0)
    while done + 16 <= count:
        add16(sums, at + done, weights, row + done)
        done += 16
    if done < count:
        add8(sums, at + done, weights, row + done)


@compiled
def _add_both(sums, at, weights, row, other, count):
    """As `_add`, two rows at once: the sums are read and written once for both."""
    done = np.int64(0)
    while done + 16 <= count:
        add16_both(sums, at + done, weights, row + done, other + done)
        done += 16
    if done < count:
        add8_both(sums, at + done, weights, row + done, other + done)


@compiled
def _add_times(sums, at, weights, row, count, times):
    """sums[at : at + count] += times * weights[row : row + count]."""
    a, b = np.uint64(at), np.uint64(row)
    factor = np.int32(times)
    for i in range(np.uint64(count)):
        sums[a + i] = np.int32(sums[a + i] + np.int32(np.int32(weights[b + i]) * factor))


@compiled
def _scatter_conv(plan, weights, tables, events, first, count, sums):
    """Adds the kernel of each event to the sums that it reaches: for spikes and one group.

    For each site of the input the tables list the runs of outputs that it reaches: the indices of their sums and
    weights and their length. Two events of one site are added at once.
    """
    in_channels, reciprocal, stride = plan[IN_CHANNELS], plan[IN_RECIPROCAL], plan[CHANNEL_STRIDE]
    starts, met = _u(plan[STARTS_AT]), _u(plan[MET_AT])
    e = np.int64(0)
    while e < count:
        index = np.int64(events[first + e])
        place = (index * reciprocal) >> 32  # an exact division, see `bounds.fits_int32`
        channel = index - place * in_channels
        kernel, other, both = channel * stride, np.int64(0), False
        if e + 1 < count:
            channel = np.int64(events[first + e + 1]) - place * in_channels
            both = 0 <= channel < in_channels  # inputs come channel by channel
            other = channel * stride
        for entry in range(_u(tables[starts + _u(place)]), _u(tables[starts + _u(place) + _u(1)])):
            row = met + _u(3) * entry
            target, source = np.int64(tables[row]), np.int64(tables[row + _u(1)])
            if both:
                _add_both(sums, target, weights, source + kernel, source + other, np.int64(tables[row + _u(2)]))
            else:
                _add(sums, target, weights, source + kernel, np.int64(tables[row + _u(2)]))
        e += 2 if both else 1


@compiled
def _scatter_any_conv(plan, weights, tables, events, first, values, count, sums):
    """As `_scatter_conv`, for groups, and for events that carry values (none: spikes)."""
    in_channels, reciprocal = plan[IN_CHANNELS], plan[IN_RECIPROCAL]
    starts, met = plan[STARTS_AT], plan[MET_AT]
    for e in range(count):
        index = np.int64(events[first + e])
        place = (index * reciprocal) >> 32
        channel = index - place * in_channels
        shift = channel // plan[IN_PER_GROUP] * plan[PER_GROUP]
        for entry in range(tables[starts + place], tables[starts + place + 1]):
            row = met + 3 * entry
            times = values[e] if len(values) else 1
            source = channel * plan[CHANNEL_STRIDE] + tables[row + 1]
            _add_times(sums, shift + tables[row], weights, source, tables[row + 2], times)


@compiled
def _mark_conv(plan, tables, events, first, count, touched):
    """Marks the blocks of neurons (one for each site and group) that events reach, whatever the weight."""
    in_channels, reciprocal, groups = plan[IN_CHANNELS], plan[IN_RECIPROCAL], plan[GROUPS]
    starts, marks_at = plan[STARTS_AT], plan[MARKS_AT]
    before = np.int64(-1)
    for e in range(count):
        index = np.int64(events[first + e])
        place = (index * reciprocal) >> 32
        group = np.int64(0) if groups == 1 else (index - place * in_channels) // plan[IN_PER_GROUP]
        if place * groups + group == before:
            continue
        before = place * groups + group
        for entry in range(tables[starts + place], tables[starts + place + 1]):
            row = marks_at + 3 * entry
            mark, real = plan[TOUCHED_AT] + group + tables[row], tables[row + 2]
            for k in range(np.int64(tables[row + 1])):
                touched[mark + k * groups] |= np.uint8((real >> k) & 1)


@compiled
def _scatter_dense(plan, weight_at, weights, events, first, count, sums, touched):
    """Adds a row of weights for each event, two at once; marks that the layer received one. Spikes, no delays."""
    padded, target = plan[PADDED], plan[SUMS_AT]
    if count:
        touched[plan[TOUCHED_AT]] = 1
    for e in range(0, count - 1, 2):
        row, other = np.int64(events[first + e]), np.int64(events[first + e + 1])
        _add_both(sums, target, weights, weight_at + row * padded, weight_at + other * padded, padded)
    if count % 2:
        _add(sums, target, weights, weight_at + np.int64(events[first + count - 1]) * padded, padded)


@compiled
def _scatter_any_dense(
    plan, weight_at, delay_at, delay_stride, weights, tables, events, first, values, count, step, sums, touched
):
    """As `_scatter_dense`, for counts and for delays, which add to sums of later steps in a ring buffer."""
    padded, ring = plan[PADDED], plan[RING]
    one = np.int32(1)
    if plan[DELAYS] == DELAY_BY_SYNAPSE:
        for e in range(count):
            index = np.int64(events[first + e])
            times = np.int32(values[e]) if len(values) else one
            delays, row = delay_at + index * delay_stride, weight_at + index * padded
            for i in range(plan[NEURONS]):
                slot = (step + tables[delays + i]) % ring
                sums[plan[SUMS_AT] + slot * padded + i] += np.int32(weights[row + i]) * times
                touched[plan[TOUCHED_AT] + slot * plan[TOUCHED] + i] = 1
        return
    for e in range(count):
        index = np.int64(events[first + e])
        slot = np.int64(0)
        if plan[DELAYS] == DELAY_BY_INPUT:
            slot = (step + tables[delay_at + index * delay_stride]) % ring
        touched[plan[TOUCHED_AT] + slot] = 1
        times = np.int32(values[e]) if len(values) else one
        _add_times(sums, plan[SUMS_AT] + slot * padded, weights, weight_at + index * padded, padded, times)


@compiled
def _wrap_sums(sums, at, count):
    """Wraps the sums of a convolution to 24 bits, as netx does."""
    a = np.uint64(at)
    for i in range(np.uint64(count)):
        sums[a + i] = np.int32(np.int32(np.int32(sums[a + i] + _LIMIT) & np.int32(_TURN - 1)) - _LIMIT)


@compiled
def _update_leaky(plan, voltage, sums, sums_at, bias, bias_at, fired, held):
    """One time step of neurons without current: v decays to odd / 2^shift of itself, truncated toward zero.

    `held` marks the neurons whose voltage was not 0 before.
    """
    a, s, b = np.uint64(plan[STATE_AT]), np.uint64(sums_at), np.uint64(bias_at)
    odd, rest, shift = np.int32(plan[ODD]), np.int32(plan[REST]), np.int32(plan[SHIFT])
    threshold = np.int32(plan[THRESHOLD])
    for i in range(np.uint64(plan[PADDED])):
        held[a + i] = voltage[a + i] != 0
        v = np.int32(voltage[a + i] * odd)
        v = np.int32(np.int32(v + np.int32(np.int32(v >> np.int32(31)) & rest)) >> shift)
        v = np.int32(np.int32(v + np.int32(sums[s + i] << _SHIFT)) + bias[b + i])
        v = min(max(v, np.int32(1 - _LIMIT)), np.int32(_LIMIT - 1))
        spike = v > threshold
        fired[a + i] = spike
        voltage[a + i] = np.int32(0) if spike else v
        sums[s + i] = 0


@compiled
def _decayed(x, keep):
    """keep / 4096 of x, truncated toward zero, in int32: high and low bits are multiplied separately."""
    size = np.int32(abs(x))
    high = np.int32(np.int32(size >> _DECAY_BITS) * keep)
    part = np.int32(high + np.int32(np.int32(np.int32(size & _DECAY_REST) * keep) >> _DECAY_BITS))
    return np.int32(-part) if x < 0 else part


@compiled
def _update_general(plan, voltage, current, sums, sums_at, bias, keep_u, keep_v, thresholds, fired, held):
    """One time step of CUBA neurons with parameters of their own: the current wraps once, the voltage saturates.

    `held` marks the neurons whose voltage was not 0 before, or whose current is not 0 now.
    """
    a, s = np.uint64(plan[STATE_AT]), np.uint64(sums_at)
    for i in range(np.uint64(plan[PADDED])):
        u = np.int32(_decayed(current[a + i], keep_u[a + i]) + np.int32(sums[s + i] << _SHIFT))
        u = np.int32(u - _TURN) if u > _LIMIT else (np.int32(u + _TURN) if u <= np.int32(-_LIMIT) else u)
        current[a + i] = u
        held[a + i] = (voltage[a + i] != 0) | (u != 0)
        v = np.int32(np.int32(_decayed(voltage[a + i], keep_v[a + i]) + u) + bias[a + i])
        v = min(max(v, np.int32(1 - _LIMIT)), np.int32(_LIMIT - 1))
        spike = v > thresholds[a + i]
        fired[a + i] = spike
        voltage[a + i] = np.int32(0) if spike else v
        sums[s + i] = 0


@compiled
def _update_touched(plan, voltage, sums, touched, tables, events):
    """One time step of neurons that only events change.

    Returns:
        How many fired, how many received an event, how many of these had a voltage of 0 before, and by how many the
        neurons with another voltage became more.
    """
    per_group, threshold = plan[PER_GROUP], np.int32(plan[THRESHOLD])
    count, active, resting, more = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for block in range(0, plan[TOUCHED], BLOCK):
        if not _any(touched, plan[TOUCHED_AT] + block):
            continue
        for place in range(block, block + BLOCK):
            if touched[plan[TOUCHED_AT] + place] == 0:
                continue
            touched[plan[TOUCHED_AT] + place] = 0
            active += tables[plan[FREE_AT] + place]
            base = place * per_group
            state, source = np.uint64(plan[STATE_AT] + base), np.uint64(plan[SUMS_AT] + base)
            crossed, before, after = np.int32(0), np.int32(0), np.int32(0)
            for i in range(np.uint64(per_group)):
                before += np.int32(voltage[state + i] != 0)
                v = np.int32(voltage[state + i] + np.int32(sums[source + i] << _SHIFT))
                v = max(min(v, np.int32(_LIMIT - 1)), np.int32(1 - _LIMIT))
                voltage[state + i] = v
                sums[source + i] = 0
                crossed |= np.int32(v > threshold)
                after += np.int32(v != 0)
            resting += tables[plan[FREE_AT] + place] - before
            more += after - before
            if crossed:
                for i in range(per_group):
                    if voltage[plan[STATE_AT] + base + i] > threshold:
                        more -= np.int64(voltage[plan[STATE_AT] + base + i] != 0)
                        voltage[plan[STATE_AT] + base + i] = 0
                        events[plan[EVENTS_AT] + count] = base + i
                        count += 1
    return count, active, resting, more


@compiled
def _any(mask, at):
    """Whether any byte in one block of a mask is not zero."""
    found = np.uint8(0)
    a = np.uint64(at)
    for k in range(np.uint64(BLOCK)):
        found |= mask[a + k]
    return found != 0


@compiled
def _list_fired(plan, fired, events):
    """Lists the neurons that fired as events of this layer; returns their number."""
    count, state, own = np.int64(0), plan[STATE_AT], plan[EVENTS_AT]
    for index in range(0, plan[PADDED], 8):
        word = word_at(fired, state + index)
        while word:
            events[own + count] = index + first_byte(word)
            count += 1
            word &= word - np.uint64(1)
    return count


@compiled
def _count_held(held, unbiased, state, count):
    """Number of neurons without a bias among `count` from `state` on that are marked in `held`."""
    found, a = np.int32(0), np.uint64(state)
    for i in range(np.uint64(count)):
        found += np.int32(held[a + i]) & unbiased[a + i]
    return np.int64(found)


@compiled
def _count_active(plan, tables, events, spikes, touched, held, unbiased, slot):
    """Counts the updates of neurons without a bias in this time step; clears the marks.

    Returns:
        How many received an event or fired, and how many received an event or are marked in `held`. A neuron whose
        voltage and current are 0 does not fire.
    """
    if plan[UNBIASED] == 0:
        return np.int64(0), np.int64(0)
    if plan[KIND] == CONV or plan[DELAYS] == DELAY_BY_SYNAPSE:
        marks, per_group = plan[TOUCHED_AT] + slot * plan[TOUCHED], plan[PER_GROUP]
        active, nonzero = np.int64(0), np.int64(0)
        for place in range(plan[TOUCHED]):
            free = np.int64(tables[plan[FREE_AT] + place])
            if touched[marks + place]:
                active += free
                nonzero += free
            elif free:
                nonzero += _count_held(held, unbiased, plan[STATE_AT] + place * per_group, per_group)
        if plan[MODE] == GENERAL:  # only a current can make a neuron fire that received no event
            for e in range(spikes):
                index = events[plan[EVENTS_AT] + e]
                if touched[marks + index // per_group] == 0:
                    active += unbiased[plan[STATE_AT] + index]
        for place in range(plan[TOUCHED]):
            touched[marks + place] = 0
        return active, nonzero
    mark = plan[TOUCHED_AT] + slot
    if touched[mark]:
        touched[mark] = 0
        return plan[UNBIASED], plan[UNBIASED]
    active = np.int64(0)
    if plan[MODE] == GENERAL:
        for e in range(spikes):
            active += unbiased[plan[STATE_AT] + events[plan[EVENTS_AT] + e]]
    return active, _count_held(held, unbiased, plan[STATE_AT], plan[PADDED])


@compiled
def _count_synops(fan_out_at, tables, events, first, count, totals, k):
    """Adds the fan-out of each event to a layer's counts, summed in registers first."""
    fan_out = _u(fan_out_at)
    synops, effective = np.int64(0), np.int64(0)
    for e in range(count):
        at = fan_out + _u(2) * _u(events[first + e])
        synops += tables[at]
        effective += tables[at + _u(1)]
    totals[SYNOPS, k] += synops
    totals[EFFECTIVE_SYNOPS, k] += effective


@compiled
def _list_inputs(frame, places, events, values):
    """Lists the nonzero inputs of one frame, and their values if `values` has room; returns their number."""
    count, size = np.int64(0), len(frame)
    whole = size // 8 * 8
    for start in range(0, whole, 8):
        word = word_at(frame, start)
        while word:
            byte = first_byte(word)
            word &= ~(np.uint64(255) << np.uint64(8 * byte))
            events[count] = places[start + byte]
            if len(values):
                values[count] = frame[start + byte]
            count += 1
    for j in range(whole, size):
        if frame[j]:
            events[count] = places[j]
            if len(values):
                values[count] = frame[j]
            count += 1
    return count


@compiled
def _drive_inputs(plan, events, values, count, sums, bias):
    """Adds the drive of an input layer to its bias; returns how many more neurons are driven than have a bias."""
    more = np.int64(0)
    for e in range(count):
        index = events[e]
        drive = plan[GAIN] * values[e]
        sums[plan[SUMS_AT] + index] = drive
        resting = np.int64(bias[plan[STATE_AT] + index])
        more += np.int64((drive << STATE_SHIFT) + resting != 0) - np.int64(resting != 0)
    return more


@compiled
def _count_driven(plan, voltage, sums, bias):
    """Number of neurons of an input layer whose drive is not 0, or whose voltage is not."""
    found, a, s = np.int64(0), np.uint64(plan[STATE_AT]), np.uint64(plan[SUMS_AT])
    for i in range(np.uint64(plan[PADDED])):
        found += np.int64((np.int32(sums[s + i] << _SHIFT) + bias[a + i] != 0) | (voltage[a + i] != 0))
    return found


@entry_point
def run_samples(frames, graded, plan, weights, tables, places, neurons, unbiased, sizes, spikes, membrane, counts):
    """Runs samples and writes `spikes`, `membrane` and `counts`, which must be zero.

    Args:
        frames: uint8 `[N, T, inputs]`.
        graded: whether inputs are counts, not spikes.
        plan: int64 `[L, FIELDS]`, a row for each layer.
        weights: int16, packed.
        tables: int32, packed.
        places: index inside for each input, channels last.
        neurons: int32 `[4, states]`: bias and threshold in state units (64ths of a weight step), and the fractions of
            current and voltage that a time step keeps, in 4096ths.
        unbiased: int32 `[states]`, 1 for neurons without a bias.
        sizes: lengths of states, sums, marks and events.
        spikes: uint8, a row for each sample; a layer that is kept has its `[T, neurons]` from OUT_AT on (-1: not kept).
        membrane: int32 `[N, T, K]`, or of size 0.
        counts: int64 `[N, T, 6, L]`, or `[N, 1, 6, L]`, where all time steps are added up.
    """
    bias, thresholds, keep_u, keep_v = neurons[0], neurons[1], neurons[2], neurons[3]
    samples, steps, _ = frames.shape
    layers = len(plan)
    voltage, current = np.empty(sizes[0], np.int32), np.empty(sizes[0], np.int32)
    fired, held = np.zeros(sizes[0], np.uint8), np.zeros(sizes[0], np.uint8)
    sums, touched = np.empty(sizes[1], np.int32), np.empty(sizes[2], np.uint8)
    events = np.empty(sizes[3], np.int32)
    arriving = np.empty(frames.shape[2], np.int32)
    values = np.empty(frames.shape[2] if graded else 0, np.int32)
    spiked, awake = np.zeros(layers, np.int64), np.zeros(layers, np.int64)  # awake: where only events change neurons
    apart = counts.shape[1] > 1
    bare = np.empty(0, np.int32)
    for n in range(samples):
        voltage[:] = 0
        current[:] = 0
        sums[:] = 0
        touched[:] = 0
        spiked[:] = 0
        awake[:] = 0
        for t in range(steps):
            source, first, carried = arriving, np.int64(0), values
            totals = counts[n, t if apart else 0]
            count = _list_inputs(frames[n, t], places, arriving, values)
            for k in range(layers):
                layer = plan[k]
                slot = t % layer[RING]
                totals[EVENTS_IN, k] += count
                _count_synops(layer[FAN_OUT_AT], tables, source, first, count, totals, k)
                active, nonzero = layer[BIASED], layer[BIASED]
                if layer[KIND] == CONV:
                    if layer[GROUPS] == 1 and len(carried) == 0:
                        _scatter_conv(layer, weights, tables, source, first, count, sums)
                    else:
                        _scatter_any_conv(layer, weights, tables, source, first, carried, count, sums)
                    if layer[UNBIASED]:
                        _mark_conv(layer, tables, source, first, count, touched)
                elif layer[KIND] == INPUT:
                    active += _drive_inputs(layer, source, carried, count, sums, bias)
                    nonzero = _count_driven(layer, voltage, sums, bias)
                elif layer[DELAYS] == NO_DELAY and len(carried) == 0:
                    _scatter_dense(layer, layer[WEIGHT_AT], weights, source, first, count, sums, touched)
                else:
                    _scatter_any_dense(layer, layer[WEIGHT_AT], layer[DELAY_AT], layer[DELAY_STRIDE], weights, tables,
                                       source, first, carried, count, t, sums, touched)  # fmt: skip
                if layer[RECURRENT]:  # spiked[k] and the events are still those of the step before
                    own = layer[EVENTS_AT]
                    totals[EVENTS_IN, k] += spiked[k]
                    _count_synops(layer[RECURRENT_FAN_OUT_AT], tables, events, own, spiked[k], totals, k)
                    if layer[DELAYS] == NO_DELAY:
                        _scatter_dense(layer, layer[RECURRENT_AT], weights, events, own, spiked[k], sums, touched)
                    else:
                        _scatter_any_dense(layer, layer[RECURRENT_AT], layer[RECURRENT_DELAY_AT], 0, weights, tables,
                                           events, own, bare, spiked[k], t, sums, touched)  # fmt: skip
                if layer[MODE] == TOUCHED_ONLY:
                    spiked[k], moved, resting, more = _update_touched(layer, voltage, sums, touched, tables, events)
                    active += moved
                    nonzero += awake[k] + resting
                    awake[k] += more
                else:
                    sums_at = layer[SUMS_AT] + slot * layer[PADDED]
                    if layer[WRAPS]:
                        _wrap_sums(sums, sums_at, layer[PADDED])
                    if layer[MODE] == LEAKY:
                        _update_leaky(layer, voltage, sums, sums_at, bias, layer[STATE_AT], fired, held)
                    else:
                        _update_general(layer, voltage, current, sums, sums_at, bias, keep_u, keep_v, thresholds,
                                        fired, held)  # fmt: skip
                    spiked[k] = _list_fired(layer, fired, events)
                    if layer[KIND] != INPUT:
                        moved, others = _count_active(layer, tables, events, spiked[k], touched, held, unbiased, slot)
                        active += moved
                        nonzero += others
                source, first, count, carried = events, layer[EVENTS_AT], spiked[k], bare
                totals[SPIKES_OUT, k] += count
                totals[UPDATES_ACTIVE, k] += active
                totals[UPDATES_NONZERO, k] += nonzero
                if layer[OUT_AT] >= 0:
                    target = layer[OUT_AT] + t * layer[NEURONS]
                    for e in range(count):
                        spikes[n, target + tables[layer[PLACE_AT] + events[first + e]]] = 1
            if len(membrane):
                last = plan[layers - 1]
                for index in range(last[PADDED]):
                    place = tables[last[PLACE_AT] + index]
                    if place >= 0:
                        membrane[n, t, place] = voltage[last[STATE_AT] + index]
