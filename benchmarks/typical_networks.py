"""Typical networks of the frameworks that need `adapt`: how close it comes to them, before and after training.

    python benchmarks/typical_networks.py [--epochs 20] [--train 560] [--check 500] [--seed 0]

The networks are those of docs/reference/compatibility.md, as the frameworks' guides write them: untrained, with random
weights. A sample of the random frames has a rate of its own for each input, between 0 and RATE, so that the classes of
the source differ between samples. All shares are of the check frames, which were not trained on. Ends with an error if
the trained network and the integer reference differ in an output spike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
from frameworks import typical

import spikeport as sp
from spikeport.pipeline.adaptation.measure import answers_of
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.stages.adaptation_source import source_of
from spikeport.tables import text_table

STEPS, RATE = 20, 0.6
HEAD = ("network", "constant", "class: float", "rounded", "adapted", "places: rounded", "adapted", "unequal", "s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--train", type=int, default=560, help="frames to train on")
    parser.add_argument("--check", type=int, default=500, help="frames to measure on")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    needed = [name for name in typical.names() if not typical.result(name).goes]
    rows, totals = [], Counter[str]()
    with ProgressPrinter() as progress:
        for index, name in enumerate(needed):
            rows.append(_row(name, options, totals))
            progress(index + 1, len(needed), "networks")
    print(
        f"{len(needed)} of {len(typical.names())} typical networks need adapt. They are untrained, with random "
        f"weights.\nadapt: {options.epochs} epochs on {options.train} random frames of {STEPS} steps, seed "
        f"{options.seed}. All shares are of {options.check} other random frames.\n\n"
        "constant: the most frequent class of the source, which one constant answer would meet\n"
        "class: samples in the class of the source: nearest legal network in float, the same rounded (before), and "
        "adapted (after)\n"
        "places: outputs (neuron, step) that differ from the source's, before and after\n"
        "unequal: output spikes in which the trained network and the integer reference differ\n"
        "s: seconds of one thread, while the machine did other work\n"
    )
    print("\n".join(text_table(HEAD, rows)))
    print(
        f"\nsame class: adapted above rounded in {totals['better']}, equal in {totals['equal']}, below in "
        f"{totals['worse']} networks"
    )
    print(f"trained network and reference: {totals['mismatches']} of {totals['compared']:,} output spikes differ")
    if totals["mismatches"]:
        raise SystemExit("they differ")


def random_frames(count: int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Frames of 0 and 1, uint8 `[count, STEPS, *shape]`, with a rate for each sample and input."""
    rates = RATE * rng.random((count, 1, *shape))
    return (rng.random((count, STEPS, *shape)) < rates).astype(np.uint8)


def _row(name: str, options: argparse.Namespace, totals: Counter[str]) -> tuple[str, ...]:
    rng = np.random.default_rng(options.seed)
    with typical.adaptable(name) as (source, given, shape):
        training, check = (random_frames(count, shape, rng) for count in (options.train, options.check))
        begin = time.perf_counter()
        found = sp.adapt(
            source, training, check=check, epochs=options.epochs, seed=options.seed, threads=1, **given
        )  # fmt: skip
        seconds = time.perf_counter() - begin
        words = (given.get(key) for key in ("dt_s", "reset", "if_gain", "input_shape", "readout", "framework"))
        read = source_of(source, *words)
    classes = answers_of(read.network, check, read.nearest.readout).classes
    frequent = np.bincount(classes - classes.min()).max() / len(check)
    _, float_row, rounded, adapted = found.rows
    shares = [row.agreement["value"] for row in (float_row, rounded, adapted)]
    totals.update(mismatches=found.mismatches, compared=found.compared)
    totals["better" if shares[2] > shares[1] else "equal" if shares[2] == shares[1] else "worse"] += 1
    differing = [f"{100 * row.output_difference:.1f} %" for row in (rounded, adapted)]
    return (
        name, f"{100 * frequent:.1f} %", *(f"{100 * share:.1f} %" for share in shares), *differing,
        f"{found.mismatches} of {found.compared:,}", f"{seconds:.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
