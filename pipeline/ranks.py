"""Several processes that train one network together: who this process is, starting the others, waiting for them.

Rank 0 leads: it alone writes, reports, and goes on after the training. The others follow it stage by stage.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.machinery import ModuleSpec

from hardware_profiles.errors import UserError
from pipeline.recipe import Training

SETTINGS = "training.devices, training.nodes"
_RANKS, _WORLDS = ("RANK", "SLURM_PROCID", "LOCAL_RANK"), ("WORLD_SIZE", "SLURM_NTASKS")


def world_of(training: Training) -> int:
    """How many processes train together."""
    return training.devices * training.nodes


def follows(training: Training) -> bool:
    """Whether this process is not the first of those that train together."""
    return world_of(training) > 1 and _number(_RANKS) > 0


@contextlib.contextmanager
def together(training: Training) -> Iterator[None]:
    """Within it the processes of `training` are connected: started here, or by torchrun or SLURM before.

    Nothing happens where one process trains. Started here, they do what this command does, and end with it. Raises
    UserError where a launcher started another number of processes, or where several machines have no launcher.
    """
    world = world_of(training)
    if world == 1:
        yield
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns of weights that only some objectives use
    started = _number(_WORLDS, default=0)
    if started not in (0, 1, world):
        raise UserError(
            f"{started} processes were started for a training of {world}",
            where=SETTINGS,
            mend="start devices x nodes processes; see docs/training.md",
        )
    if started != world and training.nodes > 1:
        raise UserError("training on several machines needs a launcher", where=SETTINGS, mend="see docs/training.md")
    others = _start_others(world) if started != world else []
    if follows(training):
        _end_with_parent()
    try:
        _connect(training)
        wait()
        yield
        part()
        patience_s = 10
    except BaseException:
        patience_s = 1  # what failed here failed there, or waits in vain
        raise
    finally:
        _end(others, patience_s)


def part() -> bool:
    """Ends the connection when every process is here. Returns whether this process goes on alone: the first does."""
    first = leads()
    if _connected():
        import torch.distributed as dist

        wait()
        dist.destroy_process_group()
    return first


def leads() -> bool:
    """Whether this process is the first of those connected, or alone."""
    if not _connected():
        return True
    import torch.distributed as dist

    return dist.get_rank() == 0


def wait() -> None:
    """Comes back when every connected process is here."""
    agree(0.0)


def agree(value: float | None) -> float | None:
    """Rank 0's value, in every process: what decides must not differ by a rounding."""
    if not _connected():
        return value
    import torch
    import torch.distributed as dist

    told = torch.tensor([value is not None, value or 0.0], dtype=torch.float64, device=_talking_device())
    dist.broadcast(told, 0)
    return float(told[1]) if told[0] else None


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
        os.environ["WORLD_SIZE"] = str(world_of(training))
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")


def _start_others(world: int) -> list[subprocess.Popen]:
    """This command again, once for each other rank; they know theirs from the variables that torchrun sets too."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "NODE_RANK": "0"}
    start = _command_of(sys.modules["__main__"].__spec__)
    return [
        subprocess.Popen(
            [*start, *sys.argv[1:]], env={**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
        )
        for rank in range(1, world)
    ]  # fmt: skip


def _command_of(spec: ModuleSpec | None) -> list[str]:
    """How this command was started. Of a module of ours no other is meant that lies in the current folder (-P); for
    another's, that folder is searched where it was for this process."""
    if spec is None:
        return [sys.executable, os.path.abspath(sys.argv[0])]
    safe = sys.flags.safe_path or spec.name.split(".")[0] == __name__.split(".")[0]
    return [sys.executable, *(["-P"] if safe else []), "-m", spec.name]


def _end(others: list[subprocess.Popen], patience_s: float) -> None:
    for process in others:
        try:
            process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with_parent() -> None:
    """A process whose leader was killed would wait for it in vain."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _number(names: tuple[str, ...], default: int = 0) -> int:
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()), default)
