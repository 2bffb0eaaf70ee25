"""Makes the ANNs that a student is compared with on CPUs and GPUs, as ONNX files: its teacher, the teacher in int8, and
an ANN of the student's shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikeport.export.formats.matching_ann import write_matching_ann
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.sampling import draw
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.profiling.baseline.int8 import predict, write_int8
from spikeport.pipeline.profiling.baseline.measure import BaselineModel

CALIBRATION_IMAGES = 128


def baseline_models(
    network: IntegerNetwork, teacher: Path | None, dataset: Dataset, folder: Path
) -> list[BaselineModel]:
    """Writes the baseline models.

    Args:
        network: the quantized student.
        teacher: ONNX file of the teacher; None where there is none.
        dataset: images to calibrate the int8 teacher and to test it.
        folder: the folder for teacher-int8.onnx and matching-ann.onnx.

    Returns:
        The teacher, the int8 teacher and the ANN of the same shape.
    """
    found = (
        [] if teacher is None else [BaselineModel(name="teacher", path=teacher), _in_8_bits(teacher, dataset, folder)]
    )
    left_out = write_matching_ann(network, folder / "matching-ann.onnx")
    note = "the student's shape, untrained"
    if left_out:
        note += f", without {' and '.join(left_out)}"
    return [*found, BaselineModel(name="ANN of the same shape", path=folder / "matching-ann.onnx", note=note)]


def _in_8_bits(teacher: Path, dataset: Dataset, folder: Path) -> BaselineModel:
    """The teacher in int8, calibrated on static training images and tested on the teacher's test images."""
    size, static, paired_images = dataset.test.frames.shape[3:], dataset.static, dataset.test.paired_images
    chosen = draw(CALIBRATION_IMAGES, len(static.images), static.labels).rows
    path = folder / "teacher-int8.onnx"
    try:
        write_int8(teacher, resize_to(static.images[chosen], *size), path)
        right = (
            []
            if paired_images is None
            else predict(path, resize_to(paired_images.images, *size)) == paired_images.labels
        )
    except Exception as error:  # onnxruntime cannot quantize every model; the others are timed
        message = str(error).strip().splitlines()
        return BaselineModel(
            name="teacher, int8", path=None, note=f"cannot be quantized: {message[0] if message else type(error)}"
        )
    note = f"recognizes {100 * float(np.mean(right)):.1f} % of {len(right):,} test images" if len(right) else ""
    return BaselineModel(name="teacher, int8", path=path, note=note, modeled=False)  # the teacher has its INT8 row
