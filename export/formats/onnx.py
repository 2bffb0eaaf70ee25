"""torch module -> ONNX file for the GPU baseline: a batch axis of any size, checked against torch before it exists.

torch and onnxruntime are imported where they are used, since this package must load without them.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikeport.errors import CheckFailedError, UserError
from spikeport.files import atomic_path

if TYPE_CHECKING:
    import torch

# Of the largest output. onnxruntime fuses batch norm into convolutions and sums in another order than torch, and both
# round to 24 bits: a deep float32 network keeps about five digits.
TOLERANCE = 1e-4
CHECKED_BATCHES = (1, 3)


def export_onnx(module: torch.nn.Module, example_input: torch.Tensor, path: str | os.PathLike[str]) -> float:
    """Writes `module` (eval mode, float32) with input "images" and output "logits", whole or not at all.

    `example_input`: `[B, ...]` of any batch size; B is free in the file. Returns the largest difference from torch on
    random batches, relative to the largest output. Raises UserError where torch cannot export the module,
    CheckFailedError where onnxruntime computes something else; then no file is written. `module` itself stays as it is.
    """
    import torch

    frozen = copy.deepcopy(module).cpu().eval()
    example = example_input.detach().cpu().float()
    pair = torch.cat([example, example])[:2]  # torch.export takes a batch of 1 for a constant
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
        except Exception as error:  # the exporter raises many kinds, all about what the module does
            reason = str(error).strip().splitlines()
            raise UserError(
                f"torch cannot export {type(module).__name__} to ONNX", where=str(path),
                cause=reason[0] if reason else type(error).__name__,
                hint="keep to operations that torch.export knows, with a batch size that stays free",
            ) from error  # fmt: skip
        return _largest_difference(frozen, example, temporary, Path(path))


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
        (found,) = session.run(None, {"images": images.numpy()})
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
    """Holds back the exporter's notes about packages that this export does not need."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
