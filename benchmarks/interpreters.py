"""Installs the wheel with each Python of the machine that Spikeport supports, and runs the embedded digits with it.

python benchmarks/interpreters.py [--keep FOLDER]

For each of Python 3.11, 3.12 and 3.13 that `pythonX.Y` or pyenv finds: a fresh environment, the wheel with the versions
of constraints.txt, Lava in its own environment, and one run with tiny settings. Everything runs in a folder that has
modules `pipeline`, `export` and `typer` of its own. Packages are downloaded once each (gigabytes, where pip finds torch
with CUDA only). The result is docs/results/interpreters.txt.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from spikeport.files import write_text

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "interpreters.txt"
VERSIONS = ("3.11", "3.12", "3.13")
TINY = {"teacher.epochs": 1, "training.epochs": 2, "quantization.epochs": 1, "check.samples": 2}
SHADOWS = ("pipeline/__init__.py", "export.py", "typer.py")
PROBE = """
import json, sys
from pathlib import Path
import spikeport, torch
report = json.loads(Path("run/report.json").read_text())
compared = report["equivalence"]["comparisons"]
print(json.dumps({"python": sys.version.split()[0], "torch": torch.__version__, "equivalence": compared}))
"""
LIGHT = "import sys, spikeport; sys.exit('torch' in sys.modules)"


def interpreter(version: str) -> Path | None:
    """The newest interpreter of a version that runs here: of pyenv, or on the path; None without one."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python"), key=lambda path: [int(n) for n in path.parts[-3].split(".")])
    candidates = [*reversed(found), Path(shutil.which(f"python{version}") or "")]
    for path in candidates:
        if path.is_file() and run([path, "-c", "import venv, ensurepip, sqlite3"], check=False).returncode == 0:
            return path
    return None


def run(words: list[object], *, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a command; its last lines become the error where it must not fail and does."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)
    if check and done.returncode:
        raise SystemExit(
            f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done


def build(folder: Path) -> Path:
    """The wheel of this checkout, made from a copy of its files."""
    copy = folder / "source"
    for name in run(["git", "ls-files"], cwd=ROOT).stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, copy])
    (wheel,) = folder.glob("spikeport-*.whl")
    return wheel


def try_interpreter(python: Path, wheel: Path, packages: Path, folder: Path) -> str:
    """One line about the wheel with this interpreter.

    Args:
        python: the interpreter.
        wheel: Spikeport's wheel.
        packages: where downloaded packages are kept.
        folder: an empty folder for the environment and the run.
    """
    begun = time.perf_counter()
    pip = [python, "-m", "pip", "--disable-pip-version-check", "-q"]
    run([*pip, "download", "-d", packages, "-c", ROOT / "constraints.txt", "--find-links", packages, wheel])
    run([*pip, "download", "-d", packages, "--find-links", packages, "setuptools", "wheel"])  # builds source archives
    environment = folder / "environment"
    run([python, "-m", "venv", environment])
    inside = environment / "bin" / "python"
    run([inside, *pip[1:], "install", "--no-index", "--find-links", packages, "-c", ROOT / "constraints.txt", wheel])
    installed = time.perf_counter() - begun
    work = folder / "work"
    for name in SHADOWS:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("raise SystemExit('this is not the module of Spikeport')\n")
    options = {"cwd": work, "env": os.environ | {"SPIKEPORT_CACHE": str(folder / "cache")}}
    run([inside, "-P", "-c", LIGHT], **options)
    command = environment / "bin" / "spikeport"
    run([command, "lava", "install"], **options)
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    run([command, "run", "digits", "--out", work / "run", "-q", *settings], **options)
    found = json.loads(run([inside, "-P", "-c", PROBE], **options).stdout)
    compared = []
    for pair, row in found["equivalence"].items():
        if row["mismatches"] != 0:
            raise SystemExit(f"{python}: {pair}: {row}")
        compared.append(f"{pair}: {row['mismatches']} of {row['spikes_compared']:,}")
    seconds = time.perf_counter() - begun
    return (
        f"python {found['python']:8} torch {found['torch']:14} spikes that differ: {'; '.join(compared)}   "
        f"{installed:.0f} s to install, {seconds:.0f} s in all"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keep", type=Path, help="keeps environments, packages and runs in this folder")
    parser.add_argument("--versions", nargs="*", default=VERSIONS, choices=VERSIONS)
    words = parser.parse_args()
    folder = words.keep or Path(tempfile.mkdtemp(prefix="spikeport-interpreters-"))
    folder.mkdir(parents=True, exist_ok=True)
    packages = folder / "packages"
    packages.mkdir(exist_ok=True)
    lines = []
    try:
        wheel = build(folder)
        for version in words.versions:
            python = interpreter(version)
            place = folder / version
            if python is None:
                lines.append(f"python {version}: not on this machine")
            else:
                place.mkdir()
                lines.append(try_interpreter(python, wheel, packages, place))
                if words.keep is None:
                    shutil.rmtree(place)
            print(lines[-1], flush=True)
    finally:
        if words.keep is None:
            shutil.rmtree(folder)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = (
        f"python benchmarks/interpreters.py\n{now}; {os.cpu_count()} cores, {platform.system()} {platform.machine()}\n"
    )
    settings = ", ".join(f"{key}={value}" for key, value in TINY.items())
    reported = (
        f"The wheel in a fresh environment of each interpreter, Lava 0.10.0 in its own; digits with {settings}.\n"
    )
    write_text(RESULT, "\n".join((head, reported, *lines, "")))


if __name__ == "__main__":
    main()
