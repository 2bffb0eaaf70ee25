"""Runs a .net file in lava-dl's netx itself, without Spikeport's reader and writer: an oracle for what files mean."""

import subprocess
from pathlib import Path

import numpy as np

from spikeport.export.backends.lava import environment
from spikeport.export.backends.lava.inside import shims

INSIDE = Path(shims.__file__).parent
SCRIPT = """
import sys
sys.path.insert(0, {inside!r})
import shims
shims.apply()
import numpy as np
import probes
from lava.lib.dl.netx.hdf5 import Network
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source

if __name__ == "__main__":
    frames = np.load("frames.npy")  # [T, *shape], one sample
    steps = len(frames)
    network = Network(net_config="plain.net", reset_interval=steps, reset_offset=1)
    depth = len(network.layers)
    total = steps + depth
    data = np.zeros((total, *frames.shape[1:]), dtype=np.int32)
    data[:steps] = frames
    source = Source(data=data.transpose(*range(1, data.ndim)[::-1], 0).copy())  # (W, H, C, T)
    source.s_out.connect(network.inp)
    sink = Sink(shape=network.out.shape, buffer=total)
    network.out.connect(sink.a_in)
    probe = probes.Probe(shape=(*network.out_layer.neuron.v.shape, total))
    probe.source.connect_var(network.out_layer.neuron.v)
    network.run(condition=RunSteps(num_steps=total), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    found = [each.data.get()[..., depth:] for each in (sink, probe)]
    network.stop()
    np.savez("out.npz", spikes=found[0].T, voltage=found[1].T)  # [T, *shape]
"""


def run_plain_netx(file: Path, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Output spikes and voltages `[T, *shape]` of one sample `[T, *input_shape]`; `file` must be named plain.net."""
    assert file.name == "plain.net"
    np.save(file.parent / "frames.npy", frames)
    (file.parent / "plain.py").write_text(SCRIPT.format(inside=str(INSIDE)))
    done = subprocess.run([environment.interpreter(), "-P", "plain.py"], cwd=file.parent, capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(file.parent / "out.npz") as archive:
        return archive["spikes"].astype(np.int64), archive["voltage"].astype(np.int64)
