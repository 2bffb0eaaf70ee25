"""What a student takes over from its teacher, weight by weight."""

import pytest
import torch
from torch import nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.initialize import initialize_from_teacher


def networks(kernel: int = 3) -> tuple[nn.Module, nn.Module]:
    teacher = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 6, 1), nn.Linear(7, 8)
    )
    student = nn.Sequential(
        nn.Conv2d(2, 4, kernel, bias=False), nn.Conv2d(4, 5, kernel), nn.Linear(7, 8), nn.Linear(8, 9)
    )
    return student, teacher


def test_layers_that_fit_are_taken_in_order() -> None:
    student, teacher = networks()
    untouched = student[3].weight.clone()
    assert initialize_from_teacher(student, teacher) == [("0", "0"), ("1", "2"), ("2", "4")]
    assert torch.equal(student[1].weight, teacher[2].weight)
    assert torch.equal(student[1].bias, teacher[2].bias)
    assert torch.equal(student[2].weight, teacher[4].weight)
    assert torch.equal(student[3].weight, untouched)
    gray = torch.rand(1, 1, 6, 7)
    wanted = teacher[0](gray.expand(-1, 3, -1, -1)) - teacher[0].bias[:, None, None]
    torch.testing.assert_close(student[0](gray.expand(-1, 2, -1, -1)), wanted)  # float32 sums in another order


def test_nothing_that_fits_is_an_error() -> None:
    student, teacher = networks(kernel=5)
    student[2] = nn.Linear(3, 5)
    with pytest.raises(UserError, match=r"no layer of the teacher fits.*set initialize to false"):
        initialize_from_teacher(student, teacher)
