"""Cost of counting in the reference, and of a report over 10,000 samples: time, memory, size.

    python benchmarks/report.py [--run RUN] [--samples 10000]

Network and frames are those of a finished run of nmnist-small (`--run`, default runs/nmnist-small), otherwise those of
benchmarks/reference.py, with random labels. "Without counts" is the same compiled loops in a process of their own,
without the code that fills the counts (fan-outs of events, marks of touched neurons); the spikes must be equal. The two
alternate. The time of a report begins with frames in memory: simulation, counts, energies on three devices,
sensitivity, and all five files.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from reference import from_run, like_nmnist_small

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.write import read_netx, write_netx

ROUNDS, COUNTED_SAMPLES = 7, 1000
DEVICES = ("loihi1", "loihi2", "cmos45-fp32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/nmnist-small"))
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        work, *files = options.child
        _report(*map(Path, files)) if work == "report" else _loop(work == "bare", *map(Path, files))
        return
    trained = (options.run / "student.net").exists()
    network, frames = from_run(options.run) if trained else like_nmnist_small()
    print("nmnist-small's student" if trained else "a network like nmnist-small's student, random weights")
    with tempfile.TemporaryDirectory() as folder:
        net, few, many = (Path(folder) / name for name in ("network.net", "few.npy", "many.npy"))
        write_netx(network, net)
        np.save(few, frames[:COUNTED_SAMPLES])
        np.save(many, np.resize(frames, (options.samples, *frames.shape[1:])))
        _compare(net, few)
        print(_answer("report", net, many), end="", flush=True)


def _compare(net: Path, frames: Path) -> None:
    children = {work: _start(work, net, frames) for work in ("counting", "bare")}
    times: dict[str, list[float]] = {work: [] for work in children}
    spikes = {}
    for _ in range(ROUNDS):
        for work, child in children.items():
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("go\n")
            child.stdin.flush()
            seconds, spikes[work] = json.loads(child.stdout.readline())
            times[work].append(seconds)
    for child in children.values():
        child.communicate()
    assert spikes["counting"] == spikes["bare"], "the spikes differ"
    counting, bare = (float(np.median(times[work])) for work in ("counting", "bare"))
    print(f"{COUNTED_SAMPLES:,} samples through the reference, medians of {ROUNDS}, {spikes['bare']:,} output spikes")
    print(f"  with counts     {counting * 1e3:7.1f} ms")
    print(f"  without counts  {bare * 1e3:7.1f} ms")
    print(f"  counting adds   {100 * (counting / bare - 1):7.1f} % (target 10 or less)", flush=True)


def _start(work: str, net: Path, frames: Path) -> subprocess.Popen[str]:
    # A folder of its own for compiled loops: the changed ones must never be found by anyone else.
    environment = os.environ | ({"NUMBA_CACHE_DIR": str(net.parent / "compiled")} if work == "bare" else {})
    command = [sys.executable, __file__, "--child", work, str(net), str(frames)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _answer(work: str, net: Path, frames: Path) -> str:
    command = [sys.executable, __file__, "--child", work, str(net), str(frames)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _loop(bare: bool, net: Path, frames_file: Path) -> None:
    """Runs in a child process: simulates once for each line on stdin, and prints [seconds, output spikes]."""
    if bare:
        _without_counts()
    network, frames = read_netx(net), np.load(frames_file)
    simulate(network, frames[:2])
    for _ in sys.stdin:
        began = time.perf_counter()
        trace = simulate(network, frames)
        print(json.dumps([time.perf_counter() - began, int(trace.spikes.sum())]), flush=True)


def _without_counts() -> None:
    from spikeport.export.backends.reference import kernels

    def count_synops(fan_out_at, tables, events, first, count, totals, k):  # type: ignore[no-untyped-def]
        return

    def count_active(plan, tables, events, spikes, touched, unbiased, slot):  # type: ignore[no-untyped-def]
        return np.int64(0)

    def mark_conv(plan, tables, events, first, count, touched):  # type: ignore[no-untyped-def]
        return

    for nothing in (count_synops, count_active, mark_conv):
        setattr(kernels, f"_{nothing.__name__}", kernels.compiled(nothing))


def _report(net: Path, frames_file: Path) -> None:
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.profile_network import Subject, profile_network, write_page

    network, frames = read_netx(net), np.load(frames_file)
    labels = np.random.default_rng(0).integers(0, network.layers[-1].neurons, len(frames))
    simulate(network, frames[:2])
    before = _peak_mib()
    subject = Subject(network=network, source=net, frames=frames, labels=labels, frames_file=frames_file, dt_s=0.03)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        result, trace = profile_network(subject, DEVICES, "a100", ProgressPrinter(quiet=True))
        counted = time.perf_counter() - began
        files = write_page(subject, DEVICES, result, trace, Path(folder))
        seconds = time.perf_counter() - began
        page = (Path(folder) / "report.html").stat().st_size
    print(f"a report over {len(frames):,} samples, {len(files)} files")
    print(f"  simulation, counts, energies {counted:6.2f} s, files {seconds - counted:5.2f} s")
    print(f"  together {seconds:6.2f} s (target 15 or less)")
    print(f"  memory {_peak_mib():,.0f} MiB at its peak, {before:,.0f} of it before, frames included (target 1,024)")
    print(f"  report.html {page / 1e6:.2f} MB (target 2 or less)")


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
