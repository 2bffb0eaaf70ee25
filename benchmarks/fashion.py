"""Fashion-MNIST before a hand-held event camera that Spikeport's simulators do not know: do images help?

    python benchmarks/fashion.py [--recordings N ...] [--trained NAME ...] [--seeds N] [--tested N] [--work FOLDER]
        [--write] [--page] [--write-recipe FILE]

Images: shared/data/FashionMNIST/raw. Recordings: benchmarks/fashion_camera.py, made once into the work folder: one of
each of the 10,000 test images, and of 6,000 training images. Of these, 5,000 may be trained on, and 1,000 are for
choosing settings (`--validate` tests on them and leaves the test recordings alone; `--set` tries a setting). A seed
draws the recordings of a training, classes in equal parts. All of the 60,000 images are static images, except those
whose recordings are tested. The student knows pairs by class only. All trainings of a number of recordings take the
same number of optimizer steps on recordings and keep the last epoch; they share one teacher. A stopped study continues
with the same command. `--write` writes all that the work folder holds into docs/results/fashion.txt and fashion.json,
and `--page` does nothing else. `--write-recipe` makes recordings and teacher and writes the recipe of the first
training, which `spikeport run` and `spikeport sweep` take.
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
from fashion_camera import Hand, Sensor
from fashion_world import WORLD, prepare, write_split

import spikeport as sp
from spikeport.files import write_json, write_text
from spikeport.pipeline.run.intervals import paired_t
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import RunFolder
from spikeport.tables import text_table
from spikeport.versions import about_this_run

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
SIDE, TIME_STEPS = 28, 10
STEPS = {50: 600, 200: 1200, 1000: 2000, 5000: 4000}  # optimizer steps on recordings, by number of recordings
SETTINGS = {
    "data.source": "class-folders", "data.recordings": "frames", "data.events": "recordings", "data.images": "images",
    "data.pairing": "class", "data.height": SIDE, "data.width": SIDE, "data.steps": TIME_STEPS, "data.step_us": 30_000,
    "data.train": 0, "data.validation": 0, "data.test": 0, "student.channels": [16, 32, 64], "student.kernel": 5,
    "student.hidden": 64, "training.batch": 20, "training.lr": 4e-3, "training.weight_decay": 0.1,
    "training.epochs": 1, "synthesis.finetune_epochs": 1,  # more by training.min_steps
    "training.ema_decay": 0.99, "training.threads": 1, "augmentation.shift": 2, "augmentation.event_drop": 0.1,
    "synthesis.kind": "motion", "synthesis.motion_generations": 60, "synthesis.pretrain_epochs": 4,
    "synthesis.finetune_lr": 4e-3,
    "quantization.epochs": 6, "quantization.lr": 3e-4, "quantization.method": "same",
    "distillation.train_baseline": False, "check.backends": [],
}  # fmt: skip
TEACHER = {  # of a run that is there for its teacher
    "distillation.method": "baseline", "training.min_steps": 0, "quantization.epochs": 0,
    "teacher.epochs": 2, "teacher.lr": 4e-3, "teacher.weight_decay": 0.05, "teacher.ema_decay": 0.998,
}  # fmt: skip
TRAININGS = {  # name -> settings
    "baseline": {"distillation.method": "baseline"},
    "ckd": {"distillation.method": "ckd"},
    "ckd-events": {"distillation.method": "ckd-events"},
    "ckd-events and pretraining": {"distillation.method": "ckd-events", "distillation.options": {"pretrain": True}},
    "synthetic-events": {"distillation.method": "synthetic-events"},
    "tser": {"distillation.method": "tser"},
    "he2024": {"distillation.method": "he2024"},
    "auto": {  # ckd-events with pretraining
        "distillation.method": "auto",
        "distillation.auto": {"candidates": ["baseline", "synthetic-events", "ckd-events"]},
    },
}

OTHERS = (  # methods of the literature, as they are by default
    "bkdsnn", "block-replacement", "bsd", "ckdsnn", "hta", "sastc", "seal-kd", "temporal-self", "tmkt", "tssd",
)  # fmt: skip
TRAININGS |= {name: {"distillation.method": name} for name in OTHERS}
NOTES = """float, quantized: accuracy in per cent, one a seed. over baseline: quantized, in points, paired by seed and
recording, with 95 % interval over the tested recordings. over seeds: interval over the seeds. gap: domain gap in the
last layer, 0 none, 1 complete. CPU s: processor time of a training with its tests, without the teacher that all share;
of a training that was stopped, since its last start; of auto, with its choice. chosen: what auto chose, one a seed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, nargs="+", default=[200], choices=STEPS)
    parser.add_argument("--trained", nargs="+", choices=TRAININGS, default=list(TRAININGS), metavar="NAME",
                        help=", ".join(TRAININGS))  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tested", type=int, default=10_000, help="the first so many test recordings")
    parser.add_argument("--validate", action="store_true", help="test on the recordings for choosing settings")
    parser.add_argument("--set", dest="changes", metavar="A.B=VALUE", action="append", default=[])
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "fashion")
    parser.add_argument("--write", action="store_true", help="write docs/results/fashion.txt and fashion.json")
    parser.add_argument("--page", action="store_true", help="train nothing, only write")
    parser.add_argument("--write-recipe", type=Path, metavar="FILE", help="write the first recipe and leave")
    options = parser.parse_args()
    study = Study(options)
    with ProgressPrinter() as progress:
        if not options.page:
            prepare(options.work / "root")
            if options.write_recipe:
                given = TRAININGS[options.trained[0]] | study.of_all(progress)
                recipe = study.recipe(options.recordings[0], 0, given)
                write_text(options.write_recipe, recipe.as_toml())
                return
            study.run(options, progress)
    lines = page(study.found)
    print("\n".join(lines))
    if options.write or options.page:
        about = {key: value for key, value in about_this_run().items() if key != "command"}
        head = {"about": about, "sensor": vars(Sensor()), "hand": vars(Hand()), "world_seed": WORLD}
        head |= {"settings": SETTINGS, "teacher": TEACHER, "steps": STEPS, "trainings": TRAININGS}
        write_json(RESULTS / "fashion.json", head | {"runs": study.found})
        write_text(RESULTS / "fashion.txt", "\n".join([json.dumps(about), "", *lines]) + "\n")


