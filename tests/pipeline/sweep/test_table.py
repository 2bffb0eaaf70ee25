"""What a sweep will run, and the table of what came out, with numbers worked out elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from spikeport.errors import UserError
from spikeport.pipeline.models.students.build import STUDENTS
from spikeport.pipeline.run.intervals import mean_sd, paired_t
from spikeport.pipeline.run.recipe_file import load_recipe
from spikeport.pipeline.sweep.plan import Setting, Trial, parse_over, plan_trials
from spikeport.pipeline.sweep.table import markdown, rows_of
from spikeport.pipeline.sweep.trial import TrialResult


def test_every_combination_the_last_key_fastest() -> None:
    settings = parse_over(["distillation.method=baseline, ckd", "training.epochs=1,2,3"])
    assert [setting.changes for setting in settings] == [
        (f"distillation.method={method}", f"training.epochs={epochs}")
        for method in ("baseline", "ckd")
        for epochs in (1, 2, 3)
    ]  # fmt: skip
    assert settings[4].label == "method=ckd, epochs=2"


def test_two_keys_that_end_the_same_keep_their_whole_names() -> None:
    (setting,) = parse_over(["training.epochs=1", "teacher.epochs=2"])
    assert setting.label == "training.epochs=1, teacher.epochs=2"


def test_commas_inside_brackets_and_quotes_do_not_part_values() -> None:
    settings = parse_over(["student.channels=[4, 6],[8,12]", 'a.b="x,y",\'z],\',{c = "1,2", d = [3, 4]}'])
    assert {setting.changes[0] for setting in settings} == {"student.channels=[4, 6]", "student.channels=[8,12]"}
    assert [setting.changes[1] for setting in settings[:3]] == ['a.b="x,y"', "a.b='z],'", 'a.b={c = "1,2", d = [3, 4]}']


def test_nothing_to_go_over_is_one_setting() -> None:
    assert parse_over([]) == (Setting("as it is", ()),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["training.epochs"], "not a list of values"),
        (["training.epochs="], "not a list of values"),
        (["training.epochs=1,,2"], "not a list of values"),
        (["=1"], "not a list of values"),
        (["training.epochs=1,2,1"], "twice"),
        (["training.epochs=1", "training.epochs=2"], "twice"),
        (["seed=1,2"], "use --seeds and --folds"),
        (["data.fold=0,1"], "use --seeds and --folds"),
    ],
)
def test_what_cannot_be_swept(words, message) -> None:
    with pytest.raises(UserError, match=message):
        parse_over(words)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("name = 'r'\nseed = 7\n[distillation]\nmethod = 'baseline'\n")
    return path


def test_trials_count_seeds_from_the_recipe_s_and_train_one_arm(recipe) -> None:
    settings = parse_over(["training.epochs=1,2"])
    base, trials = plan_trials(recipe, ["training.batch=5"], settings, seeds=2, folds=3)
    assert (base.seed, base.training.batch) == (7, 5)
    assert len({trial.name for trial in trials}) == len(trials) == 12
    assert [trial.pair for trial in trials[::2]] == [(seed, fold) for seed in (7, 8) for fold in (0, 1, 2)]
    assert trials[3].changes == (
        "training.epochs=2", "seed=7", "distillation.train_baseline=false", "data.folds=3", "data.fold=1"
    )  # fmt: skip


def test_without_folds_the_split_is_the_recipe_s(recipe) -> None:
    _, (trial,) = plan_trials(recipe, [], parse_over([]), seeds=1)
    assert trial.changes == ("seed=7", "distillation.train_baseline=false")
    assert trial.pair == (7, None)


def test_the_comparison_stays_where_it_is_swept(recipe) -> None:
    _, trials = plan_trials(recipe, [], parse_over(["distillation.train_baseline=true,false"]), seeds=1)
    assert [trial.changes for trial in trials] == [
        ("distillation.train_baseline=true", "seed=7"), ("distillation.train_baseline=false", "seed=7")
    ]  # fmt: skip


def test_settings_whose_readable_names_agree_have_folders_of_their_own(recipe) -> None:
    long = "x" * 80
    settings = parse_over([f"data.root={long}1,{long}2,a/b,a?b,../../../up"])
    _, trials = plan_trials(recipe, [], settings, seeds=1)
    assert len({trial.name for trial in trials}) == 5
    assert all(trial.name.count("/") == 1 and ".." not in trial.name.split("/")[0][:2] for trial in trials)


def test_a_combination_that_is_no_recipe_is_named(recipe) -> None:
    with pytest.raises(UserError, match=r"unknown key 'training.epoch'"):
        plan_trials(recipe, [], parse_over(["training.epoch=1"]), seeds=1)
    with pytest.raises(UserError, match=r"student.beta = 1.5"):
        plan_trials(recipe, [], parse_over(["student.beta=0.5,1.5"]), seeds=1)
    with pytest.raises(UserError, match=r"'nnoe' is not a distillation method"):
        plan_trials(recipe, [], parse_over(["distillation.method=baseline,nnoe"]), seeds=1)


def test_a_student_that_cannot_be_quantized_is_refused_before_training(recipe, monkeypatch) -> None:
    monkeypatch.setattr(STUDENTS["resnet20-snn"], "not_for_netx", "of a reason")
    with pytest.raises(UserError, match=r"resnet20-snn is not for netx.*train it in float with spikeport train"):
        plan_trials(recipe, ["student.network=resnet20-snn"], parse_over([]), seeds=1)


def test_a_paired_interval_by_hand_and_by_scipy() -> None:
    """Differences 1, 2, 6: mean 3, s = sqrt(7), t(2) = 4.302653, half = 4.302653 sqrt(7 / 3) = 6.572412."""
    found = paired_t([1, 2, 6])
    assert (found["value"], found["n"]) == (3, 3)
    assert (found["high"] - 3, 3 - found["low"]) == pytest.approx((6.572412, 6.572412), abs=2e-6)  # t to six digits
    rng = np.random.default_rng(3)
    one, two = rng.normal(size=(2, 7))
    interval = stats.ttest_rel(one, two).confidence_interval(0.95)
    found = paired_t(one - two)
    assert (found["low"], found["high"]) == pytest.approx(
        (interval.low, interval.high), rel=1e-9
    )  # float64, two orders


def test_one_pair_has_no_interval_and_one_value_no_deviation() -> None:
    assert paired_t([0.25]) == {"value": 0.25, "n": 1, "low": None, "high": None}
    assert mean_sd([0.25]) == {"mean": 0.25, "sd": None, "n": 1}
    assert mean_sd([1, 2, 6]) == {"mean": 3, "sd": pytest.approx(7**0.5), "n": 3}


A, B, C = Setting("a=1", ("a=1",)), Setting("a=2", ("a=2",)), Setting("a=3", ("a=3",))
TRIALS = tuple(Trial(f"{setting.label}/{seed}", setting, seed, None, ()) for seed in (1, 2, 3) for setting in (A, B, C))


def results() -> dict[str, TrialResult]:
    """Ten recordings; quantized, A gets 5, 7 and 6 right, B 6 and 10 with its third seed missing; C failed."""
    quantized = {"a=1/1": 5, "a=1/2": 7, "a=1/3": 6, "a=2/1": 6, "a=2/2": 10}
    return {
        name: TrialResult("1" * 8 + "0" * 2, "1" * hits + "0" * (10 - hits), 10.0 * hits)
        for name, hits in quantized.items()
    }


def test_rows_pair_the_runs_that_both_have() -> None:
    """B - A over seeds 1 and 2: 0.1, 0.3; mean 0.2, s = 0.1 sqrt(2), half = t(1) 0.1 = 1.270620."""
    first, second, third = rows_of((A, B, C), TRIALS, results())
    assert first["runs"] == 3
    assert first["quantized"] == {"mean": pytest.approx(0.6), "sd": pytest.approx(0.1), "n": 3, "difference": None}
    assert second["runs"] == 2
    difference = second["quantized"]["difference"]
    assert (difference["value"], difference["n"]) == (pytest.approx(0.2), 2)
    assert difference["high"] == pytest.approx(0.2 + 1.2706205, abs=1e-6)  # t by hand to seven digits
    assert second["float"]["difference"]["value"] == 0
    assert second["seconds"]["mean"] == 80
    assert (third["runs"], third["float"], third["quantized"], third["seconds"]) == (0, None, None, None)


def test_the_page_shows_what_the_rows_say() -> None:
    rows = json.loads(json.dumps(rows_of((A, B, C), TRIALS, results()), allow_nan=False))
    page = markdown({"name": "r", "seeds": 3, "folds": 0, "rows": rows, "failed": {"a=3/1": "left with 2"}})
    assert "| a=1 | 3 | 80.00 ± 0.00 | 60.00 ± 10.00 | - | - | 60 |" in page
    assert (
        "| a=2 | 2 | 80.00 ± 0.00 | 80.00 ± 28.28 | +0.00 [+0.00, +0.00] (2) | +20.00 [-107.06, +147.06] (2) |" in page
    )
    assert "| a=3 | 0 | - | - | - | - | - |" in page
    assert "All runs share one split" in page
    assert "- `a=3/1`: left with 2" in page
    assert "share training recordings" in markdown({"name": "r", "seeds": 3, "folds": 5, "rows": rows, "failed": {}})


def test_a_whole_section_can_be_a_value(tmp_path) -> None:
    """And nothing of the recipe's own section is left."""
    path = tmp_path / "r.toml"
    path.write_text("[distillation]\nmethod = 'ckd'\noptions = {tau = 3.0}\n")
    settings = parse_over(['distillation={method = "baseline"},{method = "tser", options = {alpha = 0.25, tau = 2.0}}'])
    _, trials = plan_trials(path, [], settings, seeds=1)
    found = [load_recipe(path, list(trial.changes)).distillation for trial in trials]
    assert [(one.method, one.options, one.train_baseline) for one in found] == [
        ("baseline", {}, False), ("tser", {"alpha": 0.25, "tau": 2.0}, False)
    ]  # fmt: skip
