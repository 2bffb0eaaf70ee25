"""NeuroBench's columns of a small network, by hand; and the measurements of others on the pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from html_page import Page
from known_networks import conv_frames, conv_network, known_activity
from report_example import example_inputs

from spikeport.export.backends.reference.simulate import simulate
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.report.content.leaderboard import HEADS, leaderboard
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report


def test_the_columns_by_hand() -> None:
    """3 -> 2 -> 1 without zero weights and biases, 4 steps: 8 weights, 32 dense and 16 effective additions, and 5
    spikes in 12 neuron-steps."""
    row = leaderboard("known | net", [layer.means() for layer in known_activity().layers], 0.75)
    assert row is not None
    assert row.pop("text") == "| known / net | 0.7500 | 8 | 0.0000 | 0.5833 | 32 | 0.0 | 16.0 |"
    assert row == {
        "accuracy": 0.75,
        "footprint_bytes": 8,
        "connection_sparsity": 0.0,
        "activation_sparsity": pytest.approx(7 / 12, rel=1e-15),  # one rounding
        "dense": 32,
        "effective_macs": 0,
        "effective_acs": 16,
    }


def test_zero_weights_and_biases_are_counted() -> None:
    network = conv_network()
    network = replace(network, layers=(replace(network.layers[0], weight=_with_zeros(network.layers[0].weight)),
                                       *network.layers[1:]))  # fmt: skip
    frames = conv_frames()
    trace = simulate(network, frames)
    row = leaderboard("conv", [layer.means() for layer in count_activity(network, trace).layers], None)
    assert row is not None
    weights = [layer.weight for layer in network.layers]
    zeros, every = sum(int((weight == 0).sum()) for weight in weights), sum(weight.size for weight in weights)
    assert zeros > 0
    assert row["connection_sparsity"] == zeros / every
    biases = sum(layer.bias.size for layer in network.layers if layer.bias is not None and layer.bias.any())
    assert row["footprint_bytes"] == every + 4 * biases
    spikes, neurons = trace.counts.spikes_out.sum(), sum(layer.neurons for layer in network.layers)
    assert row["activation_sparsity"] == pytest.approx(1 - spikes / (frames.shape[0] * frames.shape[1] * neurons))
    assert row["effective_acs"] == pytest.approx(trace.counts.effective_synops.sum() / len(frames), rel=1e-12)
    assert "| unknown |" in row["text"]


def _with_zeros(weight: np.ndarray) -> np.ndarray:
    changed = weight.copy()
    changed.ravel()[::3] = 0
    return changed


def test_messages_with_values_are_multiply_accumulates_and_older_layers_have_no_row() -> None:
    layers: list[Any] = [layer.means() for layer in known_activity().layers]
    row = leaderboard("sdnn", [{**layer, "operation": "MAC"} for layer in layers], None)
    assert row is not None
    assert (row["effective_macs"], row["effective_acs"]) == (16, 0)
    for layer in layers:
        layer.pop("zero_weights")
    assert leaderboard("older", layers, 0.5) is None


def test_the_pages_have_the_row_and_the_measurements_of_others() -> None:
    report = build_report(
        replace(example_inputs(), layers=[layer.means() for layer in known_activity().layers], steps=4)
    )
    assert report["elsewhere"]["microcontroller"]["macs"] == 8  # of one dense pass, not of four steps
    html, card = render_html(report), render_markdown(report)
    for text in (Page(html).text, card):
        assert report["leaderboard"]["text"] in text
        assert " | ".join(HEADS) in text
        assert "Measured elsewhere, another network" in text
        assert "STM32L4R5 (Cortex-M4), ANN of the same shape, 8 MACs: 0.0139 µJ" in text.replace("\\", "")
        assert "742.9 mJ" in text
    older = {key: value for key, value in report.items() if key not in ("elsewhere", "leaderboard")}
    for text in (render_html(older), render_markdown(older)):  # type: ignore[arg-type]
        assert "Leaderboard row" not in text
