"""Kills a small run at seeded times in all stages and resumes it. The result must have the same bytes as an undisturbed
run.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hostile_inputs import small_run, warm

Count = Callable[[str, warm.ProcessResult, list[str]], None]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EACH = 8  # most kills of one run
_STAGE = re.compile(r"^\[(\d+)/\d+\] .*(?<!: done before)$", re.MULTILINE)


def killed(folder: Path, whole: Path, kills: int, seed: int, count: Count) -> Counter[str]:
    """Kills runs, resumes them, and compares each finished run with an undisturbed one.

    Args:
        folder: folder for the runs.
        whole: the undisturbed run.
        kills: number of kills in all.
        seed: seed of stages and times.
        count: called with the name, the result and the faults of each process.

    Returns:
        Number of kills in each stage.
    """
    rng = random.Random(seed)
    seconds = small_run.stages(whole)
    met: Counter[str] = Counter()
    number = 0
    while met.total() < kills:
        place = folder / f"run-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shutil.copyfile(whole.parent / "r.toml", place / "r.toml")
        left = kills - met.total()
        wanted = sorted(rng.sample(range(len(seconds)), k=min(EACH, left, len(seconds))))
        for at in wanted:
            how, name = SIGNALS[met.total() % len(SIGNALS)], list(seconds)[at]
            outcome, stage = _kill(place, at, rng.random() * seconds[name], how)
            if outcome.code == 0:
                break  # it finished before the kill
            stage = list(seconds)[stage]
            met[stage] += 1
            count(f"{how.name} in {stage}, run {number}", outcome, _wrong(outcome, how))
        outcome = small_run.make(place, place / "home", "--resume")
        found = small_run.ended_as(whole, place / "run", outcome)
        count(f"the end of run {number}", outcome, found)
        if not found:
            shutil.rmtree(place)
        number += 1
    return met


def _kill(place: Path, stage: int, after_s: float, how: signal.Signals) -> tuple[warm.ProcessResult, int]:
    """Starts or resumes the run and kills it `after_s` seconds after `stage` began. Also returns its stage then."""
    home = place / "home"
    child = warm.start([word for word in small_run.words("run", "--resume") if word != "-q"], place, home)
    while (at := _stage(home)) < stage:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return warm.wait(child, home, small_run.PATIENCE_S), at
        time.sleep(0.002)
    time.sleep(after_s)
    at = _stage(home)
    if not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        os.kill(child, how)
    return warm.wait(child, home, small_run.PATIENCE_S), max(at, 0)


def _stage(home: Path) -> int:
    """Index of the current stage of the process in `home`; -1 before the first stage."""
    found = _STAGE.findall((home / "err").read_text(errors="replace")) if (home / "err").is_file() else []
    return int(found[-1]) - 1 if found else -1


def _wrong(outcome: warm.ProcessResult, how: signal.Signals) -> list[str]:
    """Faults of a killed command: wrong exit code, no hint on resuming (except after SIGKILL), remaining processes."""
    output = outcome.err.decode(errors="replace")
    if how is signal.SIGKILL:
        return [] if outcome.code == -how else [f"exit code {outcome.code} after {how.name}"]
    found = [] if outcome.code == 128 + how else [f"exit code {outcome.code} after {how.name}: {output[-200:]!r}"]
    if "--resume" not in output:
        found.append(f"no hint on resuming after {how.name}")
    if "Traceback" in output:
        found.append(f"traceback: {output.strip().splitlines()[-1][:200]}")
    if outcome.stopped:
        found.append(f"hang: {how.name} did not end it")
    if outcome.left:
        found.append(f"{len(outcome.left)} processes left")
    return found
