"""Rows of the page for `.net` files of lava-dl: layers as SLAYER's `export_hdf5` writes them, and what Lava gave.

    python tests/helpers/frameworks/net_files.py

runs them in Lava again and writes `files/slayer.npz`, the outputs of every layer. The files themselves are written anew
from the rows wherever they are needed.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]

from slayer_files import slayer_net  # noqa: E402  the two folders above come first

from spikeport.errors import UserError  # noqa: E402
from spikeport.export.network.integer_network import IntegerNetwork  # noqa: E402
from spikeport.export.network.spike_trace import SpikeTrace  # noqa: E402

RECORDED = HERE / "files" / "slayer.npz"
SAMPLES, STEPS = 2, 24
CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 512, "vThMant": 400, "refDelay": 1, "gradedSpike": False}
AT_ONCE = CUBA | {"iDecay": 4096}
SDNN = {"type": "SDNN", "activation": "relu", "vThMant": 40}
SIGMA = SDNN | {"sigma_output": True}
IMAGE, FLAT = {"type": "input", "shape": [2, 7, 6]}, {"type": "input", "shape": [9]}
DELTA = {"neuron": SDNN | {"vThMant": 25}, "weight": 2.0}
FLATTEN = {"type": "flatten"}
Layers = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class NetRow:
    """A row of the page.

    Attributes:
        name: name of its recorded outputs.
        construct: what the file holds, for people.
        layers: draws the groups of the file.
    """

    name: str
    construct: str
    layers: Callable[[np.random.Generator], Layers]


@dataclass(frozen=True, kw_only=True)
class NetResult:
    """What becomes of a file.

    Attributes:
        cause: why it is refused; "" if it is not.
        sends: "spikes" or "messages".
        sent: how many all layers send on the recorded frames.
        places: outputs of all layers, voltages of a read-out among them, that were compared with Lava's.
        differing: how many of them differ.
        operations: synaptic operations of a sample, as `profile` counts them.
        operation: "synops" or "MACs".
    """

    cause: str = ""
    sends: str = ""
    sent: int = 0
    places: int = 0
    differing: int = 0
    operations: float = 0.0
    operation: str = ""


def _even(rng: np.random.Generator, *shape: int, low: int = -45, high: int = 55) -> np.ndarray:
    return 2.0 * rng.integers(low, high, shape)


def _dense(rng: np.random.Generator, outputs: int, inputs: int, neuron: dict[str, Any] | None, **more: Any) -> Any:
    fields = {"type": "dense", "shape": [outputs], "inFeatures": inputs, "outFeatures": outputs} | more
    fields |= {"weight": _even(rng, outputs, inputs)}
    return fields if neuron is None else fields | {"neuron": neuron}


def _conv(rng: np.random.Generator, shape: list[int], kernel: tuple[int, int], neuron: Any, **more: Any) -> Any:
    """A convolution of IMAGE to `shape`."""
    geometry: dict[str, Any] = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1} | more
    weight = _even(rng, shape[0], 2 // geometry["groups"], *kernel, 1)
    return {"type": "conv", "shape": shape, "weight": weight, "kernelSize": list(kernel), "neuron": neuron} | geometry


def _pool(rng: np.random.Generator) -> Layers:
    geometry = {"kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]}
    pool = {"type": "pool", "shape": [2, 4, 3], "weight": np.full((1, 1, 2, 2), 88.0), "neuron": CUBA} | geometry
    return [IMAGE, pool]


ROWS = (
    NetRow(name="cuba_dense", construct="cuba.Dense, cuba.Dense",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, CUBA), _dense(rng, 3, 5, CUBA)]),
    NetRow(name="cuba_conv", construct="cuba.Conv (stride, padding, groups, 3x2 kernel), cuba.Flatten, cuba.Dense",
           layers=lambda rng: [IMAGE, _conv(rng, [4, 4, 5], (3, 2), CUBA, stride=[2, 1], padding=[1, 0], groups=2),
                               FLATTEN, _dense(rng, 3, 80, CUBA)]),
    NetRow(name="cuba_delay", construct="cuba.Dense with a delay for each neuron",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, CUBA, delay=np.array([0.0, 3, 1, 7, 2]))]),
    NetRow(name="cuba_recurrent", construct="cuba.Recurrent, cuba.Dense",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, CUBA) | {"type": "dense_rec", "weight_rec": _even(rng, 5, 5)},
                               _dense(rng, 3, 5, CUBA)]),
    NetRow(name="cuba_input", construct="cuba.Input (current_decay 1), cuba.Conv, cuba.Flatten, cuba.Dense",
           layers=lambda rng: [IMAGE | {"neuron": AT_ONCE, "weight": 64.0, "bias": 30.0},
                               _conv(rng, [3, 5, 5], (3, 2), CUBA), FLATTEN, _dense(rng, 3, 75, CUBA)]),
    NetRow(name="cuba_pool", construct="cuba.Pool, which netx itself does not load", layers=_pool),
    NetRow(name="cuba_affine", construct="cuba.Dense, cuba.Affine: the read-out of its voltage",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, CUBA), _dense(rng, 3, 5, CUBA | {"vThMant": (1 << 18) - 1})]),
    NetRow(name="cuba_no_neuron", construct="cuba.Dense, a dense layer without neurons (the bootstrap tutorial)",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, CUBA), _dense(rng, 3, 5, None)]),
    NetRow(name="cuba_average", construct="cuba.Dense, cuba.Average",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, CUBA), {"type": "average", "shape": [5]}]),
    NetRow(name="cuba_refractory", construct="cuba.Dense with a refractory period",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, CUBA | {"refDelay": 3})]),
    NetRow(name="alif_dense", construct="alif.Dense",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, CUBA | {"type": "ALIF"})]),
    NetRow(name="rf_iz_dense", construct="rf_iz.Dense",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, CUBA | {"type": "RF_IZ"})]),
    NetRow(name="sdnn_conv", construct="sigma_delta.Input, sigma_delta.Conv (stride, bias), sigma_delta.Output",
           layers=lambda rng: [IMAGE | DELTA, _conv(rng, [4, 3, 5], (3, 2), SDNN, stride=[2, 1]) | {
               "bias": np.array([4.0, -60, 0, 90])}, FLATTEN, _dense(rng, 3, 60, SIGMA)]),
    NetRow(name="sdnn_groups", construct="sigma_delta.Input, sigma_delta.Conv (padding, dilation, groups)",
           layers=lambda rng: [IMAGE | DELTA, _conv(rng, [4, 5, 5], (3, 2), SDNN, padding=[1, 0], dilation=[2, 1],
                                                    groups=2)]),
    NetRow(name="sdnn_delay", construct="sigma_delta.Input, sigma_delta.Dense with delays, sigma_delta.Dense",
           layers=lambda rng: [FLAT | DELTA, _dense(rng, 5, 9, SDNN, delay=np.array([0.0, 3, 1, 7, 2])),
                               _dense(rng, 3, 5, SDNN)]),
    NetRow(name="sdnn_messages", construct="sigma_delta.Dense, sigma_delta.Output: messages enter",
           layers=lambda rng: [FLAT, _dense(rng, 5, 9, SDNN), _dense(rng, 3, 5, SIGMA)]),
    NetRow(name="sdnn_tanh", construct="sigma_delta.Dense with another activation than ReLU",
           layers=lambda rng: [FLAT | DELTA, _dense(rng, 5, 9, SDNN | {"activation": "tanh"})]),
    NetRow(name="sdnn_recurrent", construct="sigma_delta.Recurrent",
           layers=lambda rng: [FLAT | DELTA, _dense(rng, 5, 9, SDNN) | {
               "type": "dense_rec", "weight_rec": _even(rng, 5, 5)}]),
    NetRow(name="sdnn_and_cuba", construct="sigma_delta.Dense, cuba.Dense",
           layers=lambda rng: [FLAT | DELTA, _dense(rng, 5, 9, SDNN), _dense(rng, 3, 5, CUBA)]),
)  # fmt: skip


def network_of(row: NetRow) -> IntegerNetwork:
    """The network of a row's file. Raises UserError where it is refused, without the path of the file."""
    from spikeport.export.formats.netx.read import read_netx

    rng = np.random.default_rng(sum(map(ord, row.name)))
    with tempfile.TemporaryDirectory() as folder:
        path = slayer_net(Path(folder) / "x.net", *row.layers(rng))
        try:
            return read_netx(path)
        except UserError as error:
            where = error.where.replace(f"{path}, ", "").replace(str(path), "")
            raise UserError(error.message, where=where, cause=error.cause, hint=error.hint) from None


