"""Runs .net files in Lava's netx. Lives in Lava's environment: imports nothing of Spikeport's but the shims.

Reads one JSON request a line from standard input: `net`, `frames` (.npy, [N, T, ...] of 0 and 1), `output` (.npz to
write), `keep_layers`. Answers with JSON lines: `progress`, then `done` or `error`. Standard output carries nothing
else: what Lava prints goes to standard error.
"""

import json
import os
import pathlib
import sys
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # the interpreter is isolated (-I)

import shims

shims.apply()

import numpy as np
from lava.lib.dl.netx.hdf5 import Network
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source


def run(request, tell) -> None:
    """All samples of a request back to back in one network, reset between them; spikes land in `output`.

    Block k adds k + 1 steps; reset_offset=1 makes every block reset with the first frame of each sample.
    """
    frames = np.load(request["frames"], allow_pickle=False)
    samples, steps = frames.shape[:2]
    network = Network(net_config=request["net"], reset_interval=steps, reset_offset=1)
    depth = len(network.layers)
    total = samples * steps + depth
    source = Source(data=_as_input(frames, network.inp.shape, total))
    source.s_out.connect(network.inp)
    watched = list(range(depth)) if request["keep_layers"] else [depth - 1]
    sinks = []
    for index in watched:
        layer = network.layers[index]
        port = network.out if index == depth - 1 else layer.out
        sink = Sink(shape=layer.out.shape, buffer=total)
        port.connect(sink.a_in)
        sinks.append(sink)
    configuration = Loihi2SimCfg(select_tag="fixed_pt")
    try:
        done = 0
        while done < total:
            stride = min(steps, total - done)
            network.run(condition=RunSteps(num_steps=stride), run_cfg=configuration)
            done += stride
            tell({"progress": min(done // steps, samples), "total": samples})
        arrays = {}
        for index, sink in zip(watched, sinks, strict=True):
            arrays[f"layer{index}"] = _as_frames(sink.data.get(), index, samples, steps)
    finally:
        network.stop()
    np.savez(request["output"], **arrays)


def _as_input(frames, shape, total):
    """[N, T, C, H, W] as netx takes it: (W, H, C, time) or (features, time), blank at the end."""
    flat = frames.reshape(-1, *frames.shape[2:]).astype(np.int32)
    moved = flat.reshape(flat.shape[0], -1).T if len(shape) == 1 else flat.transpose(3, 2, 1, 0)
    data = np.zeros((*shape, total), dtype=np.int32)
    data[..., : moved.shape[-1]] = moved
    return data


def _as_frames(data, index, samples, steps):
    """A sink's (W, H, C, time) or (features, time) as [N, T, C, H, W] in logical time: index + 1 steps earlier."""
    late = index + 1
    spikes = np.moveaxis(data[..., late : late + samples * steps], -1, 0) != 0
    if spikes.ndim == 4:
        spikes = spikes.transpose(0, 3, 2, 1)
    return spikes.astype(np.uint8).reshape(samples, steps, *spikes.shape[1:])


def main() -> None:
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(message):
        channel.write(json.dumps(message) + "\n")

    tell({"ready": True})
    for line in sys.stdin:
        try:
            run(json.loads(line), tell)
        except Exception as error:
            traceback.print_exc()
            tell({"error": f"{type(error).__name__}: {error}"})
        else:
            tell({"done": True})


if __name__ == "__main__":
    main()
