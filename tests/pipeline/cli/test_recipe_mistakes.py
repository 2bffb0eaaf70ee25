"""A mistake in a recipe is one line of the command, before anything is made."""

import pytest
from cli_inputs import one_line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[training]\nepoch = 3\n", r"unknown key 'training.epoch'. Hint: use one of epochs, batch"),
        ("[training]\nepochs = 'many'\n", "training.epochs = 'many': Input should be a valid integer"),
        ("[student]\nbeta = 1.5\n", "student.beta = 1.5: Input should be less than or equal to 1"),
        ("[distillation]\nreplacement_unit = 'sum'\n", "Input should be 'clip', 'suffix', 'suffix_share' or 'never'"),
        ("[distillation.options]\nkd_mode = 'sum'\n", "kd_mode = 'sum': Input should be 'mean', 'per_step' or 'last'"),
        (
            "[distillation.options]\ntau = inf\n",
            "distillation.options: tau must be a finite",
        ),
        ("[distillation.options]\ntau = -1.0\n", "distillation.options: tau = -1.0: Input should be greater than 0"),
        ("[distillation.options]\nkd_weight = -1.0\n", "distillation.options: kd_weight = -1.0: Input should be"),
        ("[distillation.options]\nphase_start = 0.9\n", "phase_end = 0.58 is below phase_start = 0.9"),
        (
            "[[distillation.losses]]\nloss = 'teacher_head_kd'\nschedule.start = 0.8\n",
            "schedule: end must not be before start",
        ),
        ("[data]\nfolds = 5\nfold = 5\n", "r.toml: data: fold must be below folds, which is 5."),
        ("[[distillation.losses]]\nloss = 'logit_kd'\noptions.entropy_weight = nan\n", "must be a finite number"),
        ("[training]\nlr = inf\n", "training.lr = inf: Input should be a finite number"),
        ("[synthesis]\nkernel = 4\n", "synthesis.kernel = 4: it must be odd"),
        ("[data]\nsplit_seed = -1\n", "data.split_seed = -1: Input should be greater than or equal to 0"),
        (
            "[distillation]\nmethod = 'baseline'\n[distillation.options]\ntau = 2.0\n",
            "the options of baseline are tet_mse_weight; leave the others out",
        ),
        (
            "[[distillation.losses]]\nloss = 'teacher_head_kd'\nlambda = 3\n",
            "Hint: use one of loss, stream, weight, schedule, options",
        ),
        (
            "[[distillation.losses]]\nloss = 'teacher_head_kd'\nschedule.begin = 0.8\n",
            "Hint: use one of shape, start, end",
        ),
        ("[[distillation.losses]]\nloss = 'kd'\n", "'kd' is not a loss. Hint: use one of adaptive_kl"),
        (
            "[profile]\nactive_rule = 'fired'\n",
            "Input should be '', 'received_input_or_bias_or_spiked', 'spiked_only' or 'membrane_nonzero'",
        ),
        ("[training\n", "this is not a TOML file"),
    ],
)
def test_a_recipe_with_a_mistake(spikeport, tmp_path, text, words):
    (tmp_path / "r.toml").write_text(text)
    code, _, err = spikeport("run", "r.toml", "--out", "out")
    assert code == 2
    assert words in one_line(err)
    assert "r.toml" in err or "distillation." in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["profile.hardware=['loihi9']"], "loihi9"),
        (["profile.baseline_gpu=abacus"], "abacus"),
        (["training.patience=4", "data.validation=0"], "training.patience = 4 needs validation recordings"),
        (["training.accumulate=50"], "batches of 20 cannot be cut into 50 parts"),
        (
            ["distillation={method = 'synthetic-events'}", "synthesis.simulator_weights=nowhere.safetensors"],
            "correct synthesis.simulator_weights",
        ),
        (["data.without_recordings=true", "data.train=0"], "ckd cannot train without recordings"),
        (["data={source='shd', channels=700}"], "ckd needs images of the frames' height and width"),
        (
            ["data={source='shd', channels=700}", "distillation={method='baseline'}"],
            "a one-dimensional input of 700 channels has no height and width for convolutions",
        ),
        (
            ["distillation={method = 'synthetic-events'}", "data.without_recordings=true", "data.train=0"],
            'synthesis.kind = "simulator"',
        ),
    ],
)
def test_what_the_recipe_tells_is_said_before_anything_is_made(spikeport, tmp_path, changes, words):
    (tmp_path / "r.toml").write_text("[training]\nbatch = 20\n")
    code, _, err = spikeport("run", "r.toml", "--out", "out", *(word for one in changes for word in ("--set", one)))
    assert code in (2, 3)
    assert words in one_line(err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "losses",
    [
        "{loss='cam_kd', schedule={shape='rise', start=0.4, end=0.6}}",
        "{loss='feature_kd', options={blur=0.2}}",
    ],
)
def test_a_loss_that_cannot_act_fails_before_the_teacher_is_trained(spikeport, tmp_path, losses):
    code, _, err = spikeport(
        "train", "digits", "--set", f"distillation.losses=[{losses}]", "--set", "student.network=mlp", "--out", "out"
    )
    assert code == 2
    assert "needs maps of the student" in err or "blur needs maps" in err
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


def test_a_run_whose_data_were_not_there_goes_on_with_the_corrected_recipe(spikeport, tmp_path):
    words = ["train", "nmnist-small", "--out", "out"]
    assert spikeport(*words, "--set", f"data.root={tmp_path}")[0] == 3
    code, _, err = spikeport(*words, "--set", "data.root=elsewhere")
    assert code == 3
    assert "elsewhere" in err


@pytest.mark.parametrize("word", ["training", "training.epochs", "=3", "training.epochs.more=3"])
def test_a_setting_that_is_none(spikeport, word):
    assert spikeport("run", "digits", "--set", "training.epochs=2", "--set", word)[0] == 2


def test_an_unknown_recipe_lists_the_shipped_ones(spikeport):
    code, _, err = spikeport("run", "digitz")
    assert code == 2
    assert "digits, dvsgesture" in one_line(err)
