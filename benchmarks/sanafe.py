"""`loihi1-sanafe` against SANA-FE itself: the same integer networks and inputs in both.

    python benchmarks/sanafe.py [--data ../shared/data] [--venv FOLDER] [--run RUN]... [--samples 3]

SANA-FE (GPL-3.0) is not a dependency. It is run as it is, by `sanafe_chip.py` in an environment of its own, which is
made in `--venv` (sanafe 2.2.9 and h5py) unless it is there. Its shipped Loihi description is used unchanged.

Neurons are on the cores of Spikeport's partition, four cores a tile. The inputs are on cores of their own in SANA-FE,
as its units for inputs need them; Spikeport has none for them, and its tiles are counted with these cores here. Both
run T steps and one more for each layer: SANA-FE, in which a layer sees a spike one step later, runs until the last
layer has seen the last input; Spikeport gets that many silent steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.frames_file import read_frames
from spikeport.export.formats.netx.read import read_netx
from spikeport.export.mapping.core_partition import inputs_of
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.energy.latency import latency
from spikeport.pipeline.profiling.energy.placement import place
from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies, sample_energies

VERSION = "2.2.9"
SEED = 19
ENERGY, TIME = 0.03, 0.10  # what is called equal
INPUTS_PER_CORE, CORES_PER_TILE = 1024, 4


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network with frames `[N, T, *input_shape]` of 0 and 1."""

    name: str
    network: IntegerNetwork
    frames: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where netx/oxford.net lies")
    parser.add_argument("--venv", type=Path, default=Path(".venv/sanafe"), help="environment of SANA-FE")
    parser.add_argument("--run", type=Path, action="append", default=[], help="a run whose student is compared too")
    parser.add_argument("--samples", type=int, default=3, help="samples of each network")
    options = parser.parse_args()
    python = environment(options.venv)
    print(f"SANA-FE {VERSION}, its shipped Loihi; seed {SEED}, {options.samples} samples of each network")
    print(f"equal: energy within {ENERGY:.0%}, time within {TIME:.0%}\n", flush=True)
    for case in [*random_cases(options.samples), *files(options.data, options.run, options.samples)]:
        compare(case, python)


