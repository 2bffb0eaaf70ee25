"""Which options of a command have a meaning for which kind of source: no option is ignored without a word.

A table of a command names the options that it takes for a kind. All others are refused there if they are given, and a
new option is refused until it is named.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from spikeport.errors import UserError
from spikeport.export.graph.frameworks import framework_of
from spikeport.pipeline.run.recipe_file import MANIFEST
from spikeport.pipeline.stages.compiled_network import CompiledNetwork
from spikeport.pipeline.stages.live_network import is_live
from spikeport.pipeline.stages.run_value import Run

Kind = Literal["run", "compiled", "net", "network", "nir"]
Takes = Mapping[Kind, frozenset[str]]
WORDS = {"framework": "--from", "dt_s": "--dt"}
_WHY: dict[Kind, tuple[str, str, str]] = {
    "run": ("a run", "its recipe states how it is made and measured", "leave {it} out, or change the recipe"),
    "compiled": ("a compiled network", "it was made with its own options", "give {it} to load_graph or quantize"),
    "net": (
        "a .net file",
        "it holds the chip's integers and parameters already",
        "leave {it} out, or give the .nir file or the network from which it was made",
    ),
    "network": ("a network of modules", "its modules state this themselves", "leave {it} out"),
}


def _takes(always: str, **more: str) -> Takes:
    made: dict[Any, frozenset[str]] = {kind: frozenset(f"{always} {names}".split()) for kind, names in more.items()}
    return made


EXPORT = _takes(
    "source out hardware script progress",
    run="",
    net="input_shape readout message_bits scaled_frames",
    network="bits clones row_scales calibrate message_bits check explain framework dt_s input_shape readout bias "
    "allow_vector",
)
PROFILE = _takes(
    "source hardware baseline active_rule out per_step progress",
    run="",
    compiled="frames labels dt_s clip",
    net="frames labels dt_s input_shape clip",
)
CHECK_NETWORK = _takes("source input_shape", net="", network="framework dt_s bias allow_vector frames")
ADAPT = _takes(
    "source frames out labels check check_labels dt_s input_shape readout framework widen epochs batch lr shift "
    "rotation scale event_drop holdout message_bits lava_samples seed threads resume progress",
    network="",
)  # by kind of source, the parameters with a meaning; a .nir file takes all

P = ParamSpec("P")
R = TypeVar("R")


def kind_of(source: object) -> Kind:
    """The kind of a source.

    Args:
        source: a run or its folder, a compiled network, a .net or .nir file, a module, or `package.module:factory`.
    """
    if isinstance(source, Run):
        return "run"
    if isinstance(source, CompiledNetwork):
        return "compiled"
    if not isinstance(source, str | os.PathLike) or is_live(source):
        return "network"
    if (Path(source) / MANIFEST).is_file():
        return "run"
    return "net" if Path(source).suffix == ".net" else "nir"


def refuses_unused(takes: Takes, **words: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorates a function whose first parameter is a source: parameters that its kind does not take are refused.

    A parameter is given if it differs from its default. Kinds that are not in `takes` are left to the function.

    Args:
        takes: by kind, the parameters with a meaning; a table of this module.
        words: the option of a parameter on the command line, where it is not the parameter's name.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        names = {**WORDS, **words}

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs).arguments
            source = next(iter(given.values()))
            kind = kind_of(source)
            unused = [
                names.get(name, f"--{name.replace('_', '-')}")
                for name, value in given.items()
                if kind in takes
                and name not in takes[kind]
                and not _same(value, signature.parameters[name].default)
                and not (kind == "net" and name == "framework" and _writes_net(value))
            ]
            if unused:
                what, why, hint = _WHY[kind]
                where = str(source) if isinstance(source, str | os.PathLike) else type(source).__name__
                raise UserError(
                    f"{what} does not take {' and '.join(unused)}", where=where, cause=why,
                    hint=hint.format(it="them" if len(unused) > 1 else "it"),
                )  # fmt: skip
            return function(*args, **kwargs)

        return checked

    return decorated


def _writes_net(framework: object) -> bool:
    """Whether a framework is the one of .net files, whose name says nothing new about one."""
    return isinstance(framework, str) and framework_of(framework).files == ".net"


def _same(value: object, default: object) -> bool:
    """Whether a value asks for nothing: it is the default of its parameter, or "none". Arrays are not compared."""
    return value is default or (isinstance(value, bool | int | float | str | tuple) and value in (default, "none"))
