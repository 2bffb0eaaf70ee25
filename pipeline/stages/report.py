"""The stages `profile` and `report`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikeport.export.formats.netx.write import read_netx
from spikeport.export.network.accuracy import Correctness, compare_with_labels
from spikeport.files import atomic_folder, write_text
from spikeport.pipeline.profiling.baseline.rows import BaselineRow
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.profile_trace import profile_trace, sample_energies_on
from spikeport.pipeline.report.content.confusion import confusion
from spikeport.pipeline.report.content.content import SCHEMA, ReportInputs, build_report
from spikeport.pipeline.report.content.csv_tables import class_names, curves_csv, layers_csv, samples_csv, steps_csv
from spikeport.pipeline.report.content.report_json import Report, Warning
from spikeport.pipeline.report.content.training import trainings
from spikeport.pipeline.report.write import render_all
from spikeport.pipeline.run.auto_method import CHOICE, method_title
from spikeport.pipeline.run.gap import LayerGap, gap_line
from spikeport.pipeline.stages.added_epochs import added_epochs
from spikeport.pipeline.stages.auto_students import same_as_own
from spikeport.pipeline.stages.check_result import CheckResult
from spikeport.pipeline.stages.checks import require_whole
from spikeport.pipeline.stages.deploy import trace_of
from spikeport.pipeline.stages.outputs import check_folder
from spikeport.pipeline.stages.report_samples import example_samples, worst_samples
from spikeport.pipeline.stages.result_json import CountsJson, ProfileValues
from spikeport.pipeline.stages.results import (
    ProfileResult,
    ReportResult,
    SimulationResult,
    StageOutput,
    StudentResult,
    TeacherResult,
)
from spikeport.pipeline.stages.runner import stages_of
from spikeport.pipeline.training.epoch_log import METRICS, rows_of_stages
from spikeport.temporaries import scratch
from spikeport.values import Missing

if TYPE_CHECKING:
    from spikeport.pipeline.profiling.early_exit import EarlyExit
    from spikeport.pipeline.report.content.energy_json import EnergyRow
    from spikeport.pipeline.run.health import FindingJson
    from spikeport.pipeline.run.run_folder import RunFolder
    from spikeport.pipeline.run.sections.evaluation import Profile
    from spikeport.pipeline.stages.context import Context

NOT_READ: EarlyExit = {"reason": "this run was profiled before Spikeport looked at it"}
FILES = ("report.json", "report.md", "report.html", "layers.csv", "samples.csv")
STEPS = "steps.csv"  # beside them where it was asked for
CURVES = "curves.csv"  # beside them where the run has a log of its trainings
BASELINE = "baseline.json"
BASELINES = "baselines"  # in the manifest: rows measured elsewhere, for the report


def profile(context: Context) -> StageOutput:
    """Counts, energy on each device, and as baseline the ANNs it is held against, measured here; what was measured is
    kept in baseline.json too."""
    from spikeport.pipeline.profiling.baseline.baseline_file import write_baseline

    result, networks = profile_run(context)
    write_baseline(context.run.file(BASELINE), result["baseline"], context.run.manifest["about"], networks)
    return StageOutput(result=ProfileResult(values=result), files=(BASELINE,))


def profile_run(
    context: Context, *, hardware: tuple[str, ...] = (), baseline_gpu: str | None = None, active_rule: str | None = None
) -> tuple[ProfileValues, dict[str, str]]:
    """What `profile` found, on other devices, another GPU or by another rule if asked for; and the sha256 of each ONNX
    file timed."""
    from spikeport.pipeline.profiling.baseline import gpu_model
    from spikeport.pipeline.profiling.baseline.measure import baseline_rows
    from spikeport.pipeline.profiling.baseline_models import baseline_models
    from spikeport.pipeline.profiling.early_exit import early_exit

    recipe = context.recipe.profile
    network = read_netx(context.run.file("student.net"))
    devices, rule, test = hardware or recipe.hardware, active_rule or recipe.active_rule, context.dataset.test
    trace = trace_of(context)
    counts: CountsJson = profile_trace(network, trace, devices, rule, test.frames, context.dataset.dt_s).to_json()
    early = early_exit(
        network, test.frames, test.labels, trace, devices, rule,
        lambda done, total: context.progress(done, total, "samples, step by step"),
    )  # fmt: skip
    context.progress.log("  measuring the baseline")
    teacher = context.run.file("teacher.onnx") if "teacher.onnx" in context.run.files("export") else None
    with scratch() as folder:
        found = baseline_models(network, teacher, context.dataset, folder)
        gpu = gpu_model.baseline_gpu(baseline_gpu or recipe.baseline_gpu)
        period_us = test.frames.shape[1] * context.dataset.dt_s * 1e6
        result: ProfileValues = {
            **counts,
            "early_exit": early,
            "baseline": baseline_rows(found, gpu, seconds=recipe.baseline_seconds, period_us=period_us),
        }
        timed = {each.name: each.path for each in found if each.path is not None}
        return result, {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in timed.items()}


def report(context: Context) -> StageOutput:
    """report.json, report.md, report.html and the tables beside them, from what the other stages recorded."""
    recipe = context.recipe.profile
    elsewhere = context.run.manifest.get(BASELINES, [])
    written = _write(context, context.run.path, context.run.result("profile"), recipe, elsewhere)
    return StageOutput(result=ReportResult(summary=written["summary"]), files=_files(written, recipe))


def report_elsewhere(
    context: Context,
    folder: Path,
    measured: list[BaselineRow] | None = None,
    profiled: ProfileValues | None = None,
    asked: Mapping[str, object] | None = None,
) -> list[str]:
    """The report of a whole run in another `folder`, the run left as it is; paths of the files. `measured`: rows of
    other machines in place of those kept; `profiled`: an account in place of the run's, of what was `asked` in place of
    keys of its [profile]. Raises UserError where the run is not whole, or the folder holds something else."""
    own = [stage.name for stage in stages_of(context.recipe) if stage.name != "report"]
    require_whole(context.run, own if profiled is None else own[:-1])
    check_folder(folder, (*FILES, STEPS, CURVES), "report", schema=SCHEMA)
    recipe = context.recipe.profile.model_copy(update=asked)
    profile_result = profiled or context.run.result("profile")
    written = _write(context, folder, profile_result, recipe, measured or context.run.manifest.get(BASELINES, []))
    return [str(folder / name) for name in _files(written, recipe)]


def _files(written: Report, asked: Profile) -> tuple[str, ...]:
    """Names of the files of a report."""
    curves = (CURVES,) if "stages" in written.get("training", {}) else ()
    return (*FILES, *curves, *((STEPS,) if asked.per_step else ()))


def _write(
    context: Context, folder: Path, profiled: ProfileValues, asked: Profile, elsewhere: list[BaselineRow]
) -> Report:
    content = build_report(_inputs(context, profiled, elsewhere))
    samples, steps = _samples_csv(context, asked), _steps_csv(context) if asked.per_step else None
    with atomic_folder(folder) as made:
        render_all(content, made)
        write_text(made / "layers.csv", layers_csv(content))
        write_text(made / "samples.csv", samples)
        if CURVES in _files(content, asked):
            write_text(made / CURVES, curves_csv(rows_of_stages(context.run.file(METRICS))))
        if steps is not None:
            write_text(made / STEPS, steps)
    return content


def write_steps(context: Context) -> Path:
    """steps.csv of the test set, and where it stands. Where the run did not count every step, it is simulated again."""
    write_text(context.run.file(STEPS), _steps_csv(context))
    return context.run.file(STEPS)


def _steps_csv(context: Context) -> str:
    from spikeport.export.backends.reference.simulate import simulate

    network, counts = read_netx(context.run.file("student.net")), trace_of(context).step_counts
    if counts is None:
        counts = simulate(network, context.dataset.test.frames, per_step=True).step_counts
    assert counts is not None
    return steps_csv(network, counts)


def _inputs(context: Context, profiled: ProfileValues, elsewhere: list[BaselineRow]) -> ReportInputs:
    run, recipe = context.run, context.recipe
    # The facts come from the manifest: the report needs no recordings but those it shows.
    dataset, check = context.dataset, CheckResult.from_json(run.result("check"))
    own, labels = method_title(run), dataset.test.labels
    methods = {
        own if method == recipe.distillation.method else method: {
            f"student_{kind}": StudentResult.from_json(run.result(f"{stage}-{method}")).predictions.correctness(labels)
            for kind, stage in (("float", "student"), ("quantized", "quantized"))
        }
        for method in recipe.methods
        if not same_as_own(context, method)
    }
    teacher = TeacherResult.from_json(run.result("teacher")).predictions
    reference = SimulationResult.from_json(run.result("simulate")).predictions
    answers: dict[str, Correctness | str] = {
        "teacher": teacher.reason if isinstance(teacher, Missing) else teacher.correctness(labels),
        **methods[own],
        "reference": reference.correctness(labels),
        **{
            name: found.reason
            if isinstance(found, Missing)
            else compare_with_labels(
                labels[list(found.rows)], found.predicted, silent_known=reference.silent is not None
            )
            for name, found in check.backends.items()
        },
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
            "train": len(dataset.train) // dataset.train.windows,
            **({"windows of train": len(dataset.train)} if dataset.train.windows > 1 else {}),
            "validation": len(dataset.validation.labels),
            "test": len(labels),
            "images": len(dataset.static.labels),
        },
        steps=dataset.test.frames.shape[1],
        dt_s=dataset.dt_s,
        window=run.result("data").get("window"),
        answers=answers,
        drawn={
            name: {**found.drawn} if found.drawn else {"rows": list(found.rows)}
            for name, found in check.compared().items()
        },
        methods=methods,
        equivalence=check.to_json()["comparisons"],
        layers=profiled["layers"],
        quantization=run.result("export")["quantization"],
        energy=profiled["energy"],
        early_exit=profiled.get("early_exit", NOT_READ),
        baseline=_baseline(profiled["baseline"], elsewhere),
        samples=example_samples(context, np.array(reference.classes)),
        mistakes=worst_samples(context, np.array(reference.classes)),
        warnings=warnings_of(run),
        choice=run.manifest["stages"].get(CHOICE, {}).get("result"),
        training=trainings(rows_of_stages(run.file(METRICS)), dataset.validation.labels, dataset.classes, _gaps(run)),
        confusion=confusion(labels, np.array(reference.classes), len(dataset.classes)),
        provenance={
            **about,
            **_started_from(run),
            **({"added_epochs": added} if (added := added_epochs(run)) else {}),
            "seeds": {"training": recipe.seed, "split": recipe.data.split_seed},
            "profiles": profile_digests(profiled["energy"]),
        },
    )


def warnings_of(run: RunFolder) -> list[Warning]:
    """What the stages that ran found wrong with networks, see pipeline.run.health; nothing of an older Spikeport's."""
    warnings: list[Warning] = []
    for stage, entry in run.manifest["stages"].items():
        findings: list[FindingJson] = entry["result"].get("findings", [])
        for found in findings:
            warning: Warning = {"stage": stage, **found}
            warnings.append(warning)
    return warnings


