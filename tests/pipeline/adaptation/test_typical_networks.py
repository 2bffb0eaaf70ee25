"""Networks as the frameworks' guides write them reach the chip with the words of the help: one command, or two."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from frameworks import outcomes, typical

from spikeport.pipeline.stages.adaptation_source import source_of

FIRST = {"norse", "spikingjelly", "nengo"}  # their neurons reset to zero; the others subtract


@pytest.mark.parametrize("name", typical.names())
def test_it_goes_with_one_command_or_two(name: str) -> None:
    found = typical.result(name)
    assert found.goes == (found.framework in FIRST), found
    assert found.goes or found.adapted, found
    assert found.goes or found.first == "needs adapt"


@pytest.mark.parametrize("name", typical.cases())
def test_the_file_is_what_the_framework_ran(name: str, tmp_path: Path) -> None:
    """In float and with the framework's own reset, which is how adapt runs it as the teacher."""
    (tmp_path / "net.nir").write_bytes(gzip.decompress((outcomes.FILES / f"{name}.nir.gz").read_bytes()))
    framework = typical.cases()[name]["metadata"]["framework"]
    source = source_of(tmp_path / "net.nir", None, None, None, None, None, framework)
    data = np.load(outcomes.FILES / f"{name}.npz")
    with torch.no_grad():
        found = source.network(torch.tensor(data["frames"].swapaxes(0, 1), dtype=torch.float32)).output.numpy()
    output = found.swapaxes(0, 1).reshape(data["output"].shape)
    assert np.count_nonzero(output != data["output"]) <= 0.01 * output.size  # float32 sums in another order
    assert output.sum() >= 8


def test_there_are_two_of_each_framework() -> None:
    frameworks = [typical.result(name).framework for name in typical.names()]
    assert len(frameworks) == 14
    assert {frameworks.count(framework) for framework in frameworks} == {2}
