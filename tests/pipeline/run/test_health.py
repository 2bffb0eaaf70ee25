"""A network that is dead or saturated is reported while it trains."""

import json

import numpy as np
import pytest
import torch
from learning_data import tiny_dataset, tiny_recipe

from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.students.inference import predict_spikes, run_student
from spikeport.pipeline.run import health
from spikeport.pipeline.run.gap import LayerGap
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.task import TrainingTask
from spikeport.pipeline.training.train import train_student

PLAIN = {"ema_decay": 0.0, "epochs": 3}
DEAD = {"student": {"v_threshold": 1e6}, "training": PLAIN}
FULL = {
    "student": {"network": "mlp", "layers": [8], "v_threshold": 1e-6, "beta": 1.0},
    "training": PLAIN | {"lr": 1.0, "weight_decay": 0.0},
}


STRAY = {"training": PLAIN | {"lr": 1e6}}


class Heard(ProgressPrinter):
    """Keeps what is said."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def log(self, text):
        self.lines.append(text)


# What is measured


def test_rates_are_spikes_per_neuron_and_step_of_each_layer():
    """Counted from the layers' spikes of a forward of all recordings at once."""
    data = tiny_dataset()
    torch.manual_seed(2)
    student = build_student(tiny_recipe().student, (2, 9, 11), 3).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.mul_(3)
    frames = data.train.frames
    seen = run_student(student, frames, batch=7)
    with torch.no_grad():
        layers = student(torch.from_numpy(frames).transpose(0, 1)).layer_spikes
    assert list(seen.rates) == ["conv1", "conv2", "output"]
    assert list(seen.rates.values()) == pytest.approx([float(layer.double().mean()) for layer in layers])
    assert 0 < min(seen.rates.values()) < max(seen.rates.values()) < 1
    np.testing.assert_array_equal(seen.spikes, predict_spikes(student, frames))


def test_of_no_recordings_nothing_is_measured():
    student = build_student(tiny_recipe().student, (2, 9, 11), 3)
    seen = run_student(student, np.zeros((0, 4, 2, 9, 11), np.uint8))
    assert (seen.spikes.shape, seen.rates) == ((0, 4, 3), {})


# While it trains


def trained(sections, tmp_path):
    heard = Heard()
    train_student(tiny_recipe(**sections), tiny_dataset(), None, "baseline", tmp_path, heard)
    rows = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    return heard.lines, rows


def test_a_threshold_that_nothing_reaches_is_said_with_layers_and_remedy_once(tmp_path):
    lines, rows = trained(DEAD, tmp_path)
    assert [row["validation_silent"] for row in rows] == [15] * 3
    assert [set(row["rates"].values()) for row in rows] == [{0.0}] * 3
    (message,) = lines
    assert "student-baseline, layers conv1, conv2, output: never fire; lower student.v_threshold" in message


def test_an_output_that_always_fires_is_said(tmp_path):
    lines, rows = trained(FULL, tmp_path)
    assert rows[-1]["rates"]["output"] > 0.9 > rows[-1]["rates"]["dense1"]
    (message,) = lines
    assert "student-baseline, layer output: fires in " in message
    assert "raise student.v_threshold" in message


def test_a_learning_rate_that_throws_the_weights_away_leaves_no_gradient(tmp_path):
    lines, rows = trained(STRAY, tmp_path)
    assert rows[-1]["gradient"] == 0.0
    assert any(
        "student-baseline: every gradient was exactly zero in epoch 3; lower student.v_" in text for text in lines
    )
    assert len({text.split(":")[2] for text in lines}) == len(lines)  # each kind once


def test_a_healthy_start_is_not_called_dead():
    """Silent in the first epoch alone, which the average of weights explains."""
    rows = [{"epoch": 1, "rates": {"a": 0.0, "b": 0.2}, "gradient": 0.1}]
    assert health.of_epoch("s", rows, last=False) == []
    rows.append({"epoch": 2, "rates": {"a": 0.01, "b": 0.95}, "gradient": 0.1})
    assert health.of_epoch("s", rows, last=False) == []
    (found,) = health.of_epoch("s", rows, last=True)
    assert (found.kind, found.where, found.value) == ("saturated_layer", "s, layer b", {"b": 0.95})
    rows.append({"epoch": 3, "rates": {"a": 0.0, "b": 0.97}, "gradient": None})
    kinds = [found.kind for found in health.of_epoch("s", rows, last=False)]
    assert kinds == ["saturated_layer", "bad_gradient"]


class Fixed(TrainingTask):
    """One weight; a loss whose gradient is `slope` times 0, -3 and 2 in turn."""

    def __init__(self, slope, epochs=2):
        super().__init__(
            torch.nn.Linear(1, 1, bias=False), stage="toy", samples=6, batch=2, epochs=epochs, lr=0.0, weight_decay=0.0,
            warmup_epochs=0, seed=1, identity={},
        )  # fmt: skip
        self.slope = slope

    def loss(self, rows, index):
        return self.slope * [0.0, -3.0, 2.0][index] * self.model.weight.sum(), {}

    def score(self, model):
        return None


def test_the_first_step_that_moves_something_is_recorded_or_that_none_does(tmp_path):
    for slope in (0.5, 0.0):
        heard, folder = Heard(), tmp_path / str(slope)
        fit(Fixed(slope), folder, Training(accelerator="cpu"), progress=heard)
        rows = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [row["gradient"] for row in rows] == [3 * slope] * 2
        assert len(heard.lines) == (slope == 0)


@pytest.mark.parametrize(("silent", "lines"), [(0, 0), (2, 0), (17, 0), (18, 1), (20, 1)])
def test_a_layer_is_called_dead_after_steps_and_not_after_epochs(tmp_path, silent, lines):
    """Epochs of three steps, so that 50 steps lie between the first epoch and the 18th; the last one is the 20th."""

    class Waking(Fixed):
        def score(self, model):
            self.rates = {"a": 0.0 if self.current_epoch < silent else 0.1}

    heard = Heard()
    fit(Waking(0.5, epochs=20), tmp_path, Training(accelerator="cpu"), progress=heard)
    assert len(heard.lines) == lines
    assert all("layer a: never fires" in line for line in heard.lines)


@pytest.mark.parametrize(
    ("gap", "among", "named"), [(0.2, 0.01, True), (0.09, 0.0, False), (0.2, 0.08, False), (0.0, 0.0, False)]
)
def test_a_wide_domain_gap_of_the_output_is_named(gap, among, named):
    """0.2 is wide, unless two halves of the recordings are as far apart; that of the first layer does not count."""
    layers = [
        LayerGap(layer="conv1", gap=0.9, among_recordings=0.0),
        LayerGap(layer="output", gap=gap, among_recordings=among),
    ]
    found = health.of_gap("student-a", layers)
    assert [each.kind for each in found] == ["domain_gap"] * named
    assert all("domain gap 0.20 in output" in health.line(each) for each in found)
    assert health.of_gap("student-a", ()) == []


def test_what_is_measured_changes_no_weight(tmp_path, monkeypatch):
    """The same training with every measurement taken out."""
    with_it = train_student(tiny_recipe(), tiny_dataset(), None, "baseline", tmp_path / "a")
    monkeypatch.delattr(TrainingTask, "on_before_optimizer_step")
    monkeypatch.setattr(health, "of_epoch", lambda *_, **__: [])
    without = train_student(tiny_recipe(), tiny_dataset(), None, "baseline", tmp_path / "b")
    pairs = zip(with_it.state_dict().values(), without.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