def _gaps(run: RunFolder) -> dict[str, list[str]]:
    """The domain gap of each training that has one, as a sentence."""
    found = {stage: entry["result"].get("gap") for stage, entry in run.manifest["stages"].items()}
    return {stage: [f"{gap_line([LayerGap(**layer) for layer in gap])}."] for stage, gap in found.items() if gap}


def _started_from(run: RunFolder) -> dict[str, dict[str, str]]:
    """What each training was started from, if weights of another run."""
    found = {stage: entry["result"].get("started_from", "") for stage, entry in run.manifest["stages"].items()}
    started = {stage: text for stage, text in found.items() if text}
    return {"started_from": started} if started else {}


def profile_digests(energy: list[EnergyRow]) -> dict[str, str]:
    """SHA-256 of the hardware profile of each row, by device."""
    return {row["hardware"]: profile["sha256"] for row in energy if (profile := row.get("profile"))}


def _baseline(own: list[BaselineRow] | str, elsewhere: list[BaselineRow]) -> list[BaselineRow] | str:
    """What this run measured (older ones say in words why they did not), and what other machines did."""
    return ([] if isinstance(own, str) else own) + elsewhere if elsewhere else own


def _samples_csv(context: Context, asked: Profile) -> str:
    run, test, own = context.run, context.dataset.test, context.recipe.distillation.method
    stages: dict[str, Iterable[int]] = {
        "label": test.labels,
        "student_float": StudentResult.from_json(run.result(f"student-{own}")).predictions.classes,
        "student_quantized": StudentResult.from_json(run.result(f"quantized-{own}")).predictions.classes,
        "reference": SimulationResult.from_json(run.result("simulate")).predictions.classes,
    }
    names = context.dataset.classes
    classes = {stage: class_names(numbers, names) for stage, numbers in stages.items()}
    for backend, check in CheckResult.from_json(run.result("check")).backends.items():
        column = classes[backend] = [None] * len(test.keys)
        if not isinstance(check, Missing):
            for row, name in zip(check.rows, class_names(check.predicted, names), strict=True):
                column[row] = name
    network = read_netx(run.file("student.net"))
    activity = count_activity(network, trace_of(context), test.frames)
    found = sample_energies_on(network, activity, asked.hardware, asked.active_rule)
    return samples_csv(test.keys, classes, activity, found, test.frames)
