"""Rows of the results pages as sweeps: their recipes are those of the benchmarks, and differences are seen."""

from __future__ import annotations

import argparse
from pathlib import Path

import distillation
import fashion
import poker_cards
import pytest
import sweeps

from spikeport.pipeline.run.recipe_file import load_recipe
from spikeport.pipeline.sweep.plan import parse_over, plan_trials
from spikeport.pipeline.training.steps import batches_of, epochs_on_recordings

PAGE = """20 recordings to train, 3 draws

trained with              float  quantized  draws           over baseline
------------------------  -----  ---------  --------------  ----------------------------------
baseline                   77.5       77.9  91.5 76.3 69.4
synthetic-events, motion   77.0       73.9  84.0 55.9 81.1  -4.0 (-18.7 to +10.8), least -20.3
"""


def test_draws_are_read_from_the_page_of_the_cards() -> None:
    assert sweeps.draws_of("baseline", PAGE) == ["91.5", "76.3", "69.4"]
    assert sweeps.draws_of("synthetic-events, motion", PAGE) == ["84.0", "55.9", "81.1"]


def test_a_row_is_equal_when_accuracy_and_every_answer_are() -> None:
    recorded = [sweeps.Recorded("66.7", "110"), sweeps.Recorded("66.7", "110"), sweeps.Recorded("66.7")]
    right = ("110", "011", "011")
    trials = [{"setting": f"s{n}", "accuracy_quantized": 2 / 3, "correct_quantized": r} for n, r in enumerate(right)]
    assert sweeps.rows(recorded, trials) == [
        ("s0", "66.7", "66.7", "0", "equal"),
        ("s1", "66.7", "66.7", "2", "differs"),
        ("s2", "66.7", "66.7", "", "equal"),
    ]
    trials[2]["accuracy_quantized"] = 0.6674  # rounds as the page does
    assert sweeps.rows(recorded, trials)[2][-1] == "equal"
    assert sweeps.rows([sweeps.Recorded("66.67")], trials[2:])[0][1:] == ("66.67", "66.74", "", "differs")


def test_the_sweep_of_the_cards_trains_the_benchmarks_recipes(tmp_path: Path) -> None:
    file = tmp_path / "cards.toml"
    file.write_text(poker_cards.recipe_of("baseline", 20, 0, tmp_path).as_toml())
    _, *words = sweeps.WORLDS["cards"].sweep.split()
    assert words[0] == "--over"
    _, trials = plan_trials(file, [], parse_over(words[1:]), seeds=1)
    for draw, trial in enumerate(trials):
        wanted = poker_cards.recipe_of("baseline", 20, draw, tmp_path)
        assert load_recipe(file, list(trial.changes)) == wanted
    assert [trial.setting.label for trial in trials] == [f"splits=20-{draw}.csv" for draw in range(2)]


def test_the_sweep_of_nmnist_trains_what_the_study_trains(tmp_path: Path) -> None:
    file = tmp_path / "nmnist.toml"
    source = Path(distillation.ROOT) / "recipes" / "nmnist-small.toml"
    words = ["curve", "--recipe", str(source), "--results", str(tmp_path), "--write-recipe", str(file)]
    assert distillation.main([*words, "--only", "^20 recordings, baseline"]) == 0
    _, (trial,) = plan_trials(file, [], parse_over([]), seeds=1)
    (_, own), *_ = distillation.trials_of(
        "curve", distillation.PARTS["curve"], load_recipe(source), 1, "^20 recordings"
    )
    assert load_recipe(file, list(trial.changes)) == load_recipe(source, list(own.changes))
    assert load_recipe(file).data.train == 20


@pytest.mark.parametrize(("count", "epochs"), [(50, 300), (200, 120), (1000, 40), (5000, 16)])
def test_the_recipe_of_clothes_is_read_back_and_has_the_steps(
    count: int, epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion, "write_split", lambda *_: "split.csv")
    options = argparse.Namespace(work=tmp_path, changes=[], validate=False, tested=10_000)
    recipe = fashion.Study(options).recipe(count, 3, fashion.TRAININGS["synthetic-events"])
    file = tmp_path / "fashion.toml"
    file.write_text(recipe.as_toml())
    assert load_recipe(file) == recipe
    assert (recipe.seed, recipe.data.splits, recipe.distillation.method) == (3, "split.csv", "synthetic-events")
    for pretrained in (False, True):
        assert epochs_on_recordings(recipe, count, pretrained=pretrained) == epochs
    assert epochs * batches_of(count, recipe.training.batch) == fashion.STEPS[count]
