"""Names and texts use the terms of the field: distinctive words of an earlier dialect do not come back.

Ordinary English that was also a private name (part, wait, share, kept, said) is not listed.
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
    r"\w*[Tt]rainees?\b|\b\w+Trainee\b": "training task",
    r"\b[Qq]uantis\w+|\b[Oo]ptimis\w+|\b[Bb]ehaviours?\b": "US spelling",
    r"\bfine_tune\b": "qat_finetune",
    r"\bworld_of\b|\bshared_statistics\b|\bnarrow_forwards\b": "world_size, sync_batch_norm, autocast_forwards",
    r"\boptimi[sz]er_of\b|\blearning_rate_factor\b|\blr_start\b|\blr_end\b": "build_optimizer, min_lr_factor, ...",
    r"\bEventFiles\b|\bwhich_tested\b": "TensorBoardWriter, test_set_digest",
    r"\bin_both\b|\btally\b|\bunpriced\b|\bpricing\b|\brivals\b": "estimate_energy, unknown_terms, baseline models",
    r"\bcamera_(?:epochs|weights)\b|\bstart_(?:epochs|batch|lr|recordings)\b|\blater_(?:epochs|lr)\b": "[synthesis]",
    r"\bturn_degrees\b|\bfirst lessons\b": "degrees, pretraining",
    r"\bTERM_FILES\b|\bdistillation\.terms\b|\bplan_of\b|\bevents_alone\b": "LOSSES, distillation.losses, method_spec",
    r"\bdistils\b": "distills, uses_teacher",
    r"\bprojected_feature\b|\bda_(?:weight|debiased|learnable)\b": "feature_kd, cka_*",
    r"\bcells_of\b|\bnorm_of\b|\bof_spikes\b|\bof_membranes\b|\bslow currents?\b": "make_neurons, synaptic current",
    r"\bforeign_teachers\b|\bplain_teachers\b|\bGainNorm\b": "external_teachers, cnn_teachers, BatchRMSNorm",
    r"\bplain rule\b|\balways[_-]on\b|\bwith_unit\b|\bif_r\b|--if-r\b": "max-abs scale, bias neuron, if_gain",
    r"\bmend=|To mend:": "hint=, Hint:",
    r"\bMissingPart\b|\bCheckFailed\b|\bleft_alone\b|\buncollected\b": "MissingDependencyError, CheckFailedError, ...",
    r"\bclass (?:Crew|Outcome|Voice|Teaching|Collection)\b": "WorkerPool, TrialResult, TargetKind, ...",
    r"What it takes for what|\bRead earlier\b|\bANN twin\b": "Confusion matrix, Accuracy over time steps, ...",
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


def test_the_patterns_find_words():
    assert re.search(next(iter(WORDS)), "a TeacherTrainee")
    assert any(re.search(word, "def plan_of(recipe):") for word in WORDS)
