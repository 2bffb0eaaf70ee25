"""Sizes that no machine holds, and files that no parser ends on: one line before anything is read or trained."""

from __future__ import annotations

import pytest

from spikeport.errors import UserError
from spikeport.pipeline.models import weight_memory
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import load_recipe, parse_recipe
from spikeport.pipeline.stages.checks import check_recipe

HUGE = 2**63 - 1


def reported(text: str, tmp_path, *overrides: str) -> str:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(UserError) as raised:
        load_recipe(tmp_path / "r.toml", list(overrides))
    line = str(raised.value)
    assert "\n" not in line
    assert len(line) < 1000
    return line


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("data.height", (HUGE, 10**6, 2**64, 4097)),
        ("data.width", (HUGE, 10**6)),
        ("data.step_us", (HUGE, 3_600_000_001)),
        ("data.test", (HUGE,)),
        ("data.image_id_offset", (HUGE, -HUGE)),
        ("data.split_seed", (2**64,)),
        ("seed", (2**64, -(2**64))),
        ("teacher.size", (10**6,)),
        ("teacher.width", (1e30, 65.0)),
        ("teacher.batch", (HUGE,)),
        ("teacher.affine.translate", (1e30,)),
        ("student.channels", ((10**9,), (8,) * 65)),
        ("student.kernel", (10**9,)),
        ("student.hidden", (10**9,)),
        ("student.layers", ((10**9,),)),
        ("student.width", (1e30,)),
        ("training.epochs", (HUGE,)),
        ("training.batch", (HUGE,)),
        ("training.devices", (10**9,)),
        ("training.threads", (10**9,)),
        ("augmentation.shift", (10**6, HUGE, 35)),
        ("augmentation.time_shift", (10**6, HUGE)),
        ("synthesis.width", (10**9,)),
        ("synthesis.kernel", (10**9 + 1,)),
        ("synthesis.cached_views", (HUGE,)),
        ("check.samples", (HUGE,)),
        ("check.timeout_s", (1e30,)),
        ("profile.baseline_seconds", (1e30,)),
    ],
)
def test_an_absurd_size_names_its_key(key: str, values: tuple) -> None:
    *sections, name = key.split(".")
    for value in values:
        nested = {name: value}
        for section in reversed(sections):
            nested = {section: nested}
        with pytest.raises(UserError, match=key):
            parse_recipe(nested, where="r.toml")


@pytest.mark.parametrize("key", ["data.height", "data.step_us", "augmentation.shift", "student.hidden"])
def test_a_whole_number_is_not_written_as_1e30(tmp_path, key: str) -> None:
    assert f"{key} = 1e+30: Input should be a valid integer" in reported("", tmp_path, f"{key}=1e30")


def test_a_recording_of_a_gigabyte_is_refused_though_each_side_is_legal(tmp_path) -> None:
    line = reported("[data]\nheight = 4096\nwidth = 4096\nsteps = 100\n", tmp_path)
    assert "height x width x steps make 3,355,443,200 values of one recording, over 1,073,741,824" in line
    parse_recipe({"data": {"height": 720, "width": 1280, "steps": 500}}, where="a large sensor")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = " + "[" * 900 + "]" * 900, "nests too deep|is not a TOML file"),
        ("name = " + "[" * 90_000 + "]" * 90_000, "nests too deep|is not a TOML file"),
        ("[" + ".".join("a" * 3000) + "]\nb = 1\n", "nests too deep|unknown key|is not a TOML file"),
        (".".join("a" * 5000) + " = 1\n", "nests too deep|unknown key|is not a TOML file"),
        ("seed = " + "9" * 5000, "is not a TOML file"),
        ("seed = " + "9" * 4000, r"seed = 9{200}\.\.\.: "),
        ("seed = 0x" + "f" * 5000, "seed = a very long int: "),
        ("[training]\nbatch = 0x" + "f" * 5000, "training.batch = a very long int: "),
        ("x" * 5000 + " = 1\n", "unknown key 'x{199}"),
    ],
)
def test_what_no_recipe_needs_is_one_line(tmp_path, text: str, words: str) -> None:
    import re

    assert re.search(words, reported(text, tmp_path))


@pytest.mark.parametrize("word", [".".join("a" * 5000) + "=1", "seed=" + "9" * 5000, "seed=" + "[" * 5000 + "]" * 5000])
def test_what_no_setting_needs_is_one_line(tmp_path, word: str) -> None:
    reported("", tmp_path, word)


def test_what_recipes_ask_for_is_far_below_the_bounds() -> None:
    Recipe()
    parse_recipe({"data": {"height": 1080, "width": 1920}, "student": {"channels": (2048,) * 20}}, where="large")


@pytest.mark.parametrize(
    ("sections", "weights", "where"),
    [
        ({"student": {"channels": (30_000, 50_000)}}, 9 * (2 * 30_000 + 30_000 * 50_000), "student"),
        ({"student": {"network": "mlp", "layers": (65536, 65536)}}, 65536 * 65536, "student"),
        ({"teacher": {"network": "resnet18", "width": 64.0}}, 64 * 64 * 10_000_000, "teacher"),
    ],
)
def test_weights_beyond_the_machine_are_refused_before_they_are_made(monkeypatch, sections, weights, where) -> None:
    monkeypatch.setattr(weight_memory, "machine_memory", lambda: 16 * weights)  # four copies of four bytes each
    with pytest.raises(UserError, match=rf"{where}: its [\d,]+ weights take [\d,]+ GiB to train, and this machine has"):
        check_recipe(Recipe.model_validate({**sections}), for_netx=False)
    monkeypatch.setattr(weight_memory, "machine_memory", lambda: 32 * weights)
    check_recipe(Recipe.model_validate({**sections}), for_netx=False)
