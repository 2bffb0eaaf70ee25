"""A changed method leaves the options of the old one behind; --method and --epochs stand for two settings."""

import pytest
import tomli_w
from cli_inputs import one_line

from spikeport.errors import UserError
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.run.recipe_file import find_recipe, load_recipe
from spikeport.pipeline.run.run_folder import open_run

OPTIONS = {"tau": 2.0, "kd_mode": "per_step", "cka_weight": 0.1, "cka_learnable": False}
TINY = [
    word
    for change in (
        "data.train=30",
        "data.validation=10",
        "data.test=10",
        "student.channels=[2]",
        "student.hidden=0",
        "distillation.train_baseline=false",
        "quantization.epochs=0",
        "teacher.epochs=1",
    )
    for word in ("--set", change)
]


@pytest.fixture
def ckd(tmp_path):
    """A recipe with options of CKD."""
    path = tmp_path / "ckd.toml"
    path.write_text(tomli_w.dumps({"distillation": {"method": "ckd", "options": OPTIONS}}), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def notes_are_printed_again(monkeypatch):
    monkeypatch.setattr("spikeport.notes._printed", set())


@pytest.mark.parametrize("method", ["baseline", "hta", "temporal-self", "synthetic-events"])
def test_another_method_has_its_own_defaults_and_a_note_names_what_is_left_out(capsys, ckd, method):
    own = load_recipe(ckd, [f"distillation.method={method}"]).distillation
    assert (own.method, own.options) == (method, {})
    assert method_spec(own).losses
    err = capsys.readouterr().err
    named = ", ".join(sorted(OPTIONS))
    left_out = f"whose distillation.options are left out: {named}"
    assert err == f"note: distillation.method is {method} instead of ckd, {left_out}\n"


def test_options_that_are_set_beside_the_method_are_kept(capsys, ckd):
    words = ["distillation.options.tau=3.5", "distillation.method=hta"]
    for order in (words, words[::-1]):
        assert load_recipe(ckd, order).distillation.options == {"tau": 3.5}
    err = capsys.readouterr().err
    assert "tau" not in err
    assert "cka_weight" in err


@pytest.mark.parametrize(
    "words",
    [
        ["distillation.method=ckd"],
        ["training.epochs=3"],
        ["distillation={method = 'hta'}"],
        ["distillation.method=hta", "distillation.method=ckd"],
        ["distillation.options={tau = 3.0}"],
    ],
)
def test_nothing_is_left_out_where_the_method_stays_or_the_section_is_given(capsys, ckd, words):
    own = load_recipe(ckd, words).distillation
    assert capsys.readouterr().err == ""
    given = {} if own.method == "hta" else {"tau": 3.0} if "options" in words[0] else OPTIONS
    assert own.options == given


def test_a_file_whose_options_do_not_fit_its_own_method_is_refused(tmp_path):
    (tmp_path / "r.toml").write_text("[distillation]\nmethod = 'hta'\n[distillation.options]\ncka_weight = 0.5\n")
    with pytest.raises(UserError, match=r"unknown key 'cka_weight'\. Hint: the options of hta are weight, tau"):
        method_spec(load_recipe(tmp_path / "r.toml", ["distillation.method=hta"]).distillation)
    (tmp_path / "r.toml").write_text("distillation = 3\n")
    with pytest.raises(UserError, match="not a section"):
        load_recipe(tmp_path / "r.toml", ["distillation.method=hta"])
    assert load_recipe(tmp_path / "r.toml", ["distillation={method = 'hta'}"]).distillation.method == "hta"


def test_method_and_epochs_train_what_the_two_settings_train(spikeport, tmp_path):
    code, _, err = spikeport("train", "digits", *TINY, "--method", "baseline", "--epochs", 2, "--out", "a", "-q")
    assert code == 0, err
    assert "whose distillation.options are left out" in err
    recipe = open_run(tmp_path / "a").recipe
    assert (recipe.distillation.method, recipe.training.epochs) == ("baseline", 2)
    long = ["distillation.method=baseline", "training.epochs=2", *TINY[1::2]]
    assert recipe == load_recipe(find_recipe("digits"), long)


@pytest.mark.parametrize("verb", ["run", "train"])
@pytest.mark.parametrize(
    ("option", "setting"),
    [
        (("--method", "hta"), "distillation.method=hta"),
        (("--method", "hta"), "distillation={method = 'hta'}"),
        (("--epochs", "3"), " training.epochs =3"),
    ],
)
def test_a_setting_is_given_once(spikeport, tmp_path, verb, option, setting):
    code, _, err = spikeport(verb, "digits", *option, "--set", setting, "--out", "a")
    assert code == 2
    key = setting.partition("=")[0].strip()
    assert f"{option[0]}: --set {key} gives" in one_line(err)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--method", "hat"), "'hat' is not a distillation method. Hint: use one of baseline, ckd"),
        (("--epochs", "0"), "training.epochs = 0: Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_refused_as_that_of_the_setting(spikeport, words, reason):
    code, _, err = spikeport("train", "nmnist", *words, "--out", "a")
    assert code == 2
    assert reason in one_line(err)
