"""Networks as Spyx writes them: python make_spyx.py FOLDER. See common.py.

Spyx's neurons fire on the membrane of the step before, so that each layer is one step later than the chip's, and
subtract the threshold in the next step (CuBaLIF in the same). The outputs here are moved back by the number of layers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax.numpy as jnp
import nir
import numpy as np
import spyx.nn as snn
from common import Cases, grid, odd, spikes
from flax import nnx
from spyx.nir import to_nir

RNGS = nnx.Rngs(0)


def dense(weight: np.ndarray, bias: np.ndarray | None = None) -> nnx.Linear:
    made = nnx.Linear(weight.shape[1], weight.shape[0], use_bias=bias is not None, rngs=RNGS)
    made.kernel[...] = jnp.array(weight.T)
    if bias is not None:
        made.bias[...] = jnp.array(bias, dtype=jnp.float32)
    return made


def conv(weight: np.ndarray, **options: object) -> nnx.Conv:
    """Weights `[C_out, C_in, H, W]`, which Spyx has as `[H, W, C_in, C_out]`."""
    made = nnx.Conv(weight.shape[1], weight.shape[0], weight.shape[2:], rngs=RNGS, **options)
    made.kernel[...] = jnp.array(weight.transpose(2, 3, 1, 0))  # its bias is 0 at first
    return made


def run(net: snn.Sequential, frames: np.ndarray, layers: int) -> np.ndarray:
    """[N, T, K]; frames `[N, T, C, H, W]` or `[N, T, D]`; Spyx has channels last and time first."""
    x = frames.transpose(1, 0, 3, 4, 2) if frames.ndim == 5 else frames.swapaxes(0, 1)
    late = np.concatenate([x, np.zeros((layers, *x.shape[1:]), x.dtype)])
    made, _ = snn.run(net, jnp.array(late, dtype=jnp.float32))
    return np.asarray(made)[layers:].swapaxes(0, 1).reshape(*frames.shape[:2], -1)


def exported(net: snn.Sequential, shape: tuple[int, ...], outputs: int, dt: float = 1) -> nir.NIRGraph:
    return to_nir(net, {"input": np.array(shape)}, {"output": np.array([outputs])}, dt=dt)


def main(folder: Path) -> None:
    cases = Cases("spyx", folder, ("spyx", "nir", "jax", "flax"))
    rng = np.random.default_rng(7)
    frames = spikes(rng, 3, 24, 5, density=0.5)

    def add(name: str, construct: str, net: snn.Sequential, outputs: int, layers: int, frames: np.ndarray = frames,
            dt: float = 1, note: str = "", what: str = "spikes") -> None:  # fmt: skip
        cases.add(
            name, construct, lambda: exported(net, frames.shape[2:], outputs, dt), frames=frames,
            made=run(net, frames, layers), what=what, framework="spyx", reset="subtract", note=note,
        )  # fmt: skip

    def two() -> snn.Sequential:
        weights = np.random.default_rng(70)
        return snn.Sequential(
            dense(grid(weights, 7, 5)), snn.LIF((7,), beta=0.5, threshold=odd(201), rngs=RNGS),
            dense(grid(weights, 3, 7), np.array([4, -6, 10]) / 128),
            snn.LIF((3,), beta=0.75, threshold=odd(61), rngs=RNGS),
        )  # fmt: skip

    add("lif", "Linear, LIF", two(), 3, 2)
    add("lif_dt", "the same, exported with dt=1e-3", two(), 3, 2, dt=1e-3)
    add("if", "Linear, IF", snn.Sequential(dense(grid(rng, 6, 5)), snn.IF((6,), threshold=odd(401))), 6, 1)
    slow = snn.CuBaLIF((6,), alpha=0.5, beta=0.75, threshold=odd(1601), rngs=RNGS)
    add("cubalif", "Linear, CuBaLIF", snn.Sequential(dense(grid(rng, 6, 5)), slow), 6, 1)
    recurrent = snn.RLIF((6,), beta=0.5, threshold=odd(301), rngs=RNGS)
    recurrent.recurrent_w[...] = jnp.array(grid(rng, 6, 6, low=-60, high=40).T)
    add("rlif", "Linear, RLIF", snn.Sequential(dense(grid(rng, 6, 5)), recurrent), 6, 1)
    pictures = spikes(rng, 2, 16, 2, 9, 7, density=0.4)
    add("conv", "Conv (stride, padding VALID), IF, SumPool, Flatten, Linear, IF", snn.Sequential(
        conv(grid(rng, 4, 2, 3, 3), strides=(2, 1), padding="VALID"), snn.IF((4, 5, 4), threshold=odd(301)),
        snn.SumPool((2, 1), (2, 1), "VALID", channel_axis=-1), snn.Flatten(), dense(grid(rng, 5, 40)),
        snn.IF((5,), threshold=odd(301))), 5, 2, pictures)  # fmt: skip
    plain = snn.Sequential(nnx.Conv(2, 3, (3, 3), use_bias=False, rngs=RNGS), snn.IF((9, 7, 3)))
    cases.add("conv_no_bias", "Conv(use_bias=False)", lambda: exported(plain, (2, 9, 7), 189), framework="spyx",
              reset="subtract")  # fmt: skip
    add("li", "Linear, LIF, Linear, LI read-out", snn.Sequential(
        dense(grid(rng, 7, 5)), snn.LIF((7,), beta=0.5, threshold=odd(301), rngs=RNGS), dense(grid(rng, 3, 7)),
        snn.LI((3,), beta=0.75, rngs=RNGS)), 3, 1, what="membrane",
        note="the exporter leaves out LI, the read-out")  # fmt: skip
    cases.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
