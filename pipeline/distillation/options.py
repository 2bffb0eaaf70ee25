"""Options of losses and methods: the keyword arguments of a function or class, checked before it is called."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from spikeport.errors import UserError
from spikeport.pydantic_errors import explain

R = TypeVar("R")


def check_options(
    target: Callable[..., R], options: Mapping[str, object], *, where: str, hint: str
) -> Mapping[str, Any]:
    """The options of a call, checked strictly against the types of the keyword arguments.

    Args:
        target: a function or class whose options are keyword-only arguments with types and defaults.
        options: values by name, from a recipe.
        where: place in the recipe, for the error.
        hint: what a user can do, for the error; `{known}` in it becomes the names of the options.

    Returns:
        All options by name, defaults included.

    Raises:
        UserError: an option is unknown, missing, or not of its type. The message names it.
    """
    model = options_model(target)
    try:
        checked = model.model_validate(dict(options))
    except ValidationError as error:
        known = ", ".join(model.model_fields) or "none at all"
        raise UserError(explain(error, options), where=where, hint=hint.replace("{known}", known)) from None
    return {name: getattr(checked, name) for name in model.model_fields}


@functools.cache
def options_model(target: Callable[..., object]) -> type[BaseModel]:
    """The options of a function or class as a pydantic model, one field an option.

    Args:
        target: a function or class whose options are keyword-only arguments with types and defaults.
    """
    function: Any = target.__init__ if inspect.isclass(target) else target
    hints = typing.get_type_hints(function, include_extras=True)
    fields: Any = {
        name: (hints.get(name, Any), ... if option.default is inspect.Parameter.empty else option.default)
        for name, option in inspect.signature(function).parameters.items()
        if option.kind is inspect.Parameter.KEYWORD_ONLY
    }
    config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)
    return create_model(f"{target.__name__}Options", __config__=config, **fields)
