"""Options that several commands share, and the parsing of their values."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import typer

from spikeport.errors import UserError

NIR = "For .nir files"
METHOD, EPOCHS, INIT_FROM = "distillation.method", "training.epochs", "training.init_from"

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
RecipeWord = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe: a TOML file, the name of a shipped recipe, or a run folder.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change one setting of the recipe. Repeatable."),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="Distillation method, as --set distillation.method=NAME. Options in the recipe that belong to another "
        "method are left out.",
    ),
]
Epochs = Annotated[
    str | None,
    typer.Option(
        "--epochs",
        metavar="[+]N",
        help="Epochs of the student, as --set training.epochs=N. +N with --resume: so many more than the run has.",
    ),
]
InitFrom = Annotated[
    str | None,
    typer.Option(
        "--init-from",
        metavar="RUN",
        help="Start from the float weights of another run, as --set training.init_from=RUN. The last layer is left out "
        "where the classes are others.",
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option("--input-shape", metavar="C,H,W", help="Shape of a sample, for files that do not state it."),
]
Dt = Annotated[
    float | None,
    typer.Option(
        "--dt",
        metavar="SECONDS",
        help="Time step of the network, in seconds. Needed if the file does not state it.",
        rich_help_panel=NIR,
    ),
]
Reset = Annotated[
    Literal["zero", "subtract"] | None,
    typer.Option(
        "--reset",
        help="Membrane after a spike, which NIR does not state. zero: the chip's. subtract: refused, since only "
        "spikeport adapt takes such a network there.",
        rich_help_panel=NIR,
    ),
]
From = Annotated[
    Literal["snntorch", "norse", "sinabs", "spikingjelly", "rockpool", "spyx", "nengo", "slayer"] | None,
    typer.Option(
        "--from",
        metavar="FRAMEWORK",
        help="Framework that wrote the file: snntorch, norse, sinabs, spikingjelly, rockpool, spyx, nengo or slayer. "
        "Its time step, decay, gains, threshold and usual reset are then taken where no option states them.",
        rich_help_panel=NIR,
    ),
]
IfGain = Annotated[
    Literal["per-step", "per-second"] | None,
    typer.Option("--if-gain", help="Unit of r in IF nodes, which depends on the framework.", rich_help_panel=NIR),
]


def changes_of(
    changes: list[str] | None, *, method: str | None, epochs: str | None, init_from: str | None
) -> tuple[list[str], int | None]:
    """The values of --set together with those of --method, --epochs and --init-from.

    Args:
        changes: words `key=value`.
        method: value of --method; None: not given.
        epochs: value of --epochs, a number or `+` and a number; None: not given.
        init_from: value of --init-from; None: not given.

    Returns:
        Words `key=value`, and the number of epochs that are added, or None.

    Raises:
        UserError: --set changes the same key, or the section that has it; or --epochs is no number.
    """
    from spikeport.pipeline.stages.settings import setting_words

    words, adds = list(changes or ()), (epochs or "").startswith("+")
    number = None if epochs is None else _epochs_of(epochs)
    keys = [word.partition("=")[0].strip() for word in words]
    given_values = (("--method", METHOD, method), ("--epochs", EPOCHS, number), ("--init-from", INIT_FROM, init_from))
    for option, key, value in given_values:
        if value is None:
            continue
        twice = next((given for given in keys if f"{key}.".startswith(f"{given}.")), None)
        if twice is not None:
            raise UserError(f"--set {twice} gives {key} too", where=option, hint="give it once")
        if not (option == "--epochs" and adds):
            words += setting_words({key: value})
    return words, number if adds else None


def _epochs_of(text: str) -> int:
    """The number in `20` or `+20`."""
    if not re.fullmatch(r"\+?\d+", text, re.ASCII):
        raise UserError(f"{text!r} is not a number of epochs", where="--epochs", hint="write for example 30, or +20")
    return int(text)


def shape_of(text: str | None) -> tuple[int, ...] | None:
    """Parses the value of --input-shape, such as `2,34,34`.

    Args:
        text: sizes with commas; None: not given.

    Returns:
        The shape; None if `text` is None.

    Raises:
        UserError: the text is not a shape.
    """
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UserError(
            f"{text!r} is not a shape", where="--input-shape", hint="write it as C,H,W, for example 2,34,34"
        )
    return sizes


def whole_numbers(text: str | None, option: str, form: str) -> tuple[int, ...] | None:
    """Parses numbers with commas, such as the value of --sensor.

    Args:
        text: the numbers; None: not given.
        option: the option, for the error.
        form: names of the numbers, such as "W,H".

    Returns:
        The numbers; None if `text` is None.

    Raises:
        UserError: the text is not so many whole numbers from 0 on.

    >>> whole_numbers("346,260", "--sensor", "W,H")
    (346, 260)
    """
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", text, re.ASCII) or text.count(",") != form.count(","):
        raise UserError(f"{text!r} is not {form}", where=option, hint=f"write whole numbers as {form}")
    return tuple(map(int, text.split(",")))


def bytes_of(text: str | None) -> int | None:
    """Parses the value of --memory, such as `512M` or `4G`.

    Args:
        text: a number with K, M, G or T for powers of 1024; None: not given.

    Returns:
        The size in bytes; None if `text` is None.

    Raises:
        UserError: the text is not a size.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if match is None or not float(match[1]):
        raise UserError(f"{text!r} is not a size", where="--memory", hint="write it as 512M or 4G")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def counts_of(text: str | None, option: str) -> int | dict[str, int] | None:
    """Parses one number or numbers by name of a layer, such as `4` or `conv1=2,input=4`.

    Args:
        text: a number, or names with numbers; None: not given.
        option: the option, such as "--clones".

    Returns:
        The number, or numbers by name; None if `text` is None.

    Raises:
        UserError: the text is neither.
    """
    if text is None:
        return None
    try:
        if "=" not in text:
            return int(text)
        pairs = [part.rpartition("=") for part in text.split(",")]
        return {name.strip(): int(count) for name, _, count in pairs}
    except ValueError:
        raise UserError(
            f"{option} {text!r} is neither a number nor LAYER=K", hint="for example 4, or conv1=2"
        ) from None
