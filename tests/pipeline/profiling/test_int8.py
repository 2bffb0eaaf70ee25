"""A model in 8 bits: near to what it was, of a quarter of its size, and its weights on grids of 255 levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx_models import write_model

from spikeport.pipeline.profiling.baseline.int8 import predict, write_int8


def test_a_quantized_model_is_near_to_what_it_was(tmp_path: Path) -> None:
    source = write_model(tmp_path)
    images = np.random.default_rng(4).random((40, 3, 12, 11), dtype=np.float32)
    write_int8(source, images, tmp_path / "int8.onnx")
    held = onnx.load(tmp_path / "int8.onnx").graph.initializer
    assert [weight.dims[:] for weight in held if numpy_helper.to_array(weight).dtype == np.int8]
    same = predict(source, images) == predict(tmp_path / "int8.onnx", images)
    assert same.mean() >= 0.85  # near-ties of random weights may turn; chance would leave a seventh
    assert not list(tmp_path.glob("*.tmp*"))


def test_the_largest_output_is_the_class(tmp_path: Path) -> None:
    source = write_model(tmp_path)
    images = np.random.default_rng(5).random((5, 3, 12, 11), dtype=np.float32)
    import onnxruntime

    logits = onnxruntime.InferenceSession(source).run(None, {"images": images})[0]
    assert predict(source, images, batch=2).tolist() == logits.argmax(1).tolist()
