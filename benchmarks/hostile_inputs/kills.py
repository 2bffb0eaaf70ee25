"""Kills at seeded moments over all stages of a small run, each let go on; at the end the undisturbed run's bytes."""

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
EACH = 8  # kills of one run, before it may come to its end
_STAGE = re.compile(r"^\[(\d+)/\d+\] .*(?<!: done before)$", re.MULTILINE)


def killed(folder: Path, whole: Path, kills: int, seed: int, count: Count) -> Counter[str]:
    """Disturbs runs `kills` times and holds each run that came to its end against `whole`. Tells `count` of every
    process; gives how many kills each stage met."""
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
                break  # it came to its end first
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
    """Starts or continues the run and kills it so long after `stage` began; also gives the stage that it met."""
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
    """The number of the stage that the process in `home` is in, from 0; -1 before the first."""
    found = _STAGE.findall((home / "err").read_text(errors="replace")) if (home / "err").is_file() else []
    return int(found[-1]) - 1 if found else -1


def _wrong(outcome: warm.ProcessResult, how: signal.Signals) -> list[str]:
    """What a killed command did that it may not do: the signal's exit code, a word unless it was SIGKILL, none left."""
    output = outcome.err.decode(errors="replace")
    if how is signal.SIGKILL:
        return [] if outcome.code == -how else [f"exit code {outcome.code} after {how.name}"]
    found = [] if outcome.code == 128 + how else [f"exit code {outcome.code} after {how.name}: {output[-200:]!r}"]
    if "--resume" not in output:
        found.append(f"no word of how to go on after {how.name}")
    if "Traceback" in output:
        found.append(f"traceback: {output.strip().splitlines()[-1][:200]}")
    if outcome.stopped:
        found.append(f"hang: {how.name} did not end it")
    if outcome.left:
        found.append(f"{len(outcome.left)} processes left")
    return found
