"""The reference against Lava, against bare convolutions, and over sets of growing size, with all spikes compared.

    python benchmarks/reference.py [--run RUN] [--data ../shared/data] [--lava-samples 20] [--largest 100000]

Networks: the student and test recordings of a finished run of nmnist-small (`--run`, default runs/nmnist-small; without
it a network of the same shape with random legal weights and similar activity), and cnn_sinabs.nir on N-MNIST recordings
in bins of 1 ms, if the data are there. Lava's time excludes the start of its process; it runs one network for all
samples. "Bare" is the minimum work of a simulator with dense kernels: torch's float32 convolutions and matrix products
of the same layers over all frames, with the same threads, in the fastest batch size and layout tried.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.reference.events import thread_count
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.frames_file import read_frames
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.sampling import draw, words

REPEATS = 5
BUDGET = 256 << 20
SIZES = (100, 1_000, 10_000, 100_000)
STUDENT_SAMPLES, SINABS_SAMPLES, SINABS_LAVA_SAMPLES = 1000, 100, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/nmnist-small"), help="a finished run folder")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where nir/ and NMNIST/ lie")
    parser.add_argument("--lava-samples", type=int, default=20)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(*map(Path, options.child))
        return
    trained = (options.run / "student.net").exists()
    network, frames = from_run(options.run) if trained else like_nmnist_small()
    name = "nmnist-small's student" if trained else "a network like nmnist-small's student, random weights"
    _compare(name, network, frames, options.lava_samples, _labels(options.run, len(frames)) if trained else None)
    sinabs = options.data / "nir" / "cnn_sinabs.nir"
    if sinabs.exists():
        _compare("cnn_sinabs.nir", *_sinabs(sinabs, options.data), SINABS_LAVA_SAMPLES)
    else:
        print(f"\ncnn_sinabs.nir: left out, {sinabs} is not there")
    _flat(network, frames, [size for size in SIZES if size <= options.largest])


def _compare(
    name: str, network: IntegerNetwork, frames: np.ndarray, lava_samples: int, labels: np.ndarray | None = None
) -> None:
    """Prints the ratios of the reference to Lava and to the bare kernels."""
    drawn = draw(lava_samples, len(frames), labels)
    few = frames[drawn.rows]
    with LavaWorker() as worker:
        worker.simulate(network, few[:1])  # warm: files in memory, bytecode compiled
        began = time.perf_counter()
        lava = worker.simulate(network, few)
        lava_s = (time.perf_counter() - began) / len(few)
    simulate(network, frames[:2])
    times, bares = [], []
    for _ in range(REPEATS):  # in turns, so that whatever else the machine does falls on both
        began = time.perf_counter()
        trace = simulate(network, frames)
        times.append((time.perf_counter() - began) / len(frames))
        bares.append(_bare(network, frames.shape[0] * frames.shape[1]) / len(frames))
    ours, bare_s = min(times), min(bares)
    assert np.array_equal(trace.spikes[drawn.rows], lava.spikes), "the spikes differ from Lava's"
    dense = simulate(network, few, engine="dense", keep_layers=True)
    layer_trace = simulate(network, few, keep_layers=True)
    for one, other in zip(layer_trace.layer_spikes or (), dense.layer_spikes or (), strict=True):
        assert np.array_equal(one, other), "the engines differ"
    assert trace.counts is not None
    rates = trace.counts.spikes_out.mean(axis=0) / [layer.neurons * frames.shape[1] for layer in network.layers]
    print(f"\n{name}: {' -> '.join(str(layer.output_shape) for layer in network.layers)}, T={frames.shape[1]}")
    print(f"  inputs set {100 * frames.mean():.2f} %, layers fire {' '.join(f'{100 * rate:.1f}' for rate in rates)} %")
    print(f"  spikes equal to Lava's on {words(drawn.as_dict(), 'samples')} ({int(lava.spikes.sum())} output spikes)")
    print(f"  Lava       {1 / lava_s:10.2f} samples/s, {len(few)} samples")
    print(f"  reference  {1 / ours:10.1f} samples/s, {len(frames)} samples, counts included, {thread_count()} threads")
    print(f"  bare       {1 / bare_s:10.1f} samples/s")
    print(f"  against Lava: {lava_s / ours:.0f} times as fast (target 1000 or more)")
    print(f"  against bare kernels: {ours / bare_s:.2f} of their time (target 1.5 or less)", flush=True)


def _bare(network: IntegerNetwork, frames: int) -> float:
    """Seconds of every layer's bare kernel over that many frames, for the fastest batch size and layout."""
    import torch
    import torch.nn.functional as functional

    best = float("inf")
    for layout in (torch.channels_last, torch.contiguous_format):
        for batch in (32, 64, 128, 256):
            work = []
            for layer in network.layers:
                received = (torch.rand(batch, *layer.input_shape) < 0.1).float()
                weight = torch.tensor(layer.weight.copy()).float()
                if layer.kind == "conv":
                    received = received.contiguous(memory_format=layout)
                    weight = weight.contiguous(memory_format=layout)
                else:
                    received = received.flatten(1)
                work.append((layer, received, weight))
            with torch.inference_mode():
                rounds = max(1, frames // batch // 4)  # a quarter of the frames, since there are eight ways to try
                for timed in (False, True):
                    began = time.perf_counter()
                    for _ in range(rounds if timed else 1):
                        for layer, received, weight in work:
                            if layer.kind == "conv":
                                functional.conv2d(
                                    received, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups
                                )
                            else:
                                functional.linear(received, weight)
                    taken = time.perf_counter() - began
            best = min(best, taken * frames / (rounds * batch))
    return best


def _flat(network: IntegerNetwork, frames: np.ndarray, sizes: list[int]) -> None:
    """Prints time and memory per sample over growing sets, streamed from a file of repeated recordings."""
    print(f"\ngrowing sets, streamed from disk, budget {BUDGET >> 20} MiB; memory: what a process adds at its peak")
    with tempfile.TemporaryDirectory() as folder:
        path, net = Path(folder) / "frames.npy", Path(folder) / "network.net"
        write_netx(network, net)
        tiled = np.lib.format.open_memmap(path, "w+", np.uint8, (max(sizes), *frames.shape[1:]))
        for start in range(0, max(sizes), len(frames)):
            tiled[start : start + len(frames)] = frames[: max(sizes) - start]
        del tiled
        expected = int(simulate(network, frames).spikes.sum(dtype=np.int64))
        command = [sys.executable, __file__, "--child", str(net), str(path)]
        for size in sizes:
            environment = os.environ | {"SAMPLES": str(size)}
            answer = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)
            if size % len(frames) == 0:
                assert answer["spikes"] == expected * (size // len(frames)), "the streamed spikes differ"
            assert answer["peak"] <= BUDGET, "the budget is passed"
            print(
                f"  {size:7,} samples: {1e6 * answer['seconds'] / size:7.1f} us each, {answer['peak'] >> 20:4d} MiB",
                flush=True,
            )


def _child(net: Path, path: Path) -> None:
    network = read_netx(net)
    size = int(os.environ["SAMPLES"])
    frames = np.load(path, mmap_mode="r", allow_pickle=False)[:size]
    simulate(network, frames[:2])
    before = _memory("VmRSS")
    times = []
    for _ in range(max(1, min(20, 10_000 // size))):
        began = time.perf_counter()
        spikes = simulate(network, frames, memory_bytes=BUDGET).spikes
        times.append(time.perf_counter() - began)
    peak = _memory("VmHWM") - before
    print(json.dumps({"seconds": float(np.median(times)), "peak": peak, "spikes": int(spikes.sum(dtype=np.int64))}))


def _memory(key: str) -> int:
    """Bytes of this process's memory, as Linux reports them."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def from_run(run: Path) -> tuple[IntegerNetwork, np.ndarray]:
    network = read_netx(run / "student.net")
    frames, _ = read_frames(run / "test-frames.npz", network.input_shape)
    return network, np.concatenate([frames] * -(-STUDENT_SAMPLES // len(frames)))[:STUDENT_SAMPLES]


def _labels(run: Path, samples: int) -> np.ndarray:
    """Labels of the frames that `from_run` returns."""
    with np.load(run / "test-frames.npz", allow_pickle=False) as archive:
        labels = archive["labels"]
    return np.resize(labels, samples)


def _sinabs(path: Path, data: Path) -> tuple[IntegerNetwork, np.ndarray]:
    """The NIR paper's network as integers, and every tenth recording in 300 bins of 1 ms."""
    from spikeport.export.graph.spiking_graph import load_graph
    from spikeport.export.quantization.quantize import quantize
    from spikeport.pipeline.data.frames.binning import Binning, bin_recording
    from spikeport.pipeline.data.readers.recordings import read_recording

    network, _ = quantize(load_graph(path, dt_s=1e-3, reset="zero", if_gain="per_step"))
    binning = Binning(steps=300, step_us=1000, height=34, width=34)
    files = sorted((data / "NMNIST" / "Train").glob("*/*.bin"))
    chosen = files[:: max(1, len(files) // SINABS_SAMPLES)]
    recordings = (read_recording(file, (34, 34), label=0, key=file.stem) for file in chosen)
    return network, np.stack([bin_recording(recording, binning) for recording in recordings])


def like_nmnist_small() -> tuple[IntegerNetwork, np.ndarray]:
    rng = np.random.default_rng(0)
    shape: tuple[int, ...] = (2, 34, 34)
    layers = []
    for index, (channels, threshold) in enumerate(((16, 130), (32, 300), (64, 140))):
        layers.append(
            IntegerLayer(
                name=f"conv{index}",
                kind="conv",
                weight=2 * rng.integers(-60, 60, (channels, shape[0], 3, 3)),
                bias=rng.integers(-20, 30, channels),
                i_decay=4096,
                v_decay=1024,
                vth_mant=threshold,
                input_shape=shape,
                stride=(2, 2),
                padding=(1, 1),
            )
        )
        shape = layers[-1].output_shape
    weight = 2 * rng.integers(-60, 62, (10, int(np.prod(shape))))
    layers.append(
        IntegerLayer(
            name="output",
            kind="dense",
            weight=weight,
            bias=None,
            i_decay=4096,
            v_decay=1024,
            vth_mant=400,
            input_shape=shape,
        )
    )
    frames = (rng.random((STUDENT_SAMPLES, 10, 2, 34, 34)) < 0.08).astype(np.uint8)  # as full as 30 ms of N-MNIST
    return IntegerNetwork(input_shape=(2, 34, 34), layers=tuple(layers)), frames


if __name__ == "__main__":
    main()
