"""The stages that account and tell: profile, report."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.answers import Answers, held_against
from export.files import atomic_folder, write_text
from export.netx import read_netx
from hardware_profiles.profile import load_profile
from pipeline.pricing import accounts, priced
from pipeline.profiling.counts import count_activity
from pipeline.report import render_all
from pipeline.report.confusion import confusion
from pipeline.report.content import ReportInputs, build_report
from pipeline.report.csv_tables import class_names, layers_csv, samples_csv, steps_csv
from pipeline.report.samples import Sample, choose_samples
from pipeline.stages_deploy import lava_sample, trace_of

if TYPE_CHECKING:
    from pipeline.stages import Context, Result

NOT_READ = {"reason": "this run was profiled before Spikeport looked at it"}
BASELINE = "baseline.json"
BASELINES = "baselines"  # in the manifest: rows measured elsewhere, for the report


def profile(context: Context) -> Result:
    """Counts, energy on each device, and as baseline the ANNs it is held against, measured here; what was measured is
    kept in baseline.json too."""
    from pipeline.profiling.baseline_file import write_baseline

    result, networks = account_of(context)
    write_baseline(context.run.file(BASELINE), result["baseline"], context.run.manifest["about"], networks)
    return result, (BASELINE,)


def account_of(
    context: Context, *, hardware: tuple[str, ...] = (), baseline_gpu: str | None = None, active_rule: str | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """What `profile` found, on other devices, another GPU or by another rule if asked for; and the sha256 of each ONNX
    file timed."""
    from pipeline.baseline_models import rivals
    from pipeline.early_reading import early_readings
    from pipeline.profiling.baseline import baseline_rows

    recipe = context.recipe.profile
    network = read_netx(context.run.file("student.net"))
    devices, rule, test = hardware or recipe.hardware, active_rule or recipe.active_rule, context.dataset.test
    trace = trace_of(context)
    result = priced(network, trace, devices, rule, test.frames)
    result["early"] = early_readings(
        network, test.frames, test.labels, trace, devices, rule,
        lambda done, total: context.progress(done, total, "samples, step by step"),
    )  # fmt: skip
    context.progress.say("  measuring the baseline")
    teacher = context.run.file("teacher.onnx") if "teacher.onnx" in context.run.files("export") else None
    with tempfile.TemporaryDirectory() as folder:
        found = rivals(network, teacher, context.dataset, Path(folder))
        gpu = load_profile(baseline_gpu or recipe.baseline_gpu)
        result["baseline"] = baseline_rows(found, gpu, seconds=recipe.baseline_seconds)
        timed = {each.name: each.path for each in found if each.path is not None}
        return result, {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in timed.items()}


def report(context: Context) -> Result:
    """report.json, report.md, report.html and the tables beside them, from what the other stages recorded."""
    content, samples = build_report(_inputs(context)), _samples_csv(context)
    with atomic_folder(context.run.path) as made:
        render_all(content, made)
        write_text(made / "layers.csv", layers_csv(content))
        write_text(made / "samples.csv", samples)
    files = ("report.json", "report.md", "report.html", "layers.csv", "samples.csv")
    steps = (write_steps(context).name,) if context.recipe.profile.per_step else ()
    return {"verdict": content["verdict"]}, (*files, *steps)


def write_steps(context: Context) -> Path:
    """steps.csv of the test set, and where it stands. Where the run did not count every step, it is simulated again."""
    from export.reference import simulate

    network, counts = read_netx(context.run.file("student.net")), trace_of(context).step_counts
    if counts is None:
        counts = simulate(network, context.dataset.test.frames, per_step=True).step_counts
    assert counts is not None
    write_text(context.run.file("steps.csv"), steps_csv(network, counts))
    return context.run.file("steps.csv")


def _inputs(context: Context) -> ReportInputs:
    run, recipe = context.run, context.recipe
    # The facts come from the manifest: the report needs no recordings but those it shows.
    dataset, profiled, check = context.dataset, run.result("profile"), run.result("check")
    own = recipe.distillation.method
    labels = dataset.test.labels
    arms = {
        method: {
            f"student_{kind}": _answers(labels, run.result(f"{stage}-{method}"))
            for kind, stage in (("float", "student"), ("quantised", "quantised"))
        }
        for method in recipe.arms
    }
    teacher, lava = run.result("teacher"), check["lava_predicted"]
    predicted = np.array(run.result("simulate")["predicted"])
    answers: dict[str, Answers | str] = {
        "teacher": teacher["reason"] if teacher["predicted"] is None else _answers(labels, teacher),
        **arms[own],
        "reference": _answers(labels, run.result("simulate")),
        "lava": check["reference_vs_lava"]
        if lava is None
        else held_against(labels[_lava_rows(check)], lava, counted="silent" in run.result("simulate")),
    }
    about = run.manifest["about"]
    return ReportInputs(
        name=recipe.name,
        method=own,
        dataset_name=dataset.name,
        dataset_description=dataset.description,
        dataset_fingerprint=dataset.fingerprint,
        simulated=dataset.simulated,
        classes=dataset.classes,
        split_sizes={
            "train": len(dataset.train.labels),
            "validation": len(dataset.validation.labels),
            "test": len(labels),
            "static": len(dataset.static.labels),
        },
        steps=dataset.test.frames.shape[1],
        dt_s=dataset.dt_s,
        window=run.result("data").get("window"),
        answers=answers,
        drawn={} if lava is None else {"lava": lava_sample(check) or {"rows": _lava_rows(check)}},
        arms=arms,
        equivalence={key: check[key] for key in ("quantised_vs_reference", "reference_vs_lava")},
        layers=profiled["layers"],
        quantisation=run.result("export")["quantisation"],
        energy=profiled["energy"],
        early=profiled.get("early", NOT_READ),
        baseline=_baseline(profiled["baseline"], run.manifest.get(BASELINES, [])),
        samples=_samples(context, predicted),
        confusion=confusion(labels, predicted, len(dataset.classes)),
        provenance={
            **about,
            "seeds": {"training": recipe.seed, "split": recipe.data.split_seed},
            "profiles": {row["hardware"]: row["profile"]["sha256"] for row in profiled["energy"]},
        },
    )


def _answers(labels: np.ndarray, result: dict[str, Any]) -> Answers:
    """Of a stage's `answers.told`; one of an older Spikeport did not tell silent recordings from class 0."""
    return held_against(labels, result["predicted"], counted="silent" in result)


