"""Cost of augmenting a batch, relative to the training step that follows.

    python benchmarks/augmentation.py [--batch 20] [--repeats 30]

A step is the forward and backward pass of the default student, without optimizer, teacher and loading. Prints
milliseconds of CPU time on one thread (best of several) and the share of the step for the default settings, for each
augmentation alone and for all of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from student_step import CLASSES, DENSITY, lively_student, step

from spikeport.pipeline.data.augmentation.augment import AUGMENTATIONS, augment
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.training import Augmentation

VALUES = {
    "mix": 0.5, "flip": True, "rotation": 15.0, "scale": 0.1, "shift": 2, "time_shift": 1, "time_jitter": 0.1,
    "event_drop": 0.1, "noise": 0.001,
}  # fmt: skip
NONE = {"shift": 0, "event_drop": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe = Recipe()
    shape = (2, recipe.data.height, recipe.data.width)
    student = lively_student(recipe, shape)
    stored = (torch.rand(options.batch, recipe.data.steps, *shape) < DENSITY).to(torch.uint8)
    frames = stored.transpose(0, 1)  # as a batch of stored recordings lies in memory
    labels = torch.arange(options.batch) % CLASSES
    generator = torch.Generator().manual_seed(0)
    whole = seconds(lambda: step(lambda batch: student(batch).spikes, student, frames.float()), options.repeats)
    print(f"frames {tuple(frames.shape)}; the step takes {1e3 * whole:.1f} ms")
    chosen = {"the defaults": Augmentation()}
    chosen |= {
        way.setting: Augmentation.model_validate(NONE | {way.setting: VALUES[way.setting]}) for way in AUGMENTATIONS
    }
    chosen["all"] = Augmentation.model_validate(VALUES)
    for name, settings in chosen.items():
        cost = seconds(lambda: augment(frames, settings, generator, labels), options.repeats)  # noqa: B023
        print(f"{name:14} {1e3 * cost:6.2f} ms  {100 * cost / whole:5.1f} %")


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The least processor time of `repeats` runs after one for warming up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


if __name__ == "__main__":
    main()