class Study:
    """Trainings of a work folder.

    Attributes:
        found: what they reached, by <recordings>/<seed>/<training>.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.work, self.changes = options.work, options.changes
        self.tested = None if options.validate else options.tested
        self.part = str(self.tested or "validation")
        self.file = self.work / f"found-{self.part}.json"
        known = json.loads(self.file.read_text(encoding="utf-8")) if self.file.is_file() else {}
        self.found: dict[str, dict[str, Any]] = known

    def run(self, options: argparse.Namespace, progress: ProgressPrinter) -> None:
        """Does what is missing."""
        given = self.of_all(progress)
        for count in options.recordings:
            for seed in range(options.seeds):
                for training in options.trained:
                    name = " ".join([f"{count}/{seed}/{training}", *self.changes])
                    if name in self.found:
                        continue
                    began = time.process_time()
                    run = self.trained(name, self.recipe(count, seed, TRAININGS[training] | given), progress)
                    self.found[name] = {**result_of(run.manifest), "cpu_s": round(time.process_time() - began)}
                    write_json(self.file, self.found)

    def of_all(self, progress: ProgressPrinter) -> dict[str, Any]:
        """Settings of all trainings: the teacher, which is trained if it is not there, and those of `--set`."""
        weights = self.trained("teacher", self.recipe(50, 0, TEACHER), progress).file("teacher.safetensors")
        changes = dict(tuple(change.split("=", 1)) for change in self.changes)
        given = {"teacher.weights": str(weights), "teacher.epochs": 0}
        return given | {name: _value(text) for name, text in changes.items()}

    def recipe(self, count: int, seed: int, settings: dict[str, Any]) -> Recipe:
        """The recipe of a training."""
        parts = {part: {} for part in ("data", "distillation", "synthesis", "student", "teacher")}
        given = {
            "data.root": str(self.work / "root"),
            "data.splits": write_split(self.work / "root", count, seed, self.tested),
        }
        own = {"training.min_steps": STEPS[count]}
        return sp.load_recipe("digits", {"name": "fashion", "seed": seed} | parts | SETTINGS | own | settings | given)

    def trained(self, name: str, recipe: Recipe, progress: ProgressPrinter) -> RunFolder:
        """A finished training."""
        progress.log(f"== {name}")
        folder = self.work / f"runs-{self.part}" / "".join(sign if sign.isalnum() else "-" for sign in name)
        return sp.train(recipe, folder, resume=folder.exists(), progress=progress, log=progress.log).folder


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def result_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Accuracies in per cent, silent recordings, the domain gap by layer, which recordings are right, in hex, and what
    "auto" has chosen."""
    stages = manifest["stages"]
    labels = np.array(stages["data"]["result"]["test_labels"])
    found: dict[str, Any] = {"tested": len(labels)}
    for stage, entry in stages.items():
        kind, result = stage.split("-")[0], entry["result"]
        if stage == "choice":
            found["chosen"] = result["chosen"]
        if kind in ("student", "quantized", "pretrain") and "predicted" in result:
            right = np.array(result["predicted"]) == labels
            found[kind] = round(100 * float(right.mean()), 3)
            found["right"] = np.packbits(right).tobytes().hex()
            found["silent"] = result["silent"]
        for key in ("gap", "distances"):
            if result.get(key):
                found[key] = result[key]
    return found


