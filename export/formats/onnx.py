"""Exports a torch module to ONNX for the GPU baseline, with a dynamic batch axis, and verifies it against torch.

torch and onnxruntime are imported inside functions, since this package must load without them.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from spikeport.errors import CheckFailedError, UserError
from spikeport.files import atomic_path

if TYPE_CHECKING:
    import torch

# Largest difference, relative to the largest output. onnxruntime fuses batch norm into convolutions and sums in another
# order than torch. Both round to 24 bits, so that deep float32 networks agree to about five digits.
TOLERANCE = 1e-4
CHECKED_BATCHES = (1, 3)


def export_onnx(module: torch.nn.Module, example_input: torch.Tensor, path: str | os.PathLike[str]) -> float:
    """Writes a module (eval mode, float32) with input "images" and output "logits", atomically.

    The outputs of onnxruntime and torch are compared on random batches before the file gets its name. `module` is not
    changed.

    Args:
        module: the module.
        example_input: float `[B, ...]` of any batch size. The batch size is dynamic in the file.
        path: the ONNX file.

    Returns:
        Largest difference between onnxruntime and torch, relative to the largest output.

    Raises:
        UserError: torch cannot export the module.
        CheckFailedError: the difference exceeds `TOLERANCE`. No file is written.
    """
    import torch

    frozen = copy.deepcopy(module).cpu().eval()
    example = example_input.detach().cpu().float()
    pair = torch.cat([example, example])[:2]  # torch.export would treat a batch of 1 as constant
    with atomic_path(path) as temporary, _quiet():
        try:
            torch.onnx.export(
                frozen,
                (pair,),
                temporary,
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
        except Exception as error:  # the exporter raises many kinds of exceptions for unsupported modules
            reason = str(error).strip().splitlines()
            raise UserError(
                f"torch cannot export {type(module).__name__} to ONNX", where=str(path),
                cause=reason[0] if reason else type(error).__name__,
                hint="use operations that torch.export supports, with a batch size that stays free",
            ) from error  # fmt: skip
        _without_stack_traces(temporary)
        return _largest_difference(frozen, example, temporary, Path(path))


def _without_stack_traces(file: Path) -> None:
    """Removes the metadata of nodes and values: torch writes the lines and folders of the source code into them."""
    import onnx

    model = onnx.load(str(file))
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    for function in model.functions:
        for part in (function, *function.node):
            del part.metadata_props[:]
    onnx.save(model, str(file))


def _largest_difference(module: torch.nn.Module, example: torch.Tensor, written: Path, path: Path) -> float:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    random = torch.Generator().manual_seed(0)
    low, high = float(example.min()), float(example.max())
    span = high - low if high > low else 1.0
    worst = 0.0
    for batch in CHECKED_BATCHES:
        images = low + span * torch.rand(batch, *example.shape[1:], generator=random)
        with torch.no_grad():
            expected = module(images).numpy()
        found = cast("np.ndarray", session.run(None, {"images": images.numpy()})[0])
        size = float(np.abs(expected).max()) or 1.0
        same_shape = found.shape == expected.shape
        difference = float(np.abs(found - expected).max()) / size if same_shape else float("inf")
        if not difference <= TOLERANCE:
            raise CheckFailedError(
                f"onnxruntime differs from torch by {difference:.2g} of the largest output at batch {batch}",
                where=str(path), cause=f"{TOLERANCE:g} is what float32 summation order explains",
                hint="remove random or batch-dependent operations from the module",
            )  # fmt: skip
        worst = max(worst, difference)
    return worst


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses the exporter's warnings about optional packages."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
