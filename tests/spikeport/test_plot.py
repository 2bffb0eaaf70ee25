"""Each plot shows the numbers that it was given, says what is unknown, and leaves matplotlib's global state alone."""

import io
import subprocess
import sys

import numpy as np
import pytest

from spikeport import plot
from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.read import read_netx
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.values import Interval, Missing


@pytest.fixture
def trace():
    spikes = np.zeros((2, 5, 3), np.uint8)
    spikes[1, 0, 2] = spikes[1, 4, 0] = 1
    hidden = np.zeros((2, 5, 1, 2, 2), np.uint8)
    hidden[0, 3, 0, 1, 0] = 1
    membrane = np.arange(30, dtype=np.int32).reshape(2, 5, 3)
    return SpikeTrace(backend="reference", spikes=spikes, layer_spikes=(hidden, spikes), membrane=membrane)


def marks(axes):
    return {tuple(int(value) for value in point) for point in axes.collections[0].get_offsets()}


def test_a_raster_marks_step_and_neuron_of_each_spike(trace):
    assert marks(plot.raster(trace, sample=1)) == {(0, 2), (4, 0)}
    assert marks(plot.raster(trace, layer=0)) == {(3, 2)}
    assert marks(plot.raster(trace)) == set()


def test_membranes_are_lines_of_the_chosen_neurons(trace):
    axes = plot.membranes(trace, sample=1, neurons=[2, 0], threshold=20)
    first, second, threshold = axes.get_lines()
    assert list(first.get_ydata()) == [17, 20, 23, 26, 29]
    assert list(second.get_ydata()) == [15, 18, 21, 24, 27]
    assert set(threshold.get_ydata()) == {20}
    assert [line.get_label() for line in axes.get_lines()] == ["2", "0", "threshold"]


def test_rates_are_spikes_per_neuron_and_step(net):
    network = read_netx(net)
    frames = (np.random.default_rng(1).random((4, 7, 5)) < 0.6).astype(np.uint8)
    trace = simulate(network, frames)
    (bar,) = plot.rates(network, trace).patches
    assert 0 < trace.spikes.mean() < 1
    assert bar.get_width() == pytest.approx(trace.spikes.mean())


def test_bars_say_what_is_unknown_and_show_the_interval():
    axes = plot.energy_bars(
        {"one": Interval(low=1.5, nominal=2, high=3), "other": Missing("not published"), "no": None}
    )
    assert [bar.get_width() for bar in axes.patches] == [2, 0, 0]
    assert list(axes.get_lines()[0].get_xdata()) == [1.5, 3]
    assert len(axes.get_lines()) == 1
    assert [text.get_text().strip() for text in axes.texts] == ["2 µJ (1.5 to 3)", "unknown", "unknown"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "other", "no"]


def test_an_axes_given_is_drawn_on_and_returned(trace):
    from matplotlib.figure import Figure

    given = Figure().subplots()
    assert plot.raster(trace, ax=given) is given
    picture = io.BytesIO()
    given.figure.savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda trace: plot.raster(trace, sample=2), "sample 2 does not exist"),
        (lambda trace: plot.raster(trace, layer=2), "layer 2 does not exist"),
        (lambda trace: plot.raster(SpikeTrace(backend="lava", spikes=trace.spikes), layer=0), "no spikes of layers"),
        (lambda trace: plot.membranes(SpikeTrace(backend="lava", spikes=trace.spikes)), "no membrane"),
        (lambda trace: plot.membranes(trace, neurons=[3]), "neuron 3 does not exist"),
    ],
)
def test_what_is_not_there_is_said(trace, draw, message):
    with pytest.raises(UserError, match=message):
        draw(trace)


def test_rates_need_counts_of_the_same_network(net, trace):
    network = read_netx(net)
    with pytest.raises(UserError, match="no counts"):
        plot.rates(network, trace)
    counted = simulate(network, np.ones((1, 3, 5), np.uint8))
    with pytest.raises(UserError, match="another network"):
        plot.rates(network, trace_of(counted))


def trace_of(trace):
    """The same trace with the counts of one layer more."""
    counts = type(trace.counts)(**{key: np.repeat(value, 2, axis=1) for key, value in vars(trace.counts).items()})
    return SpikeTrace(backend=trace.backend, spikes=trace.spikes, counts=counts)


def test_a_plot_does_not_load_pyplot_nor_torch():
    code = (
        "import sys, numpy as np, types; from spikeport import plot;"
        "plot.raster(types.SimpleNamespace(spikes=np.ones((1, 2, 3)), layer_spikes=None));"
        "sys.exit(bool({'matplotlib.pyplot', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