def environment(folder: Path) -> Path:
    """The Python of SANA-FE's environment, which is made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        packages = [f"sanafe=={VERSION}", "numpy"]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
    return python


def random_cases(samples: int) -> list[Case]:
    """Seeded networks of unequal sizes: dense with and without leak, convolutions on one core and on several."""
    rng = np.random.default_rng(SEED)

    def weights(*shape: int, low: int = -40, high: int = 60) -> np.ndarray:
        return 2 * rng.integers(low, high, shape)

    def dense(name: str, outputs: int, shape: tuple[int, ...], threshold: int, v_decay: int) -> IntegerLayer:
        return IntegerLayer(
            name=name, kind="dense", weight=weights(outputs, int(np.prod(shape))), bias=None, i_decay=4096,
            v_decay=v_decay, vth_mant=threshold, input_shape=shape,
        )  # fmt: skip

    def conv(
        name: str, channels: int, shape: tuple[int, ...], threshold: int, v_decay: int, stride: int = 1
    ) -> IntegerLayer:
        return IntegerLayer(
            name=name, kind="conv", weight=weights(channels, shape[0], 3, 3), bias=None, i_decay=4096, v_decay=v_decay,
            vth_mant=threshold, input_shape=shape, stride=(stride, stride), padding=(1, 1),
        )  # fmt: skip

    def case(name: str, layers: list[IntegerLayer], steps: int, rate: float) -> Case:
        network = IntegerNetwork(input_shape=layers[0].input_shape, layers=tuple(layers))
        return Case(
            name=name,
            network=network,
            frames=(rng.random((samples, steps, *network.input_shape)) < rate).astype(np.uint8),
        )

    first = dense("fc1", 211, (130,), 400, 0)
    whole = [first, dense("fc2", 37, first.output_shape, 900, 0)]
    leaking = dense("fc1", 1500, (97,), 500, 128)
    wide = [leaking, dense("fc2", 61, leaking.output_shape, 3000, 128), dense("fc3", 11, (61,), 300, 128)]
    small = conv("conv1", 6, (2, 11, 13), 150, 0, stride=2)
    one_core = [small, dense("fc", 10, small.output_shape, 400, 0)]
    large = conv("conv1", 8, (2, 19, 23), 200, 256)
    second = conv("conv2", 12, large.output_shape, 700, 256, stride=2)
    several = [large, second, dense("fc", 10, second.output_shape, 1500, 256)]
    return [
        case("dense, no leak", whole, 40, 0.05),
        case("dense on several cores, leak", wide, 30, 0.04),
        case("convolution on one core, no leak", one_core, 25, 0.08),
        case("convolutions on several cores, leak", several, 20, 0.05),
    ]


def files(data: Path, runs: list[Path], samples: int) -> list[Case]:
    """oxford.net on random spikes, and the students of runs on their test recordings."""
    rng, found = np.random.default_rng(SEED), []
    path = data / "netx" / "oxford.net"
    if path.exists():
        network = read_netx(path)
        found.append(
            Case(
                name="oxford.net (SLAYER)",
                network=network,
                frames=(rng.random((samples, 60, *network.input_shape)) < 0.05).astype(np.uint8),
            )
        )
    else:
        print(f"oxford.net: left out, {path} is not there\n")
    for run in runs:
        if not (run / "student.net").exists():
            print(f"{run}: left out, it has no student.net\n")
            continue
        network = read_netx(run / "student.net")
        frames, _ = read_frames(run / "test-frames.npz", network.input_shape)
        found.append(Case(name=f"student of {run.name}", network=network, frames=np.asarray(frames[:samples])))
    return found


def compare(case: Case, python: Path) -> None:
    """Runs both and prints counts, energies and times with their ratios."""
    network, depth = case.network, len(case.network.layers)
    frames = np.concatenate([case.frames, np.zeros_like(case.frames[:, :depth])], axis=1)
    trace = simulate(network, frames, per_step=True)
    activity = count_activity(network, trace)
    profile = load_profile("loihi1-sanafe")
    placed = place(network, profile)
    assert placed is not None
    spare = -(-int(np.prod(network.input_shape)) // INPUTS_PER_CORE)
    tiles = -(-(sum(placed.cores) + spare) // CORES_PER_TILE)
    ours = sample_energies(profile, activity, placement=replace(placed, tiles=tiles))
    theirs = run_sanafe(network, frames, python)
    shapes = " -> ".join("x".join(map(str, layer.output_shape)) for layer in network.layers)
    print(f"{case.name}: {shapes}, {sum(placed.cores)} cores, T = {case.frames.shape[1]}")
    report(ours, theirs, aligned_updates(trace), stepwise_us(ours, trace))


def aligned_updates(trace: SpikeTrace) -> int:
    """Active updates in the steps that SANA-FE runs: layer k (from 1) rests for its first k steps there."""
    assert trace.step_counts is not None
    updates = trace.step_counts.updates_nonzero
    assert updates is not None
    steps = updates.shape[1]
    return sum(int(updates[:, : steps - index - 1, index].sum()) for index in range(updates.shape[2]))


def stepwise_us(ours: SampleEnergies, trace: SpikeTrace) -> float:
    """Time of all samples where the busiest layer is sought in each step, with layer k working k steps later, µs.

    It is the latency model of the profile, applied to the counts of one step at a time.
    """
    counts, network = trace.step_counts, ours.activity
    assert counts is not None
    samples, steps, depth = counts.spikes_out.shape
    arrays = {key: np.zeros((samples, steps + depth, depth), np.int64) for key in counts.arrays()}
    for key, counted in counts.arrays().items():
        for index in range(depth):
            arrays[key][:, index : index + steps, index] = counted[:, :, index]
    total = 0.0
    for step in range(depth - 1, steps):  # steps in which every layer works; the others are added at their mean
        layers = tuple(
            replace(
                layer,
                steps=1,
                events=arrays["events_in"][:, step, index],
                synops=arrays["synops"][:, step, index],
                spikes=arrays["spikes_out"][:, step, index],
                messages=arrays["events_in"][:, step, index]
                + (index == depth - 1) * arrays["spikes_out"][:, step, index],
            )
            for index, layer in enumerate(network.layers)
        )
        active = [arrays["updates_nonzero"][:, step, index] for index in range(depth)]
        found = latency(ours.profile, replace(network, layers=layers, steps=1), active, ours.placement).time_us
        assert found is not None
        total += found[1].sum()
    return total * steps / (steps - depth + 1)


def report(ours: SampleEnergies, theirs: list[dict[str, float]], aligned: int, stepwise: float) -> None:
    """Prints sums over samples of both."""
    layers = ours.activity.layers
    assert ours.dynamic_pj is not None
    assert ours.latency.time_us is not None
    totals = {key: sum(row[key] for row in theirs) for key in theirs[0]}
    mine = {
        "spikes": layers[0].events.sum() + sum(layer.spikes.sum() for layer in layers),
        "synops": sum(layer.synops.sum() for layer in layers),
        "active updates": sum(layer.updates_nonzero.sum() for layer in layers if layer.updates_nonzero is not None),
        "messages": sum(messages.received[1].sum() for messages in ours.messages),
        "energy_uj": ours.dynamic_pj[1].sum() / 1e6,
        "time_us": ours.latency.time_us[1].sum(),
    }
    for key in ("spikes", "synops", "active updates", "messages"):
        same = "equal" if round(mine[key], 6) == totals[key] else f"{mine[key] / totals[key] - 1:+.2%}"
        print(f"  {key:15} SANA-FE {totals[key]:>12,.0f}  Spikeport {mine[key]:>14,.1f}  {same}")
    off = aligned / totals["active updates"] - 1
    print(f"    active updates in the steps in which SANA-FE runs each layer: {off:+.2%}")
    for key, limit in (("energy_uj", ENERGY), ("time_us", TIME)):
        ratio = mine[key] / totals[key] - 1
        inside = "within" if abs(ratio) <= limit else "NOT within"
        print(
            f"  {key:15} SANA-FE {totals[key]:>12.4f}  Spikeport {mine[key]:>14.4f}  {ratio:+.2%}, {inside} {limit:.0%}"
        )
    print(f"    the busiest core sought step by step: {stepwise:.4f}, {stepwise / totals['time_us'] - 1:+.2%}")
    parts = {
        "synapse": sum(layer.synapse_pj[1].sum() for layer in ours.layers) / 1e6,
        "neuron": sum(layer.neuron_pj[1].sum() for layer in ours.layers) / 1e6,
        "routing": sum(layer.routing_pj[1].sum() for layer in ours.layers) / 1e6,
    }
    leaving = layers[-1].spikes.sum() * 111e-6
    soma, network = totals["soma_uj"], totals["network_uj"]
    print(f"  µJ of SANA-FE: synapse {totals['synapse_uj']:.4f}, soma with spikes {soma:.4f}, network {network:.4f}")
    print(f"  µJ of Spikeport: {', '.join(f'{name} {value:.4f}' for name, value in parts.items())}", end="")
    print(f"; {leaving:.4f} of it for spikes that leave, which SANA-FE sends nowhere\n", flush=True)


def run_sanafe(network: IntegerNetwork, frames: np.ndarray, python: Path) -> list[dict[str, float]]:
    """Counts, energy and time of each sample in SANA-FE."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        np.savez(path, frames=frames.reshape(*frames.shape[:2], -1), **described(network))
        script = Path(__file__).with_name("sanafe_chip.py")
        done = subprocess.run(
            [str(python), "-P", str(script), str(path)], stdout=subprocess.PIPE, text=True, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def described(network: IntegerNetwork) -> dict[str, np.ndarray]:
    """The network as arrays: synapses (source, target, weight); core, threshold, bias and leak of each neuron."""
    arrays: dict[str, np.ndarray] = {"layers": np.array(len(network.layers))}
    first = 0
    for index, layer in enumerate(network.layers):
        placed = cores_of(network, index)
        keep = 1 - np.broadcast_to(layer.v_decay, layer.output_shape).ravel() / 4096
        arrays |= {
            f"synapses_{index}": synapses(layer),
            f"core_{index}": first + placed,
            f"threshold_{index}": np.broadcast_to(layer.vth_mant, layer.output_shape).ravel().astype(float),
            f"bias_{index}": np.broadcast_to(layer.bias_map, layer.output_shape).ravel() / 1.0,
            f"leak_{index}": keep,
            f"conv_{index}": np.array(layer.kind == "conv"),
        }
        first += int(placed.max()) + 1
    return arrays


def cores_of(network: IntegerNetwork, index: int) -> np.ndarray:
    """The core of each neuron of a layer, from 0: the partition fills cores in order."""
    from spikeport.export.mapping.limits import check_limits

    layer = network.layers[index]
    sizes = check_limits(network, load_profile("loihi1-sanafe")).layers[index].neurons_by_core
    order = [neuron for neuron, _ in inputs_of(layer)]
    cores = np.empty(layer.neurons, dtype=np.int64)
    cores[order] = np.repeat(np.arange(len(sizes)), sizes)
    return cores


def synapses(layer: IntegerLayer) -> np.ndarray:
    """Every synapse of a layer, zero weights too: float64 `[S, 3]` source, target and weight."""
    if layer.kind == "dense":
        targets, sources = np.indices(layer.weight.shape).reshape(2, -1)
        return np.stack([sources, targets, layer.weight.ravel()], axis=1).astype(float)
    rows = []
    per_group, depth = layer.weight.shape[0] // layer.groups, layer.weight.shape[1]
    for o, y, x in np.ndindex(*layer.output_shape):
        target = np.ravel_multi_index((o, y, x), layer.output_shape)
        for i, ky, kx in np.ndindex(*layer.weight.shape[1:]):
            row = y * layer.stride[0] - layer.padding[0] + ky * layer.dilation[0]
            column = x * layer.stride[1] - layer.padding[1] + kx * layer.dilation[1]
            if 0 <= row < layer.input_shape[1] and 0 <= column < layer.input_shape[2]:
                source = np.ravel_multi_index((o // per_group * depth + i, row, column), layer.input_shape)
                rows.append((source, target, layer.weight[o, i, ky, kx]))
    return np.array(rows, dtype=float)


if __name__ == "__main__":
    main()
