"""Adapts snnTorch's tutorial CNN, trained on real N-MNIST recordings, and compares it with its source.

    python benchmarks/adaptation.py [--seeds 0 1 2] [--data ../shared/data] [--work FOLDER]

For each seed: 1,000 recordings are split into 700 and 300 by this seed and binned into 20 steps of 15 ms. The network
is that of snnTorch's tutorial on event data: convolutions, maximum pools of currents, Leaky neurons that subtract their
threshold, with learned decays. Its loop trains it with Adam and the mean squared error of spike counts on the 700.
Then `sp.adapt` gets the network and the 700 recordings without labels. All numbers are of the 300 recordings, which
neither training saw. Finished seeds are kept in the working folder, so that a stopped benchmark goes on. The result is
docs/results/adaptation.txt.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import snntorch
import torch
from snntorch import functional, surrogate, utils
from torch import nn

import spikeport as sp
from spikeport.files import write_json, write_text
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.sections.data import Data
from spikeport.versions import versions

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "adaptation.txt"
STEPS, STEP_US = 20, 15_000
SOURCE_EPOCHS, SOURCE_LR, SOURCE_BATCH = 30, 5e-3, 32
LAVA_SAMPLES = 20
ROWS = ("source", "nearest, float", "nearest, rounded", "adapted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "adaptation", help="of sources and finished seeds")
    parser.add_argument("--epochs", type=int, default=30, help="of the adaptation")
    parser.add_argument("--only", action="store_true", help="run the seeds and write no result")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    with ProgressPrinter() as progress:
        found = [one_seed(seed, options, progress) for seed in options.seeds]
    text = "\n".join(lines(found, options))
    print(text)
    if not options.only:
        write_text(RESULT, text + "\n")


def recordings(seed: int, data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames and labels of the 700 recordings, then of the 300."""
    settings = Data(
        source="class-folders", root=str(data), events="NMNIST/Train", images="MNIST/raw", pairing="id",
        image_id_offset=-1, height=34, width=34, steps=STEPS, step_us=STEP_US, train=700, validation=100, test=200,
        split_seed=seed,
    )  # fmt: skip
    dataset = load_dataset(settings)

    def frames(part: Any) -> np.ndarray:
        return np.stack([part[row][0] for row in range(len(part))])

    rest = (dataset.validation, dataset.test)
    return (
        frames(dataset.train), np.asarray(dataset.train.labels),
        np.concatenate([frames(part) for part in rest]), np.concatenate([part.labels for part in rest]),
    )  # fmt: skip


def tutorial_network() -> nn.Sequential:
    """Two convolutions with maximum pools of currents, a dense layer, and neurons of snnTorch's defaults."""

    def lif(**more: Any) -> snntorch.Leaky:
        return snntorch.Leaky(beta=0.5, spike_grad=surrogate.atan(), init_hidden=True, learn_beta=True, **more)

    return nn.Sequential(
        nn.Conv2d(2, 12, 5), nn.MaxPool2d(2), lif(), nn.Conv2d(12, 32, 5), nn.MaxPool2d(2), lif(), nn.Flatten(),
        nn.Linear(32 * 5 * 5, 10), lif(output=True),
    )  # fmt: skip


def spikes_of(network: nn.Module, frames: torch.Tensor) -> torch.Tensor:
    """Output spikes `[T, B, 10]` of frames `[T, B, 2, 34, 34]`, step by step as in the tutorial."""
    utils.reset(network)
    return torch.stack([network(step)[0] for step in frames])


