"""Playing cards that fly by: do images help where recordings are few, with a motion that nobody sets by hand?

    python benchmarks/poker_cards.py [--draws N] [--recordings N ...] [--trained NAME ...] [--work FOLDER]
        [--write-recipe FILE]

Recordings: POKER-DVS in shared/data/POKERDVS/aedat. Images: the four symbols of all fonts of this system that have them
(packages fonts-dejavu, fonts-freefont-ttf, fonts-liberation, fonts-symbola on Debian; fonttools reads which fonts have
a symbol), in random sizes, half of them on their head, as both ends of a card show them. Cards that were recorded less
than 50 ms after each other are one group, and a group stands on one side of the split. A draw takes groups at random
until they hold the recordings to train on, every class among them; recordings of these groups that are too many are not
used, those of all other groups are tested. There are no validation recordings: the last epoch is kept. All trainings
have the same number of optimizer steps on recordings, and all pretrainings on images. "auto" chooses in each draw, by
its recordings to train on.
`--write-recipe` makes images and splits and writes the recipe of the first training of the first draw, which
`spikeport run` and `spikeport sweep` take; `data.splits` is the draw.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFont

import spikeport as sp
from spikeport.files import write_json, write_text
from spikeport.pipeline.run.intervals import paired_t
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.recipe import Recipe
from spikeport.tables import text_table
from spikeport.versions import about_this_run

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT.parent / "shared" / "data" / "POKERDVS" / "aedat"
SYMBOLS = {"club": "♣", "diamond": "♦", "heart": "♥", "spade": "♠"}
SIDE, SIZES, EACH = 28, (0.7, 1.0), 10  # pixels of an image, share of it that a symbol takes, images of a symbol
GAP_US = 50_000
COUNTS = (20, 60)  # recordings to train on
SETTINGS = {
    "data.source": "class-folders", "data.events": "recordings", "data.images": "images", "data.pairing": "class",
    "data.height": 36, "data.width": 36, "data.steps": 10, "data.step_us": 3000, "data.train": 0,
    "data.validation": 0, "data.test": 0, "teacher.epochs": 8, "teacher.lr": 4e-3, "teacher.weight_decay": 0.05,
    "student.channels": [16, 32, 64], "student.kernel": 5, "student.hidden": 64, "training.batch": 20,
    "training.min_steps": 400, "training.epochs": 1, "synthesis.finetune_epochs": 1, "training.lr": 4e-3,
    "training.weight_decay": 0.1, "training.ema_decay": 0.95, "training.threads": 1, "augmentation.shift": 2,
    "augmentation.event_drop": 0.1, "synthesis.pretrain_min_steps": 2400,
    "synthesis.motion_generations": 60,
    "synthesis.affine": {"degrees": 5.0, "scale": 0.1}, "quantization.epochs": 6, "quantization.lr": 3e-4,
    "quantization.method": "same", "distillation.train_baseline": False, "check.backends": [],
}  # fmt: skip
TRAININGS = {  # name -> settings
    "baseline": {"distillation.method": "baseline"},
    "synthetic-events, motion": {"distillation.method": "synthetic-events", "synthesis.kind": "motion"},
    "synthetic-events, translator": {
        "distillation.method": "synthetic-events", "synthesis.kind": "translator", "synthesis.updates": 400,
    },
    "synthetic-events, simulator": {"distillation.method": "synthetic-events", "synthesis.kind": "simulator"},
    "ckd-events, motion": {"distillation.method": "ckd-events", "synthesis.kind": "motion"},
    "ckd-events and pretraining, motion": {
        "distillation.method": "ckd-events", "distillation.options": {"pretrain": True}, "synthesis.kind": "motion",
    },
    "ckd": {"distillation.method": "ckd"},
    "auto": {  # ckd-events with pretraining
        "distillation.method": "auto", "synthesis.kind": "motion",
        "distillation.auto": {"candidates": ["synthetic-events"], "folds": 3, "trainings": 3},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Card:
    """A recording: its class, name, and first and last time in µs of the camera's clock."""

    label: str
    name: str
    start_us: int
    end_us: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--recordings", type=int, nargs="+", default=[20], choices=COUNTS)
    parser.add_argument(
        "--trained",
        nargs="+",
        choices=TRAININGS,
        default=list(TRAININGS)[:2],
        metavar="NAME",
        help=", ".join(TRAININGS),
    )
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "poker_cards")
    parser.add_argument("--write-recipe", type=Path, metavar="FILE", help="write the first recipe and leave")
    options = parser.parse_args()
    root = options.work / "root"
    cards = list(cards_of(RECORDINGS))
    groups = groups_of(cards)
    write_images(root / "images")
    if not (root / "recordings").exists():
        (root / "recordings").symlink_to(RECORDINGS.resolve())
    for count in options.recordings:
        for draw in range(options.draws):
            write_text(root / f"{count}-{draw}.csv", split_of(cards, groups, count, draw))
    if options.write_recipe:
        recipe = recipe_of(options.trained[0], options.recordings[0], 0, options.work)
        write_text(options.write_recipe, recipe.as_toml())
        return
    found: dict[str, dict[str, Any]] = {}
    with ProgressPrinter() as progress:
        for count in options.recordings:
            for draw in range(options.draws):
                for training in options.trained:
                    found[f"{count}/{draw}/{training}"] = accuracy(training, count, draw, options.work, progress)
                    write_json(options.work / "found.json", found)
    print("\n".join(page(found, options.recordings, options.trained, options.draws)))


