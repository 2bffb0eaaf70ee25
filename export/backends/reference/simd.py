# mypy: disallow-untyped-defs=False
"""Vector additions of fixed width and bit positions as LLVM instructions, which numba does not offer.

The sums of one event are short (a few dozen). There, the loops that LLVM makes of Python's loops mostly spend their
time on preparation. After editing this file, change `kernels.py` too: numba's cache looks at that file alone.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _vector_at(context, builder, array_type, array, index, lanes):
    """A pointer to `lanes` elements of an array from `index` on."""
    data = context.make_array(array_type)(context, builder, array).data
    element = data.type.pointee
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(element, lanes).as_pointer())


def _generate_sum(lanes, rows):
    """Code for sums[at : at + lanes] += the rows of weights that begin at the last `rows` arguments."""

    def generate(context, builder, signature, arguments):
        sums, at, weights, *begins = arguments
        target = _vector_at(context, builder, signature.args[0], sums, at, lanes)
        total = builder.load(target, align=4)
        for begin in begins[:rows]:
            part = builder.load(_vector_at(context, builder, signature.args[2], weights, begin, lanes), align=2)
            total = builder.add(total, builder.sext(part, ir.VectorType(ir.IntType(32), lanes)))
        builder.store(total, target, align=4)
        return context.get_dummy_value()

    return generate


@intrinsic
def add16(typing_context, sums, at, weights, row):
    """sums[at : at + 16] += weights[row : row + 16], int32 and int16."""
    return types.void(sums, types.int64, weights, types.int64), _generate_sum(16, 1)


@intrinsic
def add8(typing_context, sums, at, weights, row):
    """As `add16`, eight of them."""
    return types.void(sums, types.int64, weights, types.int64), _generate_sum(8, 1)


@intrinsic
def add16_both(typing_context, sums, at, weights, row, other):
    """sums[at : at + 16] += weights[row : row + 16] + weights[other : other + 16]."""
    return types.void(sums, types.int64, weights, types.int64, types.int64), _generate_sum(16, 2)


@intrinsic
def add8_both(typing_context, sums, at, weights, row, other):
    """As `add16_both`, eight of them."""
    return types.void(sums, types.int64, weights, types.int64, types.int64), _generate_sum(8, 2)


@intrinsic
def word_at(typing_context, mask, at):
    """Eight bytes of a uint8 array as one number, the first lowest."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(mask, types.int64), generate


@intrinsic
def first_byte(typing_context, word):
    """Which byte of a word that is not zero is the lowest one with a bit set."""

    def generate(context, builder, signature, arguments):
        zeros = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.lshr(zeros, ir.Constant(ir.IntType(64), 3))

    return types.int64(types.uint64), generate