def page(found: dict[str, dict[str, Any]]) -> list[str]:
    """The results as text: a table for each number of recordings, with all trainings and seeds that are there."""
    lines = []
    places = [key.split("/", 2) for key in found]
    for count in sorted({int(place[0]) for place in places}):
        rows = []
        for training in dict.fromkeys(place[2] for place in places if int(place[0]) == count):
            keys = [key for key, place in zip(found, places, strict=True) if place[::2] == [str(count), training]]
            mine = {key.split("/")[1]: found[key] for key in keys}
            base = {seed: found[f"{count}/{seed}/baseline"] for seed in mine if f"{count}/{seed}/baseline" in found}
            gap = [run["gap"][-1]["gap"] for run in mine.values() if run.get("gap")]
            rows.append((
                training,
                str(len(mine)),
                f"{np.mean([run['student'] for run in mine.values()]):.1f}",
                " ".join(f"{run['quantized']:.1f}" for run in mine.values()),
                *((over(mine, base)) if training != "baseline" and base else ("", "")),
                f"{np.mean(gap):.2f}" if gap else "",
                f"{np.mean([run['cpu_s'] for run in mine.values()]):.0f}",
                ", ".join(run["chosen"] for run in mine.values() if "chosen" in run),
            ))  # fmt: skip
        tested = sorted({run["tested"] for run in found.values()})
        head = ("trained with", "seeds", "float", "quantized", "over baseline", "over seeds", "gap", "CPU s", "chosen")
        columns = len(head) - ("auto" not in {row[0] for row in rows})
        lines += [f"{count:,} recordings to train, {' and '.join(f'{n:,}' for n in tested)} tested"]
        lines += [*commands_of(count, {row[0]: int(row[1]) for row in rows}), ""]
        lines += [*text_table(head[:columns], [row[:columns] for row in rows]), ""]
    return [*lines, *NOTES.splitlines()]


def commands_of(count: int, seeds: dict[str, int]) -> list[str]:
    """The commands that make a table, one for each set of changed settings; `seeds`: their number by row."""
    found: dict[str, list[str]] = {}
    for row in seeds:
        name = max((name for name in TRAININGS if f"{row} ".startswith(f"{name} ")), key=len)
        found.setdefault(row[len(name) :], []).append(name)
    start = f"python benchmarks/fashion.py --recordings {count} --seeds {max(seeds.values())} --trained "
    return [
        start + shlex.join(names) + "".join(f" --set {shlex.quote(change)}" for change in changes.split())
        for changes, names in found.items()
    ]


def over(mine: dict[str, dict[str, Any]], base: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """The quantized difference to the baseline in points, paired: with its interval over recordings, and over seeds."""
    apart = np.stack([right_of(mine[seed]) - right_of(base[seed]) for seed in base]) * 100
    whole, seeds = paired_t(apart.mean(0)), paired_t(apart.mean(1))
    between = "" if seeds["low"] is None else f"({seeds['low']:+.1f} to {seeds['high']:+.1f})"
    return f"{whole['value']:+.1f} ({whole['low']:+.1f} to {whole['high']:+.1f})", between


def right_of(run: dict[str, Any]) -> np.ndarray:
    """Which tested recordings the quantized student classifies correctly, 0 and 1."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(run["right"]), np.uint8))[: run["tested"]].astype(float)


if __name__ == "__main__":
    main()