def frames_of(row: NetRow, network: IntegerNetwork) -> np.ndarray:
    """Random frames `[SAMPLES, STEPS, *input_shape]`: spikes, values that drift, or counts for input neurons."""
    rng = np.random.default_rng(len(row.name))
    shape = (SAMPLES, STEPS, *network.input_shape)
    if network.sends_values:
        scale = 1 if network.layers[0].kind == "input" else 64
        return (scale * rng.integers(-30, 31, shape).cumsum(axis=1).clip(-200, 200)).astype(np.int16)
    return rng.integers(0, 5, shape) if network.layers[0].kind == "input" else (rng.random(shape) < 0.4).astype(int)


def in_lava() -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """Name of each row that is read, and Lava's outputs of every layer."""
    from spikeport.export.backends.lava.process import LavaWorker

    with LavaWorker() as worker:
        for row in ROWS:
            try:
                network = network_of(row)
            except UserError:
                continue
            yield row.name, _outputs(worker.simulate(network, frames_of(row, network), keep_layers=True, timeout_s=300))


def _outputs(trace: SpikeTrace) -> tuple[np.ndarray, ...]:
    """What every layer sends, and the voltages of a last layer that is read out by them."""
    assert trace.signals is not None
    return trace.signals if trace.membrane is None else (*trace.signals, trace.membrane)


@functools.cache
def result(row: NetRow) -> NetResult:
    """Reads the file of a row, runs it in the reference and compares every output of every layer with Lava's."""
    import spikeport as sp
    from spikeport.export.backends.reference.simulate import simulate
    from spikeport.pipeline.stages.compiled_network import CompiledNetwork

    try:
        network = network_of(row)
    except UserError as refused:
        return NetResult(cause=str(refused))
    frames = frames_of(row, network)
    ours = _outputs(simulate(network, frames, keep_layers=True))
    with np.load(RECORDED) as recorded:
        theirs = [recorded[f"{row.name}.{index}"] for index in range(len(ours))]
    counts = sp.profile(CompiledNetwork(network=network, layers=()), frames).values["layers"]
    return NetResult(
        sends="messages" if network.sends_values else "spikes",
        sent=sum(int(np.count_nonzero(each)) for each in theirs[: len(network.layers)]),
        places=sum(each.size for each in theirs),
        differing=sum(int(np.count_nonzero(a != b)) for a, b in zip(ours, theirs, strict=True)),
        operations=sum(float(layer["synops_per_sample"]) for layer in counts),
        operation="MACs" if network.sends_values else "synops",
    )


def main() -> None:
    arrays = {f"{name}.{index}": each for name, signals in in_lava() for index, each in enumerate(signals)}
    np.savez_compressed(RECORDED, **arrays)
    for row in ROWS:
        print(f"{row.name}: {result(row)}")


if __name__ == "__main__":
    main()
