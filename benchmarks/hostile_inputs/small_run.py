"""A small run with every stage, which other modules kill, starve of disk space, or damage."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from hostile_inputs import warm

RECIPE = """name = "small"
[data]
source = "digits"
height = 16
width = 18
steps = 5
train = 60
validation = 20
test = 30
[teacher]
epochs = 1
[student]
channels = [4, 6]
[distillation]
method = "synthetic-events"
[synthesis]
simulator_pretrain_epochs = 1
updates = 8
pretrain_epochs = 1
[training]
epochs = 2
threads = 1
[quantization]
epochs = 1
[check]
backends = ["lava"]
samples = 2
[profile]
baseline_seconds = 0.05
"""
MEASURED = ("baseline.json", "manifest.json", "metrics.jsonl", "report.html", "report.md", "report.json", ".lock")
PATIENCE_S = 600.0


def words(out: str, *more: str) -> list[str]:
    """Arguments of the command that makes the run.

    Args:
        out: the run folder.
        *more: further arguments.
    """
    return ["run", "r.toml", "--out", out, "-q", *more]


def make(folder: Path, home: Path, *more: str) -> warm.ProcessResult:
    """Makes or resumes the run in `folder`/run with the recipe in `folder`.

    Args:
        folder: the working folder of the command.
        home: folder for its output, cache and temporary files.
        *more: further arguments.
    """
    return warm.wait(warm.start(words("run", *more), folder, home), home, PATIENCE_S)


def undisturbed(keep: Path, *, lava: bool = True) -> Path:
    """The undisturbed run, made once for each folder of results and version of the code.

    Args:
        keep: folder of results.
        lava: whether the run has the comparison with Lava.
    """
    place = keep / ("undisturbed" if lava else "undisturbed-no-lava")
    made_by = place / "code"
    if not made_by.is_file() or made_by.read_text() != _code():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / "r.toml").write_text(RECIPE if lava else RECIPE.replace('["lava"]', "[]"))
        done = make(place, place / "home")
        if done.code:
            raise SystemExit(f"the undisturbed run failed with {done.code}: {done.err.decode(errors='replace')}")
        made_by.write_text(_code())
    return place / "run"


def stages(run: Path) -> dict[str, float]:
    """Duration of each stage of a run in s, in order.

    Args:
        run: the run folder.
    """
    found = json.loads((run / "manifest.json").read_text())["stages"]
    return {name: entry["seconds"] for name, entry in found.items()}


def without_timings(value: Any) -> Any:
    """A JSON value without entries that differ between any two runs, such as times.

    Args:
        value: the JSON value.
    """
    if isinstance(value, dict):
        clocks = ("seconds", "baseline", "provenance", "created_utc", "command", "about")
        return {key: without_timings(entry) for key, entry in value.items() if key not in clocks}
    return [without_timings(entry) for entry in value] if isinstance(value, list) else value


def differences(run: Path, whole: Path) -> list[str]:
    """Files that differ between two runs, or that only one of them has. Times and measured baselines are not compared.

    Args:
        run: the run folder.
        whole: the undisturbed run.
    """
    found = []
    names = {str(path.relative_to(folder)) for folder in (run, whole) for path in folder.rglob("*") if path.is_file()}
    for name in sorted(names):
        one, other = run / name, whole / name
        if not one.is_file() or not other.is_file():
            found.append(f"{name} is {'missing' if other.is_file() else 'left over'}")
        elif name in ("report.json", "metrics.jsonl"):
            rows = [[json.loads(line) for line in path.read_text().splitlines()] if name != "report.json"
                    else json.loads(path.read_text()) for path in (one, other)]  # fmt: skip
            if without_timings(rows[0]) != without_timings(rows[1]):
                found.append(f"{name} has other values")
        elif name not in MEASURED and hash_of(one) != hash_of(other):
            found.append(f"{name} has other bytes")
    return found


def ended_as(whole: Path, run: Path, outcome: warm.ProcessResult) -> list[str]:
    """Faults of a resumed run: those of its process, and differences to the undisturbed run.

    Args:
        whole: the undisturbed run.
        run: the run folder.
        outcome: result of the process.
    """
    found = warm.violations(outcome, PATIENCE_S, (0,))
    return found if outcome.code else found + differences(run, whole)


def rewind(run: Path, stage: str) -> None:
    """Removes a stage and all later stages with their files, as if the run had been stopped before.

    Args:
        run: the run folder.
        stage: name of the stage.
    """
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    names = list(manifest["stages"])
    done_before = names[: names.index(stage)]
    for name in names[len(done_before) :]:
        for file in manifest["stages"].pop(name)["files"]:
            (run / file).unlink(missing_ok=True)
    path.write_text(json.dumps(manifest, indent=2) + "\n")
    metrics = run / "metrics.jsonl"
    if not done_before:
        metrics.unlink()
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
        return
    rows = [line for line in metrics.read_text().splitlines(keepends=True) if json.loads(line)["stage"] in done_before]
    metrics.write_text("".join(rows))


@cache
def _code() -> str:
    """Hash of the source code. Runs of different versions may differ in bytes."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent.parent
    for path in sorted(
        path for part in ("pipeline", "export", "hardware_profiles") for path in (root / part).rglob("*")
    ):
        if path.suffix in (".py", ".toml", ".html", ".css", ".js"):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def hash_of(path: Path) -> str:
    """SHA-256 of a file.

    Args:
        path: the file.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
