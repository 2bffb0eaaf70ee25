"""A backend from outside the package, named in a recipe: compared in the run, shown in the report, replayed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import spikeport as sp
from spikeport.export.backends.compare import pair_key
from spikeport.pipeline.stages.check_result import CheckResult

# Two backends in a file of a user: one is right, the other changes one spike of the second sample that it is given.
FILE = """
from dataclasses import dataclass, replace

from spikeport.export.backends.base import Diagnosis
from spikeport.export.backends.reference.backend import ReferenceBackend


@dataclass(frozen=True)
class Simulator:
    name: str
    wrong: bool = False

    def version(self):
        return "a simulator of mine"

    def check(self, network):
        return []

    def simulate(self, network, frames, *, keep_layers=False, timeout_s=None, progress=None):
        trace = ReferenceBackend().simulate(network, frames, keep_layers=keep_layers)
        if self.wrong:
            sample = min(1, len(trace.spikes) - 1)
            trace.spikes[sample, 2, 3] ^= 1
            if keep_layers:
                trace.layer_spikes[-1].reshape(trace.spikes.shape)[sample, 2, 3] = trace.spikes[sample, 2, 3]
        return replace(trace, backend=self.version())

    def doctor(self):
        return Diagnosis(state="ok", detail="nothing to install")


def right():
    return Simulator("simulators:right")


def wrong():
    return Simulator("simulators:wrong", wrong=True)
"""
TINY = (
    *("data.train=40", "data.validation=20", "data.test=20", "data.height=16", "data.width=18", "teacher.epochs=1"),
    *("training.epochs=1", "training.warmup_epochs=0", "quantization.epochs=1", "profile.baseline_seconds=0.1"),
)


def words(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "simulators.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_run_compares_backends_of_the_recipe(own: Path, spikeport) -> None:
    first = words(*TINY, 'check.backends=["simulators:right"]', "check.samples=7")
    code, out, err = spikeport("run", "digits", "--out", "run", *first)
    assert code == 0, err
    key = pair_key("reference", "simulators:right")
    report = json.loads((own / "run" / "report.json").read_text())
    pair = report["equivalence"]["comparisons"][key]
    assert (pair["first"], pair["second"], pair["samples"], pair["mismatches"]) == (*key.split("_vs_"), 7, 0)
    assert "lava" not in report["accuracy"]
    entry = report["accuracy"]["simulators:right"]
    assert (entry["n"], entry["change"]["value"], entry["change"]["from"]) == (7, 0, "reference")
    assert "integer reference against simulators:right: 0 mismatches" in out
    for page in ("report.md", "report.html"):
        assert "nteger reference and simulators:right" in (own / "run" / page).read_text()
    table = (own / "run" / "samples.csv").read_text().splitlines()
    column = table[0].split(",").index("simulators:right")
    assert [row for row, line in enumerate(table[1:]) if line.split(",")[column]] == pair["drawn"]["rows"]

    second = words('check.backends=["simulators:right","simulators:wrong"]')
    resumed = ("--resume", "--from", "check")
    code, out, err = spikeport("run", "run/recipe.toml", "--out", "run", *resumed, *second)
    assert code == 1
    assert "spikes differ" in err
    assert "integer reference against simulators:wrong: 1 mismatches" in out
    report = json.loads((own / "run" / "report.json").read_text())
    found = report["equivalence"]["comparisons"]
    assert [found[each]["mismatches"] for each in found] == [0, 0, 1]
    place = found[pair_key("reference", "simulators:wrong")]["first_divergence"]
    assert (place["layer"], place["step"], place["neuron"]) == ("output", 2, [3])
    assert place["sample"] == pair["drawn"]["rows"][1]
    assert "integer reference and simulators:wrong do NOT fire the same spikes: 1 of" in report["summary"]
    (case,) = (own / "run" / "divergence").iterdir()
    code, out, _ = spikeport("replay", str(case))
    assert out.count("in layer output, step 2, neuron (3,)") == 2  # as kept, and as found again

    result = CheckResult.from_json(sp.open_run(own / "run").folder.result("check"))
    assert CheckResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert (list(result.backends), result.mismatches) == (["simulators:right", "simulators:wrong"], 1)


@pytest.mark.parametrize(
    ("backends", "text"),
    [
        ('["reference"]', "check.backends: the reference cannot be compared with itself"),
        ('["lav"]', "'lav' is not a backend"),
        ('["nowhere:make"]', "nowhere"),
    ],
)
def test_a_wrong_name_is_found_before_anything_is_made(own: Path, spikeport, backends: str, text: str) -> None:
    code, _, err = spikeport("run", "digits", "--out", "run", *words(f"check.backends={backends}"))
    assert code == 2
    assert text in err
    assert not (own / "run").exists()
