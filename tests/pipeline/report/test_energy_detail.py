"""Bars of energy by layer and term, the tornado of constants, and the drawing of the network, by hand."""

from __future__ import annotations

import re
from typing import Any

import pytest

from spikeport.pipeline.report.content.layer_flow import arrow_width, layer_flow
from spikeport.pipeline.report.pages.energy_detail import layer_parts, tornado


def terms(name: str, synapse: float, neuron: float, routing: float | None) -> dict[str, Any]:
    three = dict(zip(("synapse_uj", "neuron_uj", "routing_uj"), (synapse, neuron, routing), strict=True))
    return {"name": name} | {
        key: None if value is None else {"low": value, "nominal": value, "high": value} for key, value in three.items()
    }


def rectangles(markup: str) -> list[tuple[str, float, float]]:
    found = re.findall(r'<rect class="(\S+)" x="([\d.]+)%" width="([\d.]+)%"', markup)
    return [(name, float(x), float(width)) for name, x, width in found]


def test_parts_of_a_bar_by_hand() -> None:
    """The larger layer has 3 + 1 + 1 = 5 µJ; the smaller one 1 + 0.5 and an unknown term, 20 and 10 % of it."""
    large, small = layer_parts([terms("a", 3.0, 1.0, 1.0), terms("b", 1.0, 0.5, None)])
    assert (large["sum"], small["sum"]) == (5.0, 1.5)
    assert rectangles(large["bar"]) == [("term-0", 0.0, 60.0), ("term-1", 60.0, 20.0), ("term-2", 80.0, 20.0)]
    assert rectangles(small["bar"]) == [("term-0", 0.0, 20.0), ("term-1", 20.0, 10.0)]
    assert "neurons: 0.5 µJ" in small["bar"]


def effect(constant: str, dynamic: tuple[float, float], total: tuple[float, float] | None) -> dict[str, Any]:
    ends = [None if pair is None else dict(zip(("low", "high"), pair, strict=True)) for pair in (dynamic, total)]
    return {"constant": constant, "low": 1.0, "high": 2.0, "dynamic_uj": ends[0], "total_uj": ends[1]}


def test_the_tornado_is_sorted_and_leaves_out_what_does_not_move() -> None:
    effects = [effect("small", (1.0, 1.0), (9.0, 12.0)), effect("none", (1.0, 1.0), (10.0, 10.0)),
               effect("large", (1.0, 2.0), (20.0, 5.0))]  # fmt: skip
    found = tornado(effects, 1.0, 10.0)
    assert found is not None
    assert (found["of"], [row["constant"] for row in found["rows"]]) == ("total", ["large", "small"])
    assert found["rows"][0]["ends"] == "20.0 to 5.00"
    # Values reach from 5 to 20, and the axis a twentieth of that further: 4.25 to 20.75, 16.5 long.
    ((name, x, width),) = rectangles(found["rows"][1]["bar"])
    assert (name, x, width) == (
        "moved",
        pytest.approx(100 * 4.75 / 16.5, abs=1e-3),
        pytest.approx(100 * 3 / 16.5, abs=1e-3),
    )


def test_without_a_total_the_tornado_is_of_dynamic_energy() -> None:
    found = tornado([effect("one", (1.0, 3.0), None)], 2.0, None)
    assert found is not None
    assert found["of"] == "dynamic"
    assert tornado([effect("one", (1.0, 3.0), None)], None, None) is None
    assert tornado([effect("one", (2.0, 2.0), None)], 2.0, None) is None


def test_layers_and_arrows_by_hand() -> None:
    """5 x 3 inputs to 2 x 4 neurons over 7 steps: 840 dense operations are 120 synapses."""
    rows: list[Any] = [
        {"name": "a", "kind": "dense", "shape": [2, 4], "neurons": 8, "weights": 15, "dense_ops": 840,
         "spikes_per_sample": 6.5, "synops_per_sample": 1e6},
        {"name": "b", "kind": "dense", "shape": [3], "neurons": 3, "weights": 24, "dense_ops": 168,
         "spikes_per_sample": 1.0, "synops_per_sample": None},
    ]  # fmt: skip
    first, second = layer_flow(rows, 7)
    assert (first["synapses"], second["synapses"]) == (120, 24)
    assert (first["shape"], first["spikes_in"], second["spikes_in"]) == ("2 × 4", None, 6.5)
    assert (first["width"], second["width"]) == (10.0, 1.0)
    assert [arrow_width(value) for value in (0.0, 1.0, 10.0, 1e9)] == [1.0, 1.0, 2.5, 10.0]