def cards_of(folder: Path) -> Iterator[Card]:
    """The recordings in the order of their time, by the addresses and times of AEDAT 2.0."""
    found = []
    for path in folder.glob("*/*.aedat"):
        content, at = path.read_bytes(), 0
        while content[at : at + 1] == b"#":
            at = content.index(b"\n", at) + 1
        times = np.frombuffer(content[at:], ">u4")[1::2]
        found.append(Card(path.parent.name, path.stem, int(times.min()), int(times.max())))
    yield from sorted(found, key=lambda card: card.start_us)


def groups_of(cards: list[Card]) -> np.ndarray:
    """Number of the group of each card: a new one begins after GAP_US without events."""
    numbers, last = [0], cards[0].end_us
    for card in cards[1:]:
        numbers.append(numbers[-1] + (card.start_us - last > GAP_US))
        last = max(last, card.end_us)
    return np.array(numbers)


def split_of(cards: list[Card], groups: np.ndarray, count: int, draw: int) -> str:
    """A split file with `count` training recordings."""
    rng, labels = np.random.default_rng([count, draw]), np.array([card.label for card in cards])
    every = set(SYMBOLS)
    while True:
        taken: list[int] = []
        for group in rng.permutation(groups.max() + 1):
            if np.isin(groups, taken).sum() >= count:
                break
            taken.append(int(group))
        mine = np.flatnonzero(np.isin(groups, taken))
        rest = np.flatnonzero(~np.isin(groups, taken))
        least = min((labels[rest] == name).sum() for name in every)
        if set(labels[mine]) == every and least >= 3 and len(mine) >= count and len(rest) >= 25:
            break
    first = [rng.choice(mine[labels[mine] == name]) for name in SYMBOLS]
    train = {*first, *rng.permutation(np.setdiff1d(mine, first))[: count - len(first)]}
    lines = ["recording,part,group"]
    for row, card in enumerate(cards):
        part = "train" if row in train else "unused" if row in mine else "test"
        lines.append(f"{card.label}/{card.name},{part},{groups[row]}")
    return "\n".join(lines) + "\n"


