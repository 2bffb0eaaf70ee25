"""What a recording costs, run against run: by hand, by enumeration, by what must hold of any pairing; what has none."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_runs import example_runs, finished_run
from html_page import Page
from known_networks import conv_activity, conv_frames
from report_example import example_energy

from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies
from spikeport.pipeline.profiling.percentiles import Bootstrapped, over_samples, paired_changes
from spikeport.pipeline.report.comparison.comparison import build_comparison
from spikeport.pipeline.report.comparison.html import render_html
from spikeport.pipeline.report.comparison.markdown import render_markdown
from spikeport.pipeline.report.comparison.per_sample import read_per_sample
from spikeport.pipeline.report.content.csv_tables import samples_csv
from spikeport.pipeline.report.content.finished_run import read_runs

HEAD = "key,label,spikes,synops,loihi1_dynamic_uj,loihi2_dynamic_uj"
ONE = (HEAD, "a,7,10,100,1.0,", "b,7,30,500,2.0,", "c,8,20,300,6.0,")  # 20, 300 and 3 µJ on average
TWO = (HEAD, "a,7,20,100,3.0,", "b,7,60,600,2.0,", "c,8,40,320,7.0,")  # 40, 340 and 4 µJ
KEYS = {"labels": (7, 7, 8), "right": ("111", "111")}


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def energy_rows_of(nominal: float, **more: Any) -> list[dict[str, Any]]:
    loihi1, loihi2, _ = example_energy()
    return [loihi1 | {"dynamic_uj": {"low": 0.5, "nominal": nominal, "high": 9.0}} | more, loihi2]


def run(folder: Path, rows: tuple[str, ...] | None, nominal: float, **more: Any) -> Path:
    text = None if rows is None else "\n".join(rows) + "\n"
    return finished_run(folder, samples=text, **({"energy": energy_rows_of(nominal)} | KEYS | more))


def compared(*folders: Path) -> dict[str, Any]:
    return build_comparison(read_runs(folders))


# The bootstrap


def test_three_samples_by_hand() -> None:
    """All three draws are the same sample with a chance of 1 in 27, more than 2.5 %: the ends are the extremes."""
    (found,) = paired_changes(column(2, 6, 5), column(1, 2, 4))
    assert found.n == 3
    assert found.difference == Bootstrapped(value=2.0, low=1.0, high=4.0)
    assert found.ratio is not None
    assert found.ratio.to_json() == pytest.approx({"value": 13 / 7, "low": 5 / 4, "high": 6 / 2}, rel=1e-15)


def test_the_interval_is_that_of_all_draws() -> None:
    """All 6^6 draws enumerated: 10,000 of them miss a quantile of 2.5 % by 0.16 % (one sigma), so 0.6 % holds it."""
    run, first = np.array([3.0, 9, 1, 40, 12, 7]), np.array([2.0, 11, 5, 21, 6, 3])
    draws = np.array(list(itertools.product(range(6), repeat=6)))
    exact = {
        "difference": (run - first)[draws].mean(axis=1),
        "ratio": run[draws].sum(axis=1) / first[draws].sum(axis=1),
    }
    (found,) = paired_changes(run[:, None], first[:, None])
    for kind, value in (("difference", (run - first).mean()), ("ratio", run.sum() / first.sum())):
        assert getattr(found, kind).value == pytest.approx(value, rel=1e-15)  # one rounding
        for end, share in (("low", 0.025), ("high", 0.975)):
            below, above = np.quantile(exact[kind], (share - 0.006, share + 0.006))
            assert below - 1e-12 <= getattr(getattr(found, kind), end) <= above + 1e-12  # sums in another order


def test_a_difference_spreads_as_its_own_values_do() -> None:
    """The same draws as of one quantity alone, up to the order of sums."""
    rng = np.random.default_rng(5)
    run, first = rng.lognormal(size=(2, 57))
    (found,) = paired_changes(run[:, None], first[:, None], seed=3)
    alone = over_samples(run - first, seed=3)
    assert [found.difference.value, found.difference.low, found.difference.high] == pytest.approx(
        [alone.mean, alone.low, alone.high], rel=1e-12
    )


def test_nothing_differs_from_itself() -> None:
    values = np.random.default_rng(1).lognormal(size=(201, 5))
    for found in paired_changes(values, values):
        assert found.difference == Bootstrapped(value=0.0, low=0.0, high=0.0)
        assert found.ratio == Bootstrapped(value=1.0, low=1.0, high=1.0)


def test_there_and_back() -> None:
    one, two = np.random.default_rng(2).lognormal(size=(2, 83, 3))
    for there, back in zip(paired_changes(one, two), paired_changes(two, one), strict=True):
        assert there.difference.value == -back.difference.value
        assert there.difference.low == pytest.approx(-back.difference.high, rel=1e-12)  # interpolated


def test_twice_as_much_of_each_is_twice_as_much_for_sure() -> None:
    """However the samples differ among themselves. Whole numbers, so that every sum is exact."""
    first = np.random.default_rng(3).integers(1, 10_000, (40, 1))
    (found,) = paired_changes(2 * first, first)
    assert found.ratio == Bootstrapped(value=2.0, low=2.0, high=2.0)
    assert found.difference.low < found.difference.value == first.mean() < found.difference.high


def test_nothing_is_divided_by_what_may_be_zero() -> None:
    (found,) = paired_changes(column(1, 2, 3), column(0, 0, 4))  # 8 in 27 draws hold no 4
    assert found.ratio is None
    assert found.difference.value == pytest.approx(2 / 3)


@pytest.mark.parametrize("shape", [(3, 1), (4, 2), (4,)])
def test_what_does_not_pair_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not pair"):
        paired_changes(np.ones((4, 1)), np.ones(shape))


# samples.csv


def test_the_table_is_read_as_it_was_written() -> None:
    frames = conv_frames(samples=3)
    activity = conv_activity(frames)
    energies = [sample_energies(load_profile(name), activity) for name in ("loihi1", "loihi2")]
    text = samples_csv(
        ["x/1", 'b,"', "=c"], {"label": ["1", "2", "one"], "lava": ["2", None, None]}, activity, energies, frames
    )
    table = read_per_sample(text)
    assert table.keys == tuple(row["key"] for row in csv.DictReader(io.StringIO(text)))
    assert table.columns["spikes"].tolist() == sum(layer.spikes for layer in activity.layers).tolist()
    assert table.columns["loihi1_dynamic_uj"].tolist() == (energies[0].dynamic_pj[1] / 1e6).tolist()
    assert np.isnan(table.columns["loihi2_dynamic_uj"]).all()
    assert "label" not in table.columns


# Runs


def test_two_runs_by_hand(tmp_path: Path) -> None:
    """Recording by recording 2, 0 and 1 µJ more, 10, 30 and 20 spikes, 0, 100 and 20 operations."""
    comparison = compared(run(tmp_path / "one", ONE, 3.0), run(tmp_path / "two", TWO, 4.0))
    (against,) = comparison["against_first"]
    spikes, synops = (against["activity"][key] for key in ("spikes_per_sample", "synops_per_sample"))
    assert spikes["difference"] == pytest.approx({"value": 20, "low": 10, "high": 30}, rel=1e-15)
    assert spikes["ratio"] == {"value": 2.0, "low": 2.0, "high": 2.0}
    assert synops["difference"] == pytest.approx({"value": 40, "low": 0, "high": 100}, rel=1e-15)
    loihi1, loihi2 = against["energy"]
    assert loihi1["paired_dynamic_uj"]["n"] == 3
    assert loihi1["paired_dynamic_uj"]["difference"] == pytest.approx({"value": 1, "low": 0, "high": 2}, rel=1e-15)
    assert loihi1["paired_dynamic_uj"]["ratio"] == pytest.approx({"value": 4 / 3, "low": 1, "high": 3}, rel=1e-15)
    assert loihi2["paired_dynamic_uj"]["difference"] == {"value": None, "reason": "unknown for two and one"}
    assert "paired by recording at nominal constants 1.333 (1.000 to 3.000) times" in comparison["summary"]

    page, markdown = Page(render_html(comparison)).text, render_markdown(comparison)
    assert "| two | Spikes | +20.0 | +10.0 to +30.0 | 2.000 | 2.000 to 2.000 | 3 | more |" in markdown
    numbers = "| +1.00 | 0 to +2.00 | 1.333 | 1.000 to 3.000 | 3 | not distinguishable |"
    assert f"| two | Dynamic energy on Intel Loihi 1, µJ {numbers}" in markdown
    assert "Dynamic energy on Intel Loihi 2" not in markdown  # it has none
    for words in (
        "+10.0 to +30.0",
        "1.000 to 3.000",
        "Dynamic energy on Intel Loihi 1, µJ",
        comparison["intervals"]["change"],
    ):
        assert words in page
        assert words in markdown


def test_a_run_against_a_copy_of_itself_spends_the_same(tmp_path: Path) -> None:
    one, two = (run(tmp_path / name, ONE, 3.0) for name in ("one", "two"))
    (against,) = compared(one, two)["against_first"]
    for change in (*against["activity"].values(), against["energy"][0]["paired_dynamic_uj"]):
        assert change["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
        assert change["ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    head, *rows = TWO
    shuffled = (head, *(rows[row] for row in (2, 0, 1)))
    first = run(tmp_path / "one", ONE, 3.0)
    there = [compared(first, run(tmp_path / str(n) / "two", each, 4.0)) for n, each in enumerate((TWO, shuffled))]
    assert there[0]["against_first"] == there[1]["against_first"]
    back = compared(run(tmp_path / "3" / "two", shuffled, 4.0), first)
    assert back["against_first"][0]["activity"]["spikes_per_sample"]["ratio"]["value"] == 0.5


@pytest.mark.parametrize(
    ("rows", "more", "reason"),
    [
        (TWO, {"test_set_digest": "others", "fingerprint": "others"}, "they were tested on different recordings"),
        (TWO, {"labels": (7, 8, 8)}, "they were tested on different recordings"),
        (TWO, {"dataset_name": "nmnist"}, "they were tested on different data, nmnist and digits"),
        (None, {}, "two (made by an older Spikeport) kept no samples.csv: spikeport report writes it"),
        ((*TWO[:3], TWO[3].replace("c,", "d,")), {}, "they were tested on different recordings"),
        ((*TWO[:3], TWO[3].replace("c,", "b,")), {}, "two has recordings of the same key"),
    ],
)
def test_what_is_not_paired_says_why(
    tmp_path: Path, rows: tuple[str, ...] | None, more: dict[str, Any], reason: str
) -> None:
    comparison = compared(run(tmp_path / "one", ONE, 3.0), run(tmp_path / "two", rows, 4.0, **more))
    (against,) = comparison["against_first"]
    none = {"value": None, "reason": reason}
    for change in (*against["activity"].values(), *(row["paired_dynamic_uj"] for row in against["energy"])):
        assert change == {"n": None, "difference": none, "ratio": none}
    assert "paired by recording" not in comparison["summary"]
    assert f"| two | all | not paired: {reason} |" in render_markdown(comparison)
    assert f"not paired: {reason}. Compare the energies" in Page(render_html(comparison)).text


@pytest.mark.parametrize(
    ("energy", "reason"),
    [
        (energy_rows_of(4.0, scope="whole board"), "rows of different scope have no ratio"),
        (energy_rows_of(4.5), "samples.csv of two has another energy than its report"),
        (energy_rows_of(4.0)[1:], "two has no estimate for this device"),
    ],
)
def test_counts_pair_where_an_energy_does_not(tmp_path: Path, energy: list[dict[str, Any]], reason: str) -> None:
    comparison = compared(run(tmp_path / "one", ONE, 3.0), run(tmp_path / "two", TWO, 0, energy=energy))
    (against,) = comparison["against_first"]
    assert against["activity"]["spikes_per_sample"]["ratio"]["value"] == 2.0
    assert reason in against["energy"][0]["paired_dynamic_uj"]["difference"]["reason"]
    assert f"| two | Dynamic energy on Intel Loihi 1, µJ | not paired: {reason}" in render_markdown(comparison)
    assert f"not paired: {reason}" in Page(render_html(comparison)).text


def test_each_run_has_its_own_rows(tmp_path: Path) -> None:
    """Of four runs the last was tested on other recordings; 1.15 and 0.62 times the first, each its own recordings."""
    comparison = compared(*example_runs(tmp_path))
    ratios = [entry["energy"][0]["paired_dynamic_uj"]["ratio"] for entry in comparison["against_first"]]
    assert [ratio["value"] for ratio in ratios] == [pytest.approx(1.15), pytest.approx(0.62), None]
    for ratio in ratios[:2]:
        assert 0 < ratio["high"] - ratio["low"] < 0.05  # recordings differ by 30 %, the runs on one of them by 7 %
    markdown = render_markdown(comparison)
    assert markdown.count("| Dynamic energy on Intel Loihi 1, µJ |") == 2
    assert "| other-split | all | not paired: " in markdown


def test_the_command_shows_them(spikeport: Any, tmp_path: Path) -> None:
    run(tmp_path / "one", ONE, 3.0)
    run(tmp_path / "two", TWO, 4.0)
    code, out, _ = spikeport("compare", "one", "two")
    assert code == 0
    assert "paired / first" in out
    assert "1.333 (1.000 to 3.000)" in out
