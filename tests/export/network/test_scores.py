"""The scores of a read-out by hand: what its classes are compared by."""

import numpy as np

from spikeport.export.network.readout import Readout

SPIKES = np.array([[[1, 0], [1, 1], [0, 0]], [[0, 0], [0, 0], [0, 0]]], np.uint8)  # 2 samples, 3 steps, 2 outputs
VOLTAGES = np.array([[[5, -2], [-9, 4], [1, 3]], [[2**31 - 1, 0], [2**31 - 1, 0], [1, 7]]], np.int32)


def test_scores_of_each_kind() -> None:
    assert Readout().scores(SPIKES).tolist() == [[2, 1], [0, 0]]
    weight, bias = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]), np.array([0.0, 1.0, -2.0])
    assert Readout(kind="linear", weight=weight).scores(SPIKES).tolist() == [[4.0, -1.0, 6.5], [0.0, 0.0, 0.0]]
    host = Readout(kind="linear", weight=weight, bias=bias)
    assert host.scores(SPIKES).tolist() == [[4.0, 2.0, 0.5], [0.0, 3.0, -6.0]]
    assert host.classes(SPIKES).tolist() == [0, -1]
    for over_time, expected in {
        "sum": [[-3, 5], [2**32 - 1, 7]], "max": [[5, 4], [2**31 - 1, 7]], "last": [[1, 3], [1, 7]],
    }.items():  # fmt: skip
        readout = Readout(kind="membrane", over_time=over_time)  # type: ignore[arg-type]
        scores = readout.scores(SPIKES, VOLTAGES)
        assert scores.tolist() == expected
        assert scores.dtype == np.int64, "differences of two voltages do not wrap"
        assert readout.classes(SPIKES, VOLTAGES).tolist() == np.argmax(expected, axis=1).tolist()
