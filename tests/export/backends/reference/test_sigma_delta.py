"""Sigma-delta networks in the reference: values by hand, equations in plain NumPy, counts, refusals."""

import numpy as np
import pytest
from random_sdnn import random_case

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import iter_simulate, simulate
from spikeport.export.network.connectivity import fan_out_map
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout


def sdnn(*layers, over_time="last"):
    first = layers[0]
    return IntegerNetwork(
        input_shape=first.input_shape, layers=layers, input_message_bits=0 if first.kind == "input" else 16,
        readout=Readout(kind="values", over_time=over_time),
    )  # fmt: skip


def layer(name, weight, neuron, vth_mant=0, bias=None, **more):
    weight = np.asarray(weight)
    fields = {"kind": "input" if neuron == "delta" else "dense", "input_shape": (weight.shape[-1],)} | more
    return IntegerLayer(name=name, weight=weight, neuron=neuron, vth_mant=vth_mant, i_decay=0, v_decay=0,
                        bias=None if bias is None else np.asarray(bias), **fields)  # fmt: skip


def delta(inputs, weight=1, **more):
    return layer("in", [weight], "delta", input_shape=(inputs,), **more)


def test_a_change_below_the_threshold_waits_until_the_sum_of_changes_reaches_it():
    """Threshold 5, factor 2: 2 and 4 wait, 6 passes, and so does the way back. Messages are 64 times the value."""
    trace = simulate(sdnn(delta(1, weight=2, vth_mant=5), over_time="sum"), np.array([[[1], [2], [3], [3], [0], [1]]]))
    assert trace.values[0, :, 0].tolist() == [0, 0, 6 * 64, 0, -6 * 64, 0]
    assert trace.spikes[0, :, 0].tolist() == [0, 0, 1, 0, 1, 0]


