"""Several processes that train one network together: who this process is, starting the others, waiting for them.

Rank 0 leads: it alone writes, reports, and goes on after the training. The others follow it stage by stage.
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

_others: WorkerProcesses | None = None  # those that this process has started


def world_size(training: Training) -> int:
    """How many processes train together."""
    return training.devices * training.nodes


def is_worker(training: Training) -> bool:
    """Whether this process is not the first of those that train together."""
    return world_size(training) > 1 and _number(_RANKS) > 0


@contextlib.contextmanager
def process_group(training: Training) -> Iterator[None]:
    """Within it the processes of `training` are connected: started here, or by torchrun or SLURM before.

    Nothing happens where one process trains. Started here, they do what this command does, and end with it. Raises
    UserError where a launcher started another number of processes, or where several machines have no launcher.
    """
    world = world_size(training)
    if world == 1:
        yield
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns of weights that only some objectives use
    started = _number(_WORLDS, default=0)
    if started not in (0, 1, world):
        raise UserError(
            f"{started} processes were started for a training of {world}",
            where=SETTINGS,
            hint="start devices x nodes processes; see docs/reference/training.md",
        )
    if started != world and training.nodes > 1:
        raise UserError(
            "training on several machines needs a launcher", where=SETTINGS, hint="see docs/reference/training.md"
        )
    global _others
    _others = WorkerProcesses(world) if started != world else None
    if is_worker(training):
        _end_with_parent()
    try:
        _connect(training)
        barrier()
        if _others:
            _others.connected = True
        yield
        shutdown()
        patience_s = 10
    except (UserError, KeyboardInterrupt):
        patience_s = 1  # what failed here failed there, or waits in vain
        raise
    except BaseException as error:
        patience_s = 1
        if _others and (lost := _others.lost(patience_s=2)):  # the connection broke because of that
            raise lost from error
        raise
    finally:
        if _others:
            _others.end(patience_s)
            _others = None


def shutdown() -> bool:
    """Ends the connection when every process is here. Returns whether this process goes on alone: the first does."""
    first = is_rank_zero()
    if _connected():
        import torch.distributed as dist

        barrier()
        if _others:
            _others.release()
        dist.destroy_process_group()
    return first


def is_rank_zero() -> bool:
    """Whether this process is the first of those connected, or alone."""
    if not _connected():
        return True
    import torch.distributed as dist

    return dist.get_rank() == 0


def barrier() -> None:
    """Comes back when every connected process is here."""
    broadcast(0.0)


def broadcast(value: float | None) -> float | None:
    """Rank 0's value, in every process: what decides must not differ by a rounding."""
    if not _connected():
        return value
    import torch
    import torch.distributed as dist

    message = torch.tensor([value is not None, value or 0.0], dtype=torch.float64, device=_talking_device())
    dist.broadcast(message, 0)
    return float(message[1]) if message[0] else None


def _connected() -> bool:
    """Where torch is not loaded, nothing is connected, and no time is lost with loading it."""
    dist = sys.modules.get("torch.distributed")
    return dist is not None and dist.is_available() and dist.is_initialized()


def _talking_device() -> str:
    import torch.distributed as dist

    return "cpu" if "gloo" in str(dist.get_backend_config()) else "cuda"


def _connect(training: Training) -> None:
    """Joins the process group here, so that processes can wait for each other before the first training."""
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
    """A process whose leader was killed would wait for it in vain."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def from_srun() -> bool:
    """Whether srun started this process as one of several. A batch script has SLURM's numbers too, and is alone."""
    return "SLURM_STEP_ID" in os.environ and "SLURM_LOCALID" in os.environ


def check_gpus(training: Training) -> None:
    """Raises UserError where this machine has no GPU that `training` asks for, or fewer than it has `devices`."""
    if training.accelerator == "cpu":
        return
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if there == 0 and training.accelerator == "gpu":
        raise UserError(
            "there is no GPU that torch can use", where="training.accelerator", hint="set it to cpu or auto"
        )
    if 0 < there < training.devices:
        raise UserError(
            f"there {'is' if there == 1 else 'are'} {there} GPU{'s' * (there != 1)} that torch can use, not "
            f"{training.devices}",
            where="training.devices",
            hint="ask for fewer",
        )


def _number(names: tuple[str, ...], default: int = 0) -> int:
    """The first of these variables that is a number; what SLURM says counts where srun started this process."""
    names = tuple(name for name in names if from_srun() or not name.startswith("SLURM"))
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()), default)
