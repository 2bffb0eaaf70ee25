"""~ and $VARIABLES mean in recipes and options what they mean in a shell; a run's name leads nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_inputs import one_line

from spikeport.errors import UserError
from spikeport.paths import expanded
from spikeport.pipeline.run.recipe_file import load_recipe, parse_recipe


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SETS", str(tmp_path / "sets"))
    (tmp_path / "sets").mkdir()
    monkeypatch.delenv("NOWHERE", raising=False)
    return tmp_path / "home"


def test_what_a_shell_replaces(tmp_path, home):
    assert expanded("~/a") == f"{home}/a"
    assert expanded("~") == str(home)
    assert expanded("$SETS/n") == expanded("${SETS}/n") == f"{tmp_path}/sets/n"
    assert expanded("${SETS}x") == f"{tmp_path}/setsx"
    for plain in ("", "a", "a~b", "./~", "a$", "$-a", "cost in $"):
        assert expanded(plain) == plain


def test_a_file_of_this_very_name_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("$NOWHERE").touch()
    assert expanded("$NOWHERE") == "$NOWHERE"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$NOWHERE/a", "variable NOWHERE is not set"),
        ("a\0b", "NUL"),
        ("a" * 5000, "no path is so long"),
        ("a" * 300, "so long"),
    ],
)
def test_what_cannot_be_meant(text, words):
    with pytest.raises(UserError, match=words) as raised:
        expanded(text)
    assert "\0" not in str(raised.value)
    assert len(str(raised.value)) < 200


KEYS = ["data.root", "data.events", "data.images", "data.pairs", "teacher.weights", "synthesis.simulator_weights",
        "training.init_from"]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_every_path_of_a_recipe(home, key):
    section, name = key.split(".")
    read = parse_recipe({section: {name: "~/a"}}, where="r.toml").model_dump()
    assert read[section][name] == f"{home}/a"
    for wrong, words in (("$NOWHERE/a", "the variable NOWHERE is not set"), ("a\0b", "NUL")):
        with pytest.raises(UserError, match=words) as raised:
            parse_recipe({section: {name: wrong}}, where="r.toml")
        assert key in str(raised.value)
        assert str(raised.value).startswith("r.toml: ")


def test_a_teachers_file_and_a_teachers_run(home):
    for kind in ("onnx", "run"):
        assert parse_recipe({"teacher": {"network": f"{kind}:~/a"}}, where="r").teacher.network == f"{kind}:{home}/a"
    assert parse_recipe({"teacher": {"network": "mine:~"}}, where="r").teacher.network == "mine:~"


def test_what_is_kept_is_read_again_as_it_was(tmp_path, home):
    read = parse_recipe({"data": {"root": "~/a"}}, where="r")
    (tmp_path / "kept.toml").write_text(read.as_toml())
    assert load_recipe(tmp_path / "kept.toml") == read


def test_every_verbs_paths(spikeport, net, frames, home, tmp_path):
    code, _, _ = spikeport("simulate", net, "--input", frames, "--out", "~/deep/trace.npz", "-q")
    assert code == 0
    assert (home / "deep" / "trace.npz").is_file()
    assert spikeport("export", "$SETS/../a.net", "--out", "${SETS}")[0] == 0
    assert (tmp_path / "sets" / "a.net").is_file()
    assert not (tmp_path / "~").exists()
    for words in (
        ("simulate", "$NOWHERE", "--input", frames),
        ("report", "$NOWHERE/run"),
        ("compare", tmp_path, "$NOWHERE/run"),
        ("data", "download", "nmnist", "--root", "$NOWHERE"),
        ("train", "$NOWHERE/a.toml"),
        ("hardware", "show", "$NOWHERE/a.toml"),
        ("sweep", "digits", "--out", "$NOWHERE"),
    ):
        code, _, err = spikeport(*words)
        assert code == 2, words
        assert "the variable NOWHERE is not set" in one_line(err)


def test_no_path_holds_nul(spikeport, net, frames):
    code, _, err = spikeport("simulate", net, "--input", frames, "--out", "a\0b")
    assert code == 2
    assert "NUL" in one_line(err)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a", "a/b", "/a", "a\\b", "a\nb", "a\0b", "a\x1b[31mb", "a" * 201, "\u202eabc"]
)
def test_a_name_that_is_no_folders_is_refused(name):
    with pytest.raises(UserError, match=r"^r.toml: name = .*the name of a folder") as raised:
        parse_recipe({"name": name}, where="r.toml")
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("name", ["a", "a b", "a.b", "..a", "größe", "-a", "a" * 200, "~"])
def test_a_name_that_is_a_folders(name):
    assert parse_recipe({"name": name}, where="r").name == name


def test_a_run_stays_below_runs(spikeport, tmp_path):
    (tmp_path / "here").mkdir()
    os.chdir(tmp_path / "here")
    (tmp_path / "here" / "a.toml").write_text('name = "../../escaped"\n')
    for verb in ("run", "train", "sweep"):
        code, _, err = spikeport(verb, "a.toml")
        assert code == 2
        assert "name of a folder" in one_line(err)
    assert not list(tmp_path.rglob("escaped*"))


def test_a_long_value_is_not_repeated(tmp_path):
    for value in (-(10**3999), -(10**4999), "a" * 4000):
        with pytest.raises(UserError) as raised:
            parse_recipe({"data": {"height": value}}, where="r.toml")
        assert "data.height = " in str(raised.value)
        assert len(str(raised.value)) < 500
