"""One training step of a student: time folded into the batch, against a loop over time with snnTorch's own neurons.

Both run the same convolutions with the same weights; before any timing their spikes must be equal and their gradients
must agree. If SpikingJelly can be imported, its multi-step mode runs the same network too. Prints milliseconds (best of
several, forward and backward) and ratios to the student for each batch size. Freed memory is reused by all of them, as
in training.

    python benchmarks/student_step.py [--threads 1] [--recipe recipes/nmnist-small.toml] [--profile] [--compile]

SpikingJelly: `pip install --no-deps --target FOLDER spikingjelly loguru`, then PYTHONPATH=FOLDER.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import snntorch
import torch
from torch import Tensor, nn

from spikeport._startup import keep_freed_memory
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.neurons.base import SLOPE
from spikeport.pipeline.models.students import base as students
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import load_recipe
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe

CLASSES = 10
CHANNELS = (16, 32, 64)  # of recipes/nmnist-small.toml
ALIKE = 0.999  # share of output spikes that another rounding of the same equations must leave equal
DENSITY = 0.06  # of events in frames: about that of N-MNIST in 30 ms


def per_step_loop(student: Student) -> Callable[[Tensor], Tensor]:
    """The same network as in snnTorch's documentation: every layer once per time step."""
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


def spikingjelly_step(student: Student) -> Callable[[Tensor], Tensor] | None:
    """The same network in SpikingJelly's multi-step mode, as in its documentation; None if it is not installed.

    Its neuron is v - v / tau + current, rounded otherwise than beta v + current, and fires from the threshold on; the
    derivative of its SoftSign is the fast sigmoid's times SLOPE / 2.
    """
    try:
        from spikingjelly.activation_based import functional, layer, neuron, surrogate
    except ImportError:
        return None
    layers: list[nn.Module] = []
    for _, plain in student.deployed():
        if isinstance(plain, snntorch.Leaky):
            made = neuron.LIFNode(
                tau=1 / (1 - float(plain.beta)),
                decay_input=False,
                v_threshold=float(plain.threshold),
                v_reset=0.0,
                surrogate_function=surrogate.SoftSign(alpha=SLOPE),
            )
        elif isinstance(plain, nn.Conv2d):
            made = layer.Conv2d(
                plain.in_channels, plain.out_channels, plain.kernel_size, stride=plain.stride, padding=plain.padding
            )
        elif isinstance(plain, nn.Linear):
            made = layer.Linear(plain.in_features, plain.out_features)
        else:
            made = layer.Flatten()
        made.load_state_dict(plain.state_dict() if isinstance(plain, nn.Conv2d | nn.Linear) else {}, strict=False)
        layers.append(made)
    network = nn.Sequential(*layers)
    functional.set_step_mode(network, "m")

    def forward(frames: Tensor) -> Tensor:
        functional.reset_net(network)
        network.zero_grad(set_to_none=True)
        return network(frames)

    return forward


def lively_student(recipe: Recipe, shape: tuple[int, int, int]) -> Student:
    """An untrained student as active as a trained one: batch norm adapts to such frames, and is then folded."""
    student = build_student(recipe.student, shape, CLASSES)
    with torch.no_grad():
        for layer in student.modules():
            if isinstance(layer, nn.Linear):  # behind which no norm is
                layer.weight *= 4
        for _ in range(30):
            student((torch.rand(recipe.data.steps, 16, *shape) < DENSITY).float())
    return fold_batch_norm(student)


