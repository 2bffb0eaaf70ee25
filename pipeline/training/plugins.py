"""Lightning's loggers and callbacks that a recipe names, and errors of code of others in their hooks."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from spikeport.errors import MissingDependencyError, UserError
from spikeport.factory import call_factory, is_factory, load_object
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.run.tensor_files import check_tree

NAMES = ("none", "csv", "tensorboard", "wandb")
# Packages of which one is needed, and how to install it.
NEEDS = {
    "tensorboard": (("tensorboard", "tensorboardX"), "pip install 'spikeport[tensorboard]'"),
    "wandb": (("wandb",), "pip install wandb"),
}
WANDB_STOPPED = 255  # exit code that W&B shows as killed
LOGGER, CALLBACKS = "training.logger", "training.callbacks"  # recipe keys
FACTORY = "write factory(folder, stage), which returns a pytorch_lightning.loggers.Logger"
CLASS = "name a class of pytorch_lightning.Callback without arguments, or a function that returns such an object"

Plugin = TypeVar("Plugin", Logger, Callback)


def check_plugins(training: Training) -> None:
    """Checks that the logger and the callbacks of a recipe are there, before anything is trained.

    Args:
        training: the section [training].

    Raises:
        UserError: an unknown logger, or an object that cannot be imported or called.
        MissingDependencyError: the package of the logger is not installed.
    """
    name = training.logger
    if name in NEEDS and not any(find_spec(package) for package in NEEDS[name][0]):
        raise MissingDependencyError(f"the package of the logger {name!r} is not installed", where=LOGGER,
                                     hint=NEEDS[name][1])  # fmt: skip
    if name not in NAMES and not is_factory(name):
        raise UserError(f"{name!r} is not a logger", where=LOGGER,
                        hint=f"use one of {', '.join(NAMES)}, or package.module:factory")  # fmt: skip
    named = [(each, CALLBACKS, CLASS) for each in training.callbacks]
    for each, where, hint in [*([(name, LOGGER, FACTORY)] if is_factory(name) else []), *named]:
        if not is_factory(each):
            raise UserError(f"{each!r} is not of the form package.module:Class", where=where, hint=hint)
        if not callable(load_object(each, where)):
            raise UserError(f"{each!r} is not callable", where=where, hint=hint)


def build_logger(
    training: Training,
    folder: Path,
    stage: str,
    rows: Iterable[tuple[int, dict[str, float]]],
    identity: Mapping[str, Any],
) -> Logger:
    """The logger of a training. A continued training has its earlier epochs, except with a factory.

    Args:
        training: the section [training]; its logger is not "none".
        folder: the run folder.
        stage: name of the training.
        rows: number and values of the epochs that are done.
        identity: settings that the training depends on: the configuration of a W&B run, or of a factory's logger.

    Raises:
        UserError: the factory failed, or returned something else.
    """
    name, done = training.logger, list(rows)
    logger: Logger
    if name == "csv":
        logger = CSVLogger(folder / name, name=stage, version="")
    elif name == "tensorboard":  # epochs that a killed training wrote beyond its checkpoint are hidden
        logger = TensorBoardLogger(folder / name, name=stage, version="", purge_step=len(done) + 1)
    elif name == "wandb":
        project = os.environ.get("WANDB_PROJECT", "spikeport")
        logger = WandbLogger(name=f"{folder.name} {stage}", project=project, group=folder.name, save_dir=folder)
    else:
        logger = call_factory(name, LOGGER, folder, stage, hint=FACTORY)
        if not isinstance(logger, Logger):
            raise UserError(f"{name} returned {type(logger).__name__!r}", where=LOGGER, hint=FACTORY)
    logger = _guarded(logger, name, LOGGER, Logger)
    if isinstance(logger, WandbLogger):
        _start(logger)
    if name not in ("csv", "tensorboard"):
        logger.log_hyperparams({"stage": stage, **identity.get("recipe", {}), "dataset": identity.get("data", "")})
    if name in ("csv", "wandb"):  # a new file, and a new run
        for epoch, values in done:
            logger.log_metrics(values, epoch)
    return logger


def build_callbacks(training: Training) -> list[Callback]:
    """New callbacks of a training.

    Args:
        training: the section [training].

    Raises:
        UserError: a callback cannot be made.
    """
    found = []
    for name in training.callbacks:
        callback = call_factory(name, CALLBACKS, hint=CLASS)
        if not isinstance(callback, Callback):
            raise UserError(f"{name} returned {type(callback).__name__!r}", where=CALLBACKS, hint=CLASS)
        callback.state_dict = _storable(callback.state_dict)  # type: ignore[method-assign]
        found.append(_guarded(callback, name, CALLBACKS, Callback))
    return found


def close_logger(logger: Logger, error: type[BaseException] | None, *_: object) -> None:
    """Ends a W&B run as finished, failed or stopped, so that the next training starts its own.

    Args:
        logger: the logger of a training that has ended.
        error: what ended it; None: it is complete.
    """
    if isinstance(logger, WandbLogger):
        import wandb  # pyright: ignore[reportMissingImports]  # not a dependency

        stopped = error is not None and issubclass(error, KeyboardInterrupt)
        wandb.finish(exit_code=0 if error is None else WANDB_STOPPED if stopped else 1)


def _start(logger: WandbLogger) -> None:
    """Starts the run of W&B, which raises an error of its own kind without a login or a network."""
    try:
        logger.experiment  # noqa: B018  # a property that starts it
    except Exception as error:
        raise UserError(
            "W&B does not start a run", where=LOGGER, cause=f"{type(error).__name__}: {error}",
            hint="run wandb login first, or set the environment variable WANDB_MODE=offline; then wandb sync uploads",
        ) from error  # fmt: skip


def _storable(state_dict: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """`state_dict` of a callback, which fails for values that no checkpoint holds."""

    @functools.wraps(state_dict)
    def call() -> dict[str, Any]:
        state = state_dict()
        check_tree(state)
        return state

    return call


def _guarded(plugin: Plugin, name: str, where: str, base: type) -> Plugin:
    """`plugin`, whose methods raise UserError in place of their own errors."""
    for hook in dir(base):
        if not hook.startswith("_") and callable(getattr(base, hook)):
            setattr(plugin, hook, _reporting(getattr(plugin, hook), name, where))
    return plugin


def _reporting(method: Callable[..., Any], name: str, where: str) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except UserError:
            raise
        except Exception as error:  # code of others raises anything
            raise UserError(
                f"{name} failed in {method.__name__}",
                where=where,
                cause=f"{type(error).__name__}: {error}",
                hint=f"correct it, or leave it out: {where} = {'[]' if where == CALLBACKS else repr('none')}",
            ) from error

    return call
