"""What several tests share: the real recordings, the command, and a small network with frames."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("spikeport", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("spikeport")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, MNIST and other people's networks; skips where it is absent."""
    root = Path(os.environ.get("SPIKEPORT_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"the real recordings are not here ({root}); set SPIKEPORT_SHARED_DATA to their folder")
    return root


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of small inputs that went wrong once; skips where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip(f"the small inputs are not here ({folder})")
    return folder


@pytest.fixture
def spikeport(monkeypatch, capsys, tmp_path):
    """Runs the command in an empty folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))

    from spikeport.pipeline.cli.app import main

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["spikeport", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return run


@pytest.fixture
def net(tmp_path):
    weight = 2 * np.arange(-7, 8).reshape(3, 5)
    layer = IntegerLayer(
        name="fc", kind="dense", weight=weight, bias=None, i_decay=4096, v_decay=512, vth_mant=9, input_shape=(5,)
    )
    write_netx(IntegerNetwork(input_shape=(5,), layers=(layer,)), tmp_path / "a.net")
    return tmp_path / "a.net"


@pytest.fixture
def frames(tmp_path):
    spikes = (np.random.default_rng(0).random((4, 6, 5)) < 0.6).astype(np.uint8)
    write_frames(tmp_path / "f.npz", spikes, np.array([0, 1, 2, 1]))
    return tmp_path / "f.npz"
