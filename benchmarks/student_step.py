"""One training step of a student: time folded into the batch against a per-step loop over snnTorch's own
cells.

Both run the same convolutions with the same weights; before any timing their spikes must be equal and their
gradients agree. Prints milliseconds (best of several, forward and backward) and the ratio for each batch
size.

    python benchmarks/student_step.py [--threads 1] [--recipe recipes/nmnist-small.toml] [--profile]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import snntorch
import torch
from torch import Tensor, nn

from pipeline.networks.students import Student, build_student
from pipeline.quantisation import fold_batch_norm
from pipeline.recipe import Recipe, load_recipe

CLASSES = 10
DENSITY = 0.06  # of events in frames: about that of N-MNIST in 30 ms


def looped(student: Student) -> Callable[[Tensor], Tensor]:
    """The same network as snnTorch's documentation writes it: every layer once per time step."""
    layers: list[nn.Module] = []
    for _, layer in student.deployed():
        if isinstance(layer, snntorch.Leaky):
            layer = snntorch.Leaky(
                beta=float(layer.beta),
                threshold=float(layer.threshold),
                spike_grad=layer.spike_grad,
                reset_mechanism="zero",
                reset_delay=False,
            )
        layers.append(layer)

    def forward(frames: Tensor) -> Tensor:
        states: dict[int, Tensor] = {}
        spikes = []
        for signal in frames:
            for index, layer in enumerate(layers):
                if isinstance(layer, snntorch.Leaky):
                    signal, states[index] = layer(signal, states.get(index, torch.zeros_like(signal)))
                else:
                    signal = layer(signal)
            spikes.append(signal)
        return torch.stack(spikes)

    return forward


def lively_student(recipe: Recipe, shape: tuple[int, int, int]) -> Student:
    """An untrained student that fires about as a trained one does: batch norm has seen such frames, then is
    folded."""
    student = build_student(recipe.student, shape, CLASSES)
    with torch.no_grad():
        student.synapse("event").weight *= 4
        for _ in range(30):
            student((torch.rand(recipe.data.steps, 16, *shape) < DENSITY).float())
    return fold_batch_norm(student)


def step(forward: Callable[[Tensor], Tensor], student: Student, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Spikes and weight gradients of one forward and backward."""
    student.zero_grad(set_to_none=True)
    spikes = forward(frames)
    (spikes.cumsum(0) ** 2).mean().backward()
    return spikes.detach(), [weight.grad for weight in student.parameters() if weight.grad is not None]


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The fastest of `repeats` runs after one for warming up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", help="a recipe whose student and frames are taken (default: built-in values)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--profile", action="store_true", help="print where the folded step spends its time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe) if options.recipe else Recipe()
    data = recipe.data
    torch.manual_seed(0)
    shape = (2, data.height, data.width)
    student = lively_student(recipe, shape)
    loop = looped(student)
    print(f"channels {recipe.student.channels}, frames {shape}, T = {data.steps}, {options.threads} thread(s)")
    print(f"{'B':>4} {'loop ms':>9} {'folded ms':>10} {'ratio':>6}")
    for batch in (8, 16, 64):
        frames = (torch.rand(data.steps, batch, *shape) < DENSITY).float()

        def folded(frames: Tensor) -> Tensor:
            return student(frames).spikes

        check(step(loop, student, frames), step(folded, student, frames))
        slow = seconds(lambda: step(loop, student, frames), options.repeats)  # noqa: B023
        fast = seconds(lambda: step(folded, student, frames), options.repeats)  # noqa: B023
        print(f"{batch:>4} {1e3 * slow:>9.1f} {1e3 * fast:>10.1f} {slow / fast:>6.2f}")
    if options.profile:
        with torch.profiler.profile() as profile:
            step(folded, student, frames)
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))


def check(expected: tuple[Tensor, list[Tensor]], found: tuple[Tensor, list[Tensor]]) -> None:
    """Equal spikes; gradients to 1e-4 of their largest value (float32 sums in another order)."""
    if not expected[0].any() or not torch.equal(expected[0], found[0]):
        raise SystemExit("the two networks fire different spikes, or none")
    for one, other in zip(expected[1], found[1], strict=True):
        difference = float((one - other).abs().max())
        if difference > 1e-4 * float(one.abs().max()):
            raise SystemExit(f"gradients differ by {difference}")


if __name__ == "__main__":
    main()
