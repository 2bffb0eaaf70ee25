"""Runs the trials of a sweep with Optuna. Its journal file is the queue and the record, so a sweep can be resumed.

Optuna is used and not Ray: its wheels have 5 MB and not 147 MB, it needs no daemon, and its journal is JSON lines, so
nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.errors import UserError
from spikeport.pipeline.sweep.plan import Trial
from spikeport.pipeline.sweep.sharing import share_stages
from spikeport.pipeline.sweep.trial import TrialResult, finish_trial, start_trial, trial_result

if TYPE_CHECKING:
    import optuna

JOURNAL = "journal.jsonl"
STUDY = "sweep"
Done = Callable[[Trial, "TrialResult | UserError"], None]


def run_trials(recipe: Path, trials: Sequence[Trial], out: Path, *, jobs: int, done: Done, verb: str = "train") -> None:
    """Runs the unfinished trials, each as `spikeport <verb>` in its own folder.

    A trial that fails does not stop the others. Ctrl-C stops all trials and is raised again.

    Args:
        recipe: the recipe's file.
        trials: all trials of the sweep.
        out: the sweep's folder, with a folder for each trial.
        jobs: trials at a time.
        done: called once for each trial with its result or error, from one thread at a time; at once for finished
            trials.
        verb: `train` or `run`.
    """
    left = {}
    for trial in trials:
        result = trial_result(out / trial.name, verb)
        if result is None:
            left[trial.name] = trial
        else:
            done(trial, result)
    if left:
        _WorkerPool(recipe, left, [trial.name for trial in trials], out, jobs=jobs, done=done, verb=verb).work()


def open_study(out: Path) -> optuna.Study:
    """Opens the Optuna study of the sweep in `out`, or makes a new one.

    Args:
        out: the folder of the sweep.

    Raises:
        UserError: the journal is damaged.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = str(out / JOURNAL)
    backend = JournalFileBackend(file, lock_obj=JournalFileOpenLock(file))
    try:
        return optuna.create_study(
            study_name=STUDY, storage=JournalStorage(backend), direction="maximize", load_if_exists=True
        )
    except ValueError as error:
        raise UserError(
            "the sweep's journal is damaged",
            where=file,
            cause=str(error),
            hint="remove it; with --resume finished trials are read from their folders",
        ) from error


class _WorkerPool:
    """Worker threads: each takes a trial from the queue, waits for its process, and records its result."""

    def __init__(
        self,
        recipe: Path,
        left: Mapping[str, Trial],
        names: Sequence[str],
        out: Path,
        *,
        jobs: int,
        done: Done,
        verb: str,
    ) -> None:
        self.recipe, self.left, self.out, self.done, self.verb = recipe, left, out, done, verb
        self.folders = [out / name for name in names]
        self.jobs = min(jobs, len(left))
        self.threads = max(1, (os.cpu_count() or 1) // self.jobs)
        self.lock = threading.Lock()
        self.stopped = False
        self.processes: set[subprocess.Popen] = set()
        self.study = open_study(out)
        self._queue()

    def work(self) -> None:
        with ThreadPoolExecutor(self.jobs) as pool:
            workers = [pool.submit(self._worker) for _ in range(self.jobs)]
            try:
                for worker in workers:
                    worker.result()
            except BaseException:
                self._stop()
                raise

    def _queue(self) -> None:
        from optuna.trial import TrialState

        for stale in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(stale.number, state=TrialState.FAIL)  # the sweep was killed while it ran
        waiting = {entry.user_attrs["trial"] for entry in self.study.get_trials(states=(TrialState.WAITING,))}
        for name, trial in self.left.items():
            if name not in waiting:
                facts = {"trial": name, "changes": trial.setting.changes, "seed": trial.seed, "fold": trial.fold}
                self.study.enqueue_trial({}, user_attrs=facts)

    def _next(self) -> tuple[optuna.Trial, Trial] | None:
        from optuna.trial import TrialState

        with self.lock:
            while not self.stopped and self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                entry = self.study.ask()
                trial = self.left.get(entry.user_attrs["trial"])
                if trial is not None:
                    return entry, trial
                self.study.tell(entry, state=TrialState.PRUNED)  # queued by an earlier sweep with more trials
        return None

    def _worker(self) -> None:
        while (taken := self._next()) is not None:
            self._one(*taken)

    def _one(self, entry: optuna.Trial, trial: Trial) -> None:
        from optuna.trial import TrialState

        folder = self.out / trial.name
        with self.lock:
            if self.stopped:
                return
            share_stages(self.recipe, trial.changes, folder, self.folders)
            process = start_trial(self.recipe, trial.changes, folder, threads=self.threads, verb=self.verb)
            self.processes.add(process)
        try:
            found: TrialResult | UserError = finish_trial(process, folder, self.verb)
        except UserError as error:
            found = error
        with self.lock:
            self.processes.discard(process)
            if self.stopped:
                return
            if isinstance(found, TrialResult):
                self.study.tell(entry, found.accuracy_quantized)
            else:
                self.study.tell(entry, state=TrialState.FAIL)
            self.done(trial, found)

    def _stop(self) -> None:
        with self.lock:
            self.stopped = True
            for process in self.processes:
                with contextlib.suppress(OSError):
                    process.send_signal(signal.SIGTERM)