def write_images(folder: Path) -> None:
    """Images of the symbols, white on black, in random sizes and widths; nothing where they are there."""
    from fontTools.ttLib import TTFont
    from matplotlib.font_manager import findSystemFonts

    if folder.exists():
        return
    for name, symbol in SYMBOLS.items():
        (folder / name).mkdir(parents=True)
        for number, path in enumerate(sorted(findSystemFonts())):
            if ord(symbol) not in (TTFont(path, fontNumber=0, lazy=True).getBestCmap() or {}):
                continue
            mask = ImageFont.truetype(path, 64).getmask(symbol)
            drawn = Image.fromarray(np.array(mask, np.uint8).reshape(mask.size[::-1]))
            for each in range(EACH):
                rng = np.random.default_rng([number, each, ord(symbol)])
                size, wide = rng.uniform(*SIZES) * SIDE / max(drawn.size), rng.uniform(0.85, 1.15)
                width, height = (round(pixels * size) for pixels in (drawn.width * wide, drawn.height))
                small = drawn.resize((min(SIDE, max(4, width)), max(4, height))).rotate(180 * (each % 2))
                image = Image.new("L", (SIDE, SIDE))
                image.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
                image.save(folder / name / f"font{number}-{each}.png")


def recipe_of(training: str, count: int, draw: int, work: Path) -> Recipe:
    """The recipe of a training."""
    return sp.load_recipe(
        "digits",
        {"name": "poker-cards", "data": {}, "distillation": {}, "synthesis": {}, "student": {}, "teacher": {}}
        | SETTINGS
        | {"data.root": str(work / "root"), "data.splits": f"{count}-{draw}.csv"}
        | TRAININGS[training],
    )


def accuracy(training: str, count: int, draw: int, work: Path, progress: ProgressPrinter) -> dict[str, Any]:
    """Accuracies of the float and the quantized student, in per cent of the tested recordings, seconds, and what "auto"
    has chosen."""
    folder = work / f"{count}-{draw}-{training.replace(', ', '-').replace(' ', '-')}"
    began = time.monotonic()
    recipe = recipe_of(training, count, draw, work)
    run = sp.train(recipe, folder, resume=folder.exists(), progress=progress, log=progress.log)
    stages = run.folder.manifest["stages"]
    labels = np.array(stages["data"]["result"]["test_labels"])
    shares = {
        stage.split("-")[0]: 100 * float((np.array(entry["result"]["predicted"]) == labels).mean())
        for stage, entry in stages.items()
        if stage.startswith(("student-", "quantized-", "pretrain")) and "predicted" in entry["result"]
    }
    choice = {"chosen": stages["choice"]["result"]["chosen"]} if "choice" in stages else {}
    return {**shares, **choice, "tested": len(labels), "seconds": time.monotonic() - began}


def page(found: dict[str, dict[str, Any]], counts: list[int], trainings: list[str], draws: int) -> list[str]:
    """The results as text."""
    lines = [json.dumps(about_this_run()), ""]
    for count in counts:
        rows = []
        for training in trainings:
            mine = [found[f"{count}/{draw}/{training}"] for draw in range(draws)]
            base = [found.get(f"{count}/{draw}/baseline") for draw in range(draws)]
            quantized = [each["quantized"] for each in mine]
            apart = [here - there["quantized"] for here, there in zip(quantized, base, strict=True) if there]
            text = ""
            if training != "baseline" and len(apart) > 1:
                mean = paired_t(apart)
                text = f"{mean['value']:+.1f} ({mean['low']:+.1f} to {mean['high']:+.1f}), least {min(apart):+.1f}"
            rows.append((
                training, f"{np.mean([each['student'] for each in mine]):.1f}", f"{np.mean(quantized):.1f}",
                " ".join(f"{value:.1f}" for value in quantized), text,
                ", ".join(each["chosen"] for each in mine if "chosen" in each),
            ))  # fmt: skip
        lines += [f"{count} recordings to train, {draws} draws", ""]
        head = ("trained with", "float", "quantized", "draws", "over baseline", "chosen")
        columns = len(head) - ("auto" not in trainings)
        lines += [*text_table(head[:columns], [row[:columns] for row in rows]), ""]
    return lines


if __name__ == "__main__":
    main()
