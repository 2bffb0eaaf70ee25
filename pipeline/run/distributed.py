"""Training with several processes: ranks, the process group, barriers.

Rank 0 alone writes files, reports, and continues after the training; the workers run the training stages with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from spikeport.errors import UserError
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.run.worker_processes import WorkerProcesses

SETTINGS = "training.devices, training.nodes"
_RANKS, _WORLDS = ("RANK", "SLURM_PROCID", "LOCAL_RANK"), ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
PRINTED_S = 30.0  # in which rank 0 prints why the processes end

_workers: WorkerProcesses | None = None  # those that this process has started


def world_size(training: Training) -> int:
    """Number of processes that train together.

    Args:
        training: `[training]` of the recipe.
    """
    return training.devices * training.nodes


def is_worker(training: Training) -> bool:
    """Whether this process has a rank above 0, by its environment variables.

    Args:
        training: `[training]` of the recipe.
    """
    return world_size(training) > 1 and _number(_RANKS) > 0


@contextlib.contextmanager
def process_group(training: Training) -> Iterator[None]:
    """A block in which all processes of a training are connected.

    With one process it does nothing. The workers are started here, by torchrun or by SLURM; those that are started here
    run the same command and end with this process.

    Args:
        training: the recipe's section [training], with `devices` and `nodes`.

    Raises:
        UserError: a launcher started another number of processes, several machines have no launcher, or a worker
            ended.
    """
    world = world_size(training)
    if world == 1:
        yield
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns of weights that only some methods use
    started = _number(_WORLDS, default=0)
    if started not in (0, 1, world):
        if _number(_RANKS) > 0:  # a launcher ends all processes with the first, and rank 0 is the one that prints
            time.sleep(PRINTED_S)
        raise UserError(
            f"{started} processes were started for a training of {world}",
            where=SETTINGS,
            hint="start devices x nodes processes; see docs/reference/training.md",
        )
    if started != world and training.nodes > 1:
        raise UserError(
            "training on several machines needs a launcher", where=SETTINGS, hint="see docs/reference/training.md"
        )
    global _workers
    _workers = WorkerProcesses(world) if started != world else None
    if is_worker(training):
        _end_with_parent()
    patience_s = 1  # after an error: the workers failed too, or wait for this process
    try:
        _connect(training)
        barrier()
        if _workers:
            _workers.connected = True
        yield
        shutdown()
        patience_s = 10
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if _workers and (lost := _workers.lost(patience_s=2)):  # the connection broke because a worker ended
            raise lost from error
        raise
    finally:
        if _workers:
            _workers.end(patience_s)
            _workers = None


def shutdown() -> bool:
    """Disconnects all processes after a barrier. Returns whether this process continues: rank 0 does."""
    first = is_rank_zero()
    if _connected():
        import torch.distributed as dist

        barrier()
        if _workers:
            _workers.release()
        dist.destroy_process_group()
    return first


def is_rank_zero() -> bool:
    """Whether this process has rank 0, or is the only one."""
    if not _connected():
        return True
    import torch.distributed as dist

    return dist.get_rank() == 0


def barrier() -> None:
    """Returns when every connected process has called it."""
    broadcast(0.0)


def broadcast(value: float | None) -> float | None:
    """The value of rank 0, in every process, so that decisions do not differ by a rounding.

    Args:
        value: a number or None; only that of rank 0 is used.
    """
    if not _connected():
        return value
    import torch
    import torch.distributed as dist

    message = torch.tensor([value is not None, value or 0.0], dtype=torch.float64, device=_collective_device())
    dist.broadcast(message, 0)
    return float(message[1]) if message[0] else None


def _connected() -> bool:
    """Without loading torch: a process that has not loaded it is not connected."""
    dist = sys.modules.get("torch.distributed")
    return dist is not None and dist.is_available() and dist.is_initialized()


def _collective_device() -> str:
    import torch.distributed as dist

    return "cpu" if "gloo" in str(dist.get_backend_config()) else "cuda"


def _connect(training: Training) -> None:
    """Joins the process group, so that barriers work before the first training."""
    import torch
    import torch.distributed as dist
    from lightning_fabric.plugins.environments import SLURMEnvironment

    gpu = training.accelerator != "cpu" and torch.cuda.is_available()
    if "RANK" not in os.environ:
        place = SLURMEnvironment()
        os.environ |= {"MASTER_ADDR": place.main_address, "MASTER_PORT": str(place.main_port)}
        os.environ |= {"RANK": str(place.global_rank()), "LOCAL_RANK": str(place.local_rank())}
        os.environ["WORLD_SIZE"] = str(world_size(training))
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")


def _end_with_parent() -> None:
    """Ends this worker when its parent ends: it would wait for it forever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def from_srun() -> bool:
    """Whether srun started this process. A batch script has SLURM's variables too, but is a single process."""
    return "SLURM_STEP_ID" in os.environ and "SLURM_LOCALID" in os.environ


def check_gpus(training: Training) -> None:
    """Checks that this machine has the GPUs that a training asks for.

    Args:
        training: `[training]` of the recipe.

    Raises:
        UserError: torch finds no GPU, or too few.
    """
    if training.accelerator == "cpu":
        return
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if there == 0 and training.accelerator == "gpu":
        raise UserError("torch finds no GPU", where="training.accelerator", hint="set it to cpu or auto")
    if 0 < there < training.devices:
        raise UserError(
            f"torch finds {there} GPU{'s' * (there != 1)}, not {training.devices}",
            where="training.devices",
            hint="ask for fewer",
        )


def _number(names: tuple[str, ...], default: int = 0) -> int:
    """The first of these variables that is a number; those of SLURM count if srun started this process."""
    names = tuple(name for name in names if from_srun() or not name.startswith("SLURM"))
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()), default)
