"""The output size of convolutions and pools."""

from __future__ import annotations

from collections.abc import Iterable


def conv_extent(
    size: Iterable[int], kernel: Iterable[int], stride: Iterable[int], padding: Iterable[int], dilation: Iterable[int]
) -> tuple[int, ...]:
    """Output size of a convolution or a pool, axis by axis: floor((n + 2 p - d (k - 1) - 1) / s) + 1, as in PyTorch.

    Args:
        size: n, the input's size: (height, width).
        kernel: k, the kernel's size.
        stride: s.
        padding: p, zeros on each side.
        dilation: d, distance between the kernel's taps.

    Returns:
        (height, width) of the output; below 1 if the kernel is larger than the padded input.

    >>> conv_extent((34, 20), (5, 3), (2, 1), (1, 1), (1, 2))
    (16, 18)
    """
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)
