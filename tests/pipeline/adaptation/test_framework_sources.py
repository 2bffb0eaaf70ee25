"""Files of frameworks as sources of an adaptation: in float they give the framework's own spikes and its own reset."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from frameworks import outcomes

from spikeport.pipeline.stages.adaptation_source import source_of


@pytest.mark.parametrize(
    "name",
    ["snntorch_leaky_subtract", "sinabs_conv_default", "rockpool_lif", "rockpool_lif_neuron", "spyx_lif", "spyx_rlif",
     "spyx_conv", "spikingjelly_if_met", "norse_lif"],
)  # fmt: skip
def test_a_source_fires_as_its_framework_did(name: str, tmp_path: Path) -> None:
    """`--from` alone, as the command takes it: numbers on a grid, so that float32 is the framework's own."""
    path = tmp_path / "net.nir"
    path.write_bytes(gzip.decompress((outcomes.FILES / f"{name}.nir.gz").read_bytes()))
    framework = name.partition("_")[0]
    source = source_of(path, None, None, None, None, None, framework)
    data = np.load(outcomes.FILES / f"{name}.npz")
    with torch.no_grad():
        found = source.network(torch.tensor(data["frames"].swapaxes(0, 1), dtype=torch.float32))
    output = found.output.numpy().swapaxes(0, 1).reshape(data["output"].shape)
    assert np.array_equal(output, data["output"])
    assert output.sum() > 20
    assert bool(source.changes) == (framework != "norse")  # resets to zero and fires above the threshold, as the chip