def step(forward: Callable[[Tensor], Tensor], student: Student, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Spikes and weight gradients of one forward and backward pass."""
    student.zero_grad(set_to_none=True)
    spikes = forward(frames)
    (spikes.cumsum(0) ** 2).mean().backward()
    return spikes.detach(), [weight.grad for weight in student.parameters() if weight.grad is not None]


def fastest(works: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float]) -> dict[str, float]:
    """Seconds on `clock` of the fastest of `repeats` runs of each, after one to warm up, in turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(repeats):
        for name, work in works.items():
            began = clock()
            work()
            times[name].append(clock() - began)
    return {name: min(taken) for name, taken in times.items()}


def time_norms(recipe: Recipe, shape: tuple[int, int, int], repeats: int, clock: Callable[[], float]) -> str:
    """Seconds of a training step of 32 samples with batch norm: fused with the neurons, and as separate modules."""
    student, batch = build_student(recipe.student, shape, CLASSES), 32
    frames = (torch.rand(recipe.data.steps, batch, *shape) < DENSITY).float()
    can_fuse = students.can_fuse

    def trained(fuse: bool) -> None:
        students.can_fuse = can_fuse if fuse else lambda *_: False
        step(lambda images: student(images).spikes, student, frames)

    best = fastest({"one": partial(trained, True), "apart": partial(trained, False)}, repeats, clock)
    students.can_fuse = can_fuse
    return f"with batch norm, B = {batch}: {1e3 * best['one']:.1f} ms, as modules {1e3 * best['apart']:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--recipe",
        help="a recipe whose student and frames are taken (default: built-in values, channels of nmnist-small)",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="also time the student through torch.compile")
    parser.add_argument("--profile", action="store_true", help="print where the folded step spends its time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe) if options.recipe else Recipe(student=StudentRecipe(channels=CHANNELS))
    data = recipe.data
    torch.manual_seed(0)
    shape = (2, data.height, data.width)
    memory_kept = keep_freed_memory()
    student = lively_student(recipe, shape)

    def folded(frames: Tensor) -> Tensor:
        return student(frames).spikes

    ways = {"folded": folded, "loop": per_step_loop(student)}
    if jelly := spikingjelly_step(student):
        ways["spikingjelly"] = jelly
    if options.compile:
        for cell in student.neurons():  # compiled already, by numba, whose insides torch would else try to compile
            cell.forward = torch.compiler.disable(cell.forward)
        ways["compiled"] = torch.compile(folded)
    print(f"channels {recipe.student.channels}, frames {shape}, T = {data.steps}, {options.threads} thread(s)")
    # One thread never waits, and processor time does not count what others do meanwhile.
    clock = time.process_time if options.threads == 1 else time.perf_counter
    print(f"{'processor' if options.threads == 1 else 'wall'} time, best of {options.repeats}; ", end="")
    print(f"freed memory is {'kept' if memory_kept else 'given back'}; ", end="")
    print(f"SpikingJelly {version('spikingjelly')}" if jelly else "SpikingJelly is not here")
    print(f"{'B':>4}" + "".join(f" {name + ' ms':>16} {'ratio':>6}" for name in ways))
    for batch in (8, 16, 64):
        frames = (torch.rand(data.steps, batch, *shape) < DENSITY).float()
        results = {name: step(way, student, frames) for name, way in ways.items()}
        for name, found in results.items():
            if name == "spikingjelly":
                same = float((found[0] == results["folded"][0]).float().mean())
                if same < ALIKE:
                    raise SystemExit(f"SpikingJelly's network is another: only {same:.2%} of its outputs are equal")
            else:
                check(results["loop"], found)
        best = fastest(
            {name: partial(step, way, student, frames) for name, way in ways.items()}, options.repeats, clock
        )
        cells = (f" {1e3 * spent:>16.1f} {spent / best['folded']:>6.2f}" for spent in best.values())
        print(f"{batch:>4}" + "".join(cells), flush=True)
    print(time_norms(recipe, shape, options.repeats, clock))
    if options.profile:
        with torch.profiler.profile() as profile:
            step(folded, student, frames)
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))


def check(expected: tuple[Tensor, list[Tensor]], found: tuple[Tensor, list[Tensor]]) -> None:
    """Raises if spikes differ, or gradients by 1e-4 of their largest value (float32 sums in another order)."""
    if not expected[0].any() or not torch.equal(expected[0], found[0]):
        raise SystemExit("the two networks fire different spikes, or none")
    for one, other in zip(expected[1], found[1], strict=True):
        difference = float((one - other).abs().max())
        if difference > 1e-4 * float(one.abs().max()):
            raise SystemExit(f"gradients differ by {difference}")


if __name__ == "__main__":
    main()
