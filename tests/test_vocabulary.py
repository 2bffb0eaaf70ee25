"""Names and texts use the terms of the field: distinctive words of an earlier dialect do not come back.

Ordinary English that was also a private name (part, wait, share, kept, said) is refused as a name only.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("spikeport", "hardware_profiles", "export", "pipeline", "recipes", "benchmarks", "tests", "docs")
SUFFIXES = {".py", ".md", ".toml", ".j2", ".ipynb", ".yml", ".cff"}
# What states old names on purpose, or is the record of a run.
EXCEPT = ("CHANGELOG.md", "tests/test_vocabulary.py", "docs/results/")
WORDS = {  # a regular expression, and what is written in its place
    r"\w*[Tt]rainees?\b|\b\w+Trainee\b|\btraining[./](?:fitting|evaluation)\b": "training task, fit, evaluate",
    r"\bdef consider\b|\.consider\(|\bstanding\b|\baverage_decay\b": "update_best_weights, smoothed_score, ema_decay",
    r"\b[Qq]uantis\w+|\b[Oo]ptimis\w+|\b[Bb]ehaviours?\b|\b\w*[Cc]olour\w*": "US spelling",
    r"\b[Dd]istil\b|\bgrey\b|[Ll]abelled(?!by|-500)|LABELLED": "US spelling: distill, gray, labeled",
    r"\bfine_tune\b|\b_Grid\b|\b_settle\b": "qat_finetune, FakeQuantize, convert",
    r"\b(?:leads|follows|agree)\(|\bdef (?:together|leads|follows|agree)\(\)": "is_rank_zero, barrier, ...",
    r"\bworld_of\b|\bshared_statistics\b|\bnarrow_forwards\b": "world_size, sync_batch_norm, autocast_forwards",
    r"\bsummed\(|\b_wide\b|\b_narrow\b": "all_reduce, to_float32, autocast",
    r"\boptimi[sz]er_of\b|\blearning_rate_factor\b|\blr_start\b|\blr_end\b|\btraining\.clip\b": "build_optimizer, ...",
    r"\bEventFiles\b|\bwhich_tested\b|\blineage\b|\btraining[./]metrics\b": "loggers, leakage, epoch_log",
    r"\bin_both\b|\btally\b|\bunpriced\b|\bpric(?:es?|ed|ing)\b": "trace_totals, estimate_energy, unknown_terms",
    r"\bEnergyAccount\b|\bdef account\b|\baccount for\b": "EnergyEstimate, estimate_energy",
    r"\bearly[_ ]reading\b|\bRead earlier\b|\brivals?\b|\bwording\b": "early_exit, baseline_models, describe",
    r"\barms\b|\bmethod\s*=\s*\"?none\b|\btwins?\b|\bANN twin\b": "methods, baseline, paired images",
    r"\[bridge\]|\bbridge\.\w|=\s*\"?bridge\b|\blessons?\b": "[synthesis], event_synthesis, pretraining",
    r"\bcamera_(?:epochs|weights)\b|\bstart_(?:epochs|batch|lr|recordings)\b|\blater_(?:epochs|lr)\b": "[synthesis]",
    r"\bturn_degrees\b|\[(?:\w+\.)?warp\]|\bwarp\.\w|\bwarp=": "affine, degrees, translate",
    r"\bTERM_FILES\b|\bdistillation\.terms\b|\bplan_of\b|\bevents_alone\b": "LOSSES, distillation.losses, method_spec",
    r"\bclass (?:Term|Plan|Step|Preset)\b|\bpreset\b": "DistillationLoss, MethodSpec, StepInputs, method",
    r"\bclass (?:Teaching|Voice)\b|\bteach(?:es|ing)\b|\bdistils\b": "TeacherTargets, TargetKind, uses_teacher",
    r"\b(?:laf|nld|samd|relational|lam)\b|\blosses[./]cross_entropy\b": "teacher_head_kd, noisy_logit_kd, cam_kd, ...",
    r"\bprojected_feature\b|\bda_(?:weight|debiased|learnable)\b": "feature_kd, cka_*",
    r"\bcells_of\b|\bnorm_of\b|\bslow currents?\b|\bCELLS\b": "make_neurons, make_norm, synaptic current, neurons",
    r"\b\w*(?:output|conv\d*|dense|hidden|check|loihi|recurrent)_cell\b|\bcell_node\b": "neurons",
    r"\bof_spikes\b|\bof_membranes\b|\bself\.rests\b": "grad_spk, grad_mem, final_mem",
    r"\bforeign_teachers\b|\bplain_teachers\b|\bGainNorm\b": "external_teachers, cnn_teachers, BatchRMSNorm",
    r"\b(?:def|lambda) (?:look|observe|sees)\b|\.(?:look|observe|sees)\(": "forward_features, predict, input_kind",
    r"\bplain rule\b|\balways[_-]on\b|\bwith_unit\b|\bif_r\b|--if-r\b": "max-abs scale, bias neuron, if_gain",
    r"\blooped\b|\bLOOPED\b|\b[Cc]ontract\b|\bCONTRACT\b": "recurrence, GraphMetadata, assumptions",
    r"\bmend(?:s|ed|ing)?\b(?!\|)|\bmend=|To mend:": "hint=, Hint:",
    r"\bMissingPart\b|\bCheckFailed\b|\bleft_alone\b|\buncollected\b": "MissingDependencyError, CheckFailedError, ...",
    r"\b[Vv]erdicts?\b|\b[Cc]rew\b|\bstamp\b|\bclass (?:Outcome|Collection)\b": "summary, WorkerPool, mtime_digest",
    r"\b(?:def|lambda) (?:told|said|shown|says?|kept)\b|\.(?:say|said|told)\(": "log, describe, message",
    r"\b(?:told|said|shown|kept)(?:, \w+)* = |\bfor (?:told|said|shown|kept) in\b": "a name for what it holds",
    r"What it takes for what|\bPlaces\b|\bSame spikes (?:in|of|as)\b": "Confusion matrix, entries, Spike equality",
}


def texts() -> dict[str, str]:
    files = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "pyproject.toml", "mkdocs.yml")]
    for folder in FOLDERS:
        files += [file for file in (ROOT / folder).rglob("*") if file.suffix in SUFFIXES and file.is_file()]
    found = {file.relative_to(ROOT).as_posix(): file for file in files if "__pycache__" not in file.parts}
    return {
        name: file.read_text(encoding="utf-8", errors="ignore")
        for name, file in found.items()
        if not name.startswith(EXCEPT)
    }


@pytest.fixture(scope="module")
def everything() -> dict[str, str]:
    return texts()


@pytest.mark.parametrize("word", WORDS)
def test_no_old_word_is_left(word, everything):
    pattern = re.compile(word)
    hits = [
        f"{name}:{number}: {found[0]}"
        for name, text in everything.items()
        for number, line in enumerate(text.split("\n"), 1)
        if (found := pattern.search(line))
    ]
    assert hits == [], f"write instead: {WORDS[word]}"


@pytest.mark.parametrize(
    "line",
    [
        "a TeacherTrainee",
        "def plan_of(recipe):",
        "class Step:",
        "said = str(error)",
        "kept, shift = weights(layer)",
        "for shown in streams:",
        "def told(network):",
        "progress.say(line)",
        'self.output_cell = make(recipe, "dense")',
        "distillation.terms",
        "the device prices no update",
        "[distillation.warp]",
        "if leads():",
    ],
)
def test_the_patterns_find_words(line):
    assert any(re.search(word, line) for word in WORDS)


@pytest.mark.parametrize(
    "line",
    [
        "progress.log(line)",
        "weights that are kept in the file",
        "a part of the data, as it is shown in the report",
        "time.sleep(wait_s)",
        "def wait(process):",
        "the neurons of a loop",
        "MeanOfTerm(step)",
        "recommended, amended",
    ],
)
def test_the_patterns_leave_ordinary_english(line):
    assert not [word for word in WORDS if re.search(word, line)]