def trained_source(seed: int, frames: np.ndarray, labels: np.ndarray, file: Path, progress: Any) -> nn.Sequential:
    """The network with trained weights, from `file` if it is there."""
    from safetensors.torch import load_file, save_file

    torch.manual_seed(seed)
    network = tutorial_network()
    if file.exists():
        network.load_state_dict(load_file(file))
        return network.eval()
    given, classes = torch.from_numpy(frames), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=SOURCE_LR, betas=(0.9, 0.999))
    loss_of = functional.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2)
    for epoch in range(SOURCE_EPOCHS):
        for rows in torch.randperm(len(given)).split(SOURCE_BATCH):
            loss = loss_of(spikes_of(network, given[rows].transpose(0, 1).float()), classes[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        progress(epoch + 1, SOURCE_EPOCHS, f"source of seed {seed}, epochs")
    save_file(network.state_dict(), file)
    return network.eval()


def one_seed(seed: int, options: argparse.Namespace, progress: Any) -> dict[str, Any]:
    """What was measured with one seed; from the working folder if it is there."""
    file = options.work / f"seed{seed}.json"
    if file.exists():
        return json.loads(file.read_text())
    frames, labels, held_frames, held_labels = recordings(seed, options.data)
    network = trained_source(seed, frames, labels, options.work / f"source{seed}.safetensors", progress)
    began = time.perf_counter()
    found = sp.adapt(
        network, frames, options.work / f"adapted{seed}", check=held_frames, check_labels=held_labels,
        dt_s=STEP_US * 1e-6, input_shape=(2, 34, 34), epochs=options.epochs, lava_samples=LAVA_SAMPLES, seed=seed,
        threads=1, resume=True, progress=progress,
    )  # fmt: skip
    values = {**found.values(), "seed": seed, "seconds": time.perf_counter() - began}
    write_json(file, values)
    return values


def lines(found: list[dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """The result as text."""
    known = versions()
    named = ", ".join(f"{name} {known[name]}" for name in ("python", "torch", "snntorch", "numpy"))
    words = ["python benchmarks/adaptation.py"]
    text = [
        f"{' '.join(words)} --epochs {options.epochs}; {named}",
        "",
        "snnTorch's tutorial CNN (maximum pools of currents, reset by subtraction, learned decays), trained by its own "
        "loop on 700 real N-MNIST recordings;",
        "adapted on the same 700 without labels. All shares are of the other 300; "
        f"{STEPS} steps of {STEP_US / 1000:g} ms.",
        "",
        f"{'seed':>5}  {'network':<18}{'accuracy':>10}{'other class than the source':>30}{'output spikes differ':>24}",
    ]
    for values in found:
        for row in values["networks"]:
            apart = 1 - row["agreement"]["value"]
            text.append(
                f"{values['seed']:>5}  {row['network']:<18}{100 * row['accuracy']['value']:>8.1f} %"
                f"{100 * apart:>28.1f} %{100 * row['output_difference']:>22.1f} %"
            )
    text.append("")
    means = {}
    for index, name in enumerate(ROWS):
        rows = [values["networks"][index] for values in found]
        accuracy = float(np.mean([row["accuracy"]["value"] for row in rows]))
        apart = float(np.mean([1 - row["agreement"]["value"] for row in rows]))
        means[name] = accuracy, apart
        text.append(f" mean  {name:<18}{100 * accuracy:>8.2f} %{100 * apart:>28.2f} %")
    gap = 100 * (means["source"][0] - means["adapted"][0])
    ratio = means["adapted"][1] / means["nearest, rounded"][1]
    text += ["", f"accuracy: the adapted network is {gap:.2f} points below its source on the mean",
             f"disagreement: {ratio:.2f} times that of the nearest network, rounded"]  # fmt: skip
    pairs = {
        "trained_vs_reference": "trained network and reference, output spikes",
        "reference_vs_lava": f"reference and Lava, spikes of all layers on {LAVA_SAMPLES} recordings",
    }
    for key, what in pairs.items():
        differ = sum(values[key]["mismatches"] for values in found)
        compared = sum(values[key]["spikes_compared"] for values in found)
        text.append(f"{what}: {differ:,} of {compared:,} differ")
    text.append(
        "time of an adaptation: " + ", ".join(f"{values['seconds'] / 60:.1f}" for values in found) + " min, one thread"
    )
    return text


if __name__ == "__main__":
    main()
