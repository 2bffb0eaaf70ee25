"""Every shipped recipe trains: one epoch of each stage, on a tiny folder of its set's layout, with narrow networks."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from set_folders import SETS, WITHOUT_IMAGES

RECIPES = Path(__file__).parents[3] / "recipes"

# Widths that still have every layer, and frames that still halve as often; everything else is the recipe's.
NARROW = {
    "conv": ["student.channels=[2, 3]", "data.height={side}", "data.width={side}"],
    "mlp": ["student.layers=[5]", "data.steps=9"],
    "vgg-snn": ["student.width=0.04", "data.height=16", "data.width=16"],
    "resnet18-snn": ["student.width=0.04", "data.height={side}", "data.width={side}"],
}
TEACHERS = {"cnn-small": [], "resnet18": ["teacher.width=0.05"]}
ONCE = [
    "teacher.epochs=1",
    "training.epochs=1",
    "training.warmup_epochs=0",
    "training.batch=6",
    "quantization.epochs=1",
]
SYNTHETIC = ["synthesis.updates=2", "synthesis.pretrain_epochs=1", "synthesis.width=4"]
SIZES = {  # of train, validation and test, of the tiny folder
    "nmnist-small": (6, 3, 3),
    "nmnist-simulated": (0, 0, 0),
    "nmnist": (0, 3, 0),
    "ncaltech101": (0, 6, 0),
    "cifar10dvs": (0, 3, 6),
    "cepdvs": (15, 6, 9),
    "dvsgesture": (0, 11, 0),
    "ncars": (0, 3, 0),
    "asldvs": (0, 6, 6),
    "pokerdvs": (0, 4, 8),
    "shd": (0, 4, 0),
    "ssc": (0, 6, 0),
    "digits": (30, 20, 20),
    "resnet-digits": (30, 20, 20),
    "resnet-nmnist-small": (6, 3, 3),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_the_recipe_trains_on_a_tiny_folder(name: str, tmp_path: Path, spikeport) -> None:
    values = tomllib.loads((RECIPES / f"{name}.toml").read_text())
    source = {"class-folders": "nmnist"}.get(values["data"]["source"], values["data"]["source"])
    changes = [f"data.{part}={size}" for part, size in zip(("train", "validation", "test"), SIZES[name], strict=True)]
    if source in SETS:
        SETS[source](tmp_path / "root")
        changes.append(f"data.root={tmp_path / 'root'}")
    side = 34 if source == "nmnist" else 16
    narrow = NARROW[values["student"].get("network", "conv")]
    changes += [change.format(side=side) for change in narrow] + TEACHERS[
        values.get("teacher", {}).get("network", "cnn-small")
    ]
    changes += ONCE + (SYNTHETIC if "synthesis" in values else [])
    words = [word for change in changes for word in ("--set", change)]
    code, _, err = spikeport("train", RECIPES / f"{name}.toml", "--out", "run", *words)
    assert code == 0, err
    assert (tmp_path / "run" / "student.safetensors").is_file()
    assert (tmp_path / "run" / "teacher.safetensors").is_file() == (source not in WITHOUT_IMAGES)


def test_distilling_without_images_is_refused_with_a_hint(tmp_path: Path, spikeport) -> None:
    SETS["dvsgesture"](tmp_path / "root")
    words = ["data.validation=11", "data.height=16", "data.width=16", "distillation.method=ckd", "training.epochs=1"]
    changes = [word for change in [f"data.root={tmp_path / 'root'}", *words] for word in ("--set", change)]
    code, _, err = spikeport("train", RECIPES / "dvsgesture.toml", *changes)
    assert code == 2
    assert 'distillation.method = "baseline"' in err
