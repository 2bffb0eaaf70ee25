"""Static quantization of a teacher to int8 with onnxruntime, calibrated on images, as a baseline of equal precision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.files import atomic_path
from spikeport.temporaries import scratch

CALIBRATION_BATCH = 16


def write_int8(source: str | os.PathLike[str], images: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Writes an ONNX model with int8 weights, quantized by channel, and uint8 activations; whole or not at all.

    Args:
        source: ONNX model with one input.
        images: float32 `[N, ...]`, calibration images; the ranges of the activations are those over these images.
        path: the file to write.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[dict[str, np.ndarray]] = iter(
                {_input_name(source): images[start : start + CALIBRATION_BATCH]}
                for start in range(0, len(images), CALIBRATION_BATCH)
            )

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    with scratch() as folder, atomic_path(Path(path)) as temporary:
        prepared = os.path.join(folder, "prepared.onnx")
        quant_pre_process(os.fspath(source), prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            os.fspath(temporary),
            Images(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def predict(path: str | os.PathLike[str], images: np.ndarray, batch: int = 64) -> np.ndarray:
    """Predicts a class for each image.

    Args:
        path: ONNX model with one input.
        images: float32 `[N, ...]`.
        batch: images of one call.

    Returns:
        int64 `[N]`, the class with the largest output.
    """
    session, name = _session(path), _input_name(path)
    logits = [session.run(None, {name: images[at : at + batch]})[0] for at in range(0, len(images), batch)]
    return np.concatenate(logits).argmax(axis=1)


def _session(path: str | os.PathLike[str]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


def _input_name(path: str | os.PathLike[str]) -> str:
    (given,) = _session(path).get_inputs()
    return given.name