def _lava_rows(check: dict[str, Any]) -> list[int]:
    """Which test recordings `lava_predicted` is of; an older Spikeport took the first ones."""
    drawn, predicted = lava_sample(check), check["lava_predicted"] or ()
    return list(range(len(predicted))) if drawn is None else drawn["rows"]


def _baseline(own: list[dict[str, Any]] | str, elsewhere: list[dict[str, Any]]) -> list[dict[str, Any]] | str:
    """What this run measured (older ones say in words why they did not), and what other machines did."""
    return ([] if isinstance(own, str) else own) + elsewhere if elsewhere else own


def _samples_csv(context: Context) -> str:
    run, test, own = context.run, context.dataset.test, context.recipe.distillation.method
    stages = {
        "label": test.labels,
        "student_float": run.result(f"student-{own}")["predicted"],
        "student_quantised": run.result(f"quantised-{own}")["predicted"],
        "reference": run.result("simulate")["predicted"],
    }
    names = context.dataset.classes
    classes = {stage: class_names(numbers, names) for stage, numbers in stages.items()}
    classes["lava"] = [None] * len(test.keys)
    check = run.result("check")
    for row, number in zip(_lava_rows(check), check["lava_predicted"] or (), strict=True):
        (classes["lava"][row],) = class_names([number], names)
    network, recipe = read_netx(run.file("student.net")), context.recipe.profile
    activity = count_activity(network, trace_of(context), test.frames)
    found = accounts(network, activity, recipe.hardware, recipe.active_rule)
    return samples_csv(test.keys, classes, activity, found)


def _samples(context: Context, predicted: np.ndarray) -> list[Sample]:
    test, spikes = context.dataset.test, trace_of(context).spikes
    return [
        Sample(
            key=test.keys[row],
            label=int(test.labels[row]),
            predicted=int(predicted[row]),
            frames=test.frames[row],
            output_spikes=spikes[row],
            image=None if test.twins is None else test.twins.images[row],
        )
        for row in choose_samples(test.labels, predicted)
    ]
