"""Every method trains, is quantized and exported; the .net file fires the quantized student's spikes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import Bright, tiny_dataset, tiny_recipe, tiny_teacher

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.distillation.methods import METHODS
from spikeport.pipeline.distillation.objective import uses_teacher
from spikeport.pipeline.models.students.inference import predict_spikes
from spikeport.pipeline.training.qat import qat_finetune
from spikeport.pipeline.training.scaling import scales
from spikeport.pipeline.training.train import initial_student, train_student


@pytest.mark.parametrize("method", METHODS)
def test_a_method_goes_from_training_to_the_file(method: str, tmp_path: Path) -> None:
    recipe = tiny_recipe(
        distillation={"method": method},
        synthesis={"kind": "simulator"},
        training={"epochs": 2, "lr": 0.01, "ema_decay": 0.0},
        quantization={"epochs": 1},
        student={"v_threshold": 0.2},
    )
    data, spec = tiny_dataset(train=24, paired_images=True), method_spec(recipe.distillation)
    torch.manual_seed(0)
    teacher = tiny_teacher()
    given = {"teacher": teacher if uses_teacher(spec) else None, "synthesizer": Bright()}
    student = train_student(recipe, data, given["teacher"], method, tmp_path / "float", synthesizer=Bright())
    assert student.state_dict().keys() == initial_student(recipe, data).state_dict().keys()  # heads of losses are gone
    tuned = qat_finetune(recipe, data, student, tmp_path / "quantized", method=method, **given)
    shape = data.test.frames.shape[2:]
    network, _ = quantize(to_spiking_graph(tuned.deployed(), shape, data.dt_s, scales(tuned)))
    write_netx(network, tmp_path / "student.net")
    expected = predict_spikes(tuned, data.test.frames)
    assert expected.any()
    assert np.array_equal(simulate(read_netx(tmp_path / "student.net"), data.test.frames).spikes, expected)