def test_the_output_is_the_ann_where_nothing_is_held_back():
    """With thresholds of 0 the sums are those of a ReLU network on each frame, times the 2^6 of messages."""
    first, last = np.array([[2, -4, 6], [8, 2, -2]]), np.array([[4, -2], [2, 6], [-8, 2], [2, 2]])
    network = sdnn(delta(3), layer("h", first, "sigma-delta", bias=[3, -7]), layer("out", last, "sigma"))
    frames = np.array([[[1, 2, 3], [4, -5, 6], [0, 0, -9], [0, 0, 0]]])
    hidden = np.maximum(64 * frames[0] @ first.T + 4096 * np.array([3, -7]), 0)
    np.testing.assert_array_equal(simulate(network, frames).values[0], hidden // 64 @ last.T)  # all are multiples


def test_what_the_shift_cuts_off_is_lost_as_in_lava():
    """Sums of 1 and -1: 1 >> 6 is 0 and -1 >> 6 is -1, so that a pulse leaves -1 behind."""
    messages = np.array([[[1], [-1], [0]]])
    network = sdnn(layer("h", [[1]], "sigma-delta"), layer("out", [[2]], "sigma"))
    trace = simulate(network, messages, keep_layers=True)
    assert trace.layer_values[0][0, :, 0].tolist() == [0, -1, 0]
    assert trace.values[0, :, 0].tolist() == [0, -2, -2]


def test_a_convolution_wraps_to_24_bits():
    network = sdnn(layer("c", [[[[254]]]], "sigma", kind="conv", input_shape=(1, 1, 2)))
    trace = simulate(network, np.array([[[[[32767, 1]]], [[[32767, 0]]]]], dtype=np.int16), keep_layers=True)
    assert 254 * 32767 < 2**23 < 254 * 2 * 32767  # each message fits, and the sum of both has 32 bits
    assert trace.values[0].tolist() == [[254 * 32767, 254], [2 * 254 * 32767, 254]]
    wide = sdnn(layer("c", [[[[254, 254]]]], "sigma", kind="conv", input_shape=(1, 1, 2)))
    assert simulate(wide, np.full((1, 1, 1, 1, 2), 32767)).values.item() == 2 * 254 * 32767 - 2**24


def test_it_equals_the_equations_in_every_layer_of_random_networks():
    for seed in range(60):
        network, frames, expected = random_case(np.random.default_rng(seed))
        trace = simulate(network, frames, keep_layers=True)
        for n, sample in enumerate(expected):
            for index, values in enumerate(sample):
                np.testing.assert_array_equal(trace.layer_values[index][n], values, err_msg=f"{seed} {n} {index}")


def test_counts_are_those_of_the_messages():
    """Messages, and messages times the fan-out of their source, from the values alone."""
    for seed in (0, 3, 4, 8, 20):
        network, frames, expected = random_case(np.random.default_rng(seed))
        trace = simulate(network, frames, per_step=True)
        for n, sample in enumerate(expected):
            arriving = frames[n]
            for index, (each, sent) in enumerate(zip(network.layers, sample, strict=True)):
                nonzero = (arriving != 0).reshape(len(arriving), -1)
                steps = trace.step_counts
                assert steps.events_in[n, :, index].tolist() == nonzero.sum(axis=1).tolist()
                assert steps.synops[n, :, index].tolist() == (nonzero @ fan_out_map(each).ravel()).tolist()
                assert trace.counts.spikes_out[n, index] == np.count_nonzero(sent)
                active, off_rest = trace.counts.updates_active[n, index], trace.counts.updates_nonzero[n, index]
                assert np.count_nonzero(sent) <= active <= off_rest <= sent.size
                arriving = sent


def test_chunks_and_threads_change_nothing(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    network, frames, _ = random_case(np.random.default_rng(5))
    many = np.concatenate([frames] * 9)
    whole = simulate(network, many)
    parts = [trace.values for _, trace in iter_simulate(network, many, memory_bytes=1 << 22)]
    np.testing.assert_array_equal(np.concatenate(parts), whole.values)
    np.testing.assert_array_equal(whole.values[: len(frames)], whole.values[-len(frames) :])


class TestReadouts:
    def test_the_class_is_the_largest_value_of_the_last_step(self):
        network = sdnn(delta(2), layer("out", 2 * np.eye(2, dtype=int), "sigma"))
        frames = np.array([[[9, 0], [1, 2]], [[9, 0], [1, -2]]])
        assert network.readout.classes(*_read(network, frames)).tolist() == [1, 0]

    def test_the_sum_of_messages_is_the_activation(self):
        network = sdnn(delta(2), layer("out", 2 * np.eye(2, dtype=int), "sigma-delta"), over_time="sum")
        frames = np.array([[[9, 0], [1, 2]]])
        _, values = _read(network, frames)
        assert values.sum(axis=1).tolist() == [[2, 4]]
        assert network.readout.classes(*_read(network, frames)).tolist() == [1]


def _read(network, frames):
    trace = simulate(network, frames)
    return trace.spikes, trace.levels


class TestRefusals:
    @pytest.mark.parametrize(
        ("frames", "words"),
        [
            (np.full((2, 3, 1), -8192), "sample 0 holds -8192, which is outside -8191..8191: .* at most 524287"),
            (np.full((2, 3, 1), 0.5), "which is not an integer"),
            (np.array([[[1]], [[9000]]]), "sample 1 holds 9000, which is outside"),
        ],
    )
    def test_frames_that_lava_would_change(self, frames, words):
        """64 times 8191 is the last product below 2^19."""
        with pytest.raises(UserError, match=words):
            simulate(sdnn(delta(1, weight=64), over_time="sum"), frames)

    def test_sums_beyond_32_bits_where_lava_is_undefined(self):
        first = layer("c", np.full((1, 1, 1, 2), 254), "sigma-delta", kind="conv", input_shape=(1, 1, 3),
                      bias=[2**19 - 1])  # fmt: skip
        second = layer("d", np.full((1, 1, 1, 2), 254), "sigma", kind="conv", input_shape=(1, 1, 2))
        with pytest.raises(UserError, match=r"d: a sum of .* does not fit 32 bits"):
            simulate(sdnn(first, second), np.ones((1, 1, 1, 1, 3), np.int16))

    def test_messages_beyond_16_bits_are_noted(self, capsys):
        simulate(sdnn(delta(1), over_time="sum"), np.array([[[511], [0], [512], [0]]]))  # 512 * 64 is 2^15
        assert "in: 1 messages need more than 16 bits" in capsys.readouterr().err

    def test_another_device(self):
        with pytest.raises(UserError, match=r"no GPU|on the CPU"):
            simulate(sdnn(delta(1), over_time="sum"), np.zeros((1, 2, 1), np.int16), device="cuda")
