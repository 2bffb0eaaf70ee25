# mypy: disallow-untyped-defs=False
"""What numba cannot say and LLVM can: whole registers at fixed width, and the place of a bit.

Runs of sums are short (a few dozen), where the loops that LLVM makes of Python's spend their time on preparing.
Whoever edits this file must touch `reference_kernels` too: numba's cache looks at that file alone.
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


def _adder(lanes):
    @intrinsic
    def add(typing_context, sums, at, weights, row):
        """sums[at : at + lanes] += weights[row : row + lanes], int32 and int16."""

        def generate(context, builder, signature, arguments):
            target = _vector_at(context, builder, signature.args[0], arguments[0], arguments[1], lanes)
            source = _vector_at(context, builder, signature.args[2], arguments[2], arguments[3], lanes)
            wide = builder.sext(builder.load(source, align=2), ir.VectorType(ir.IntType(32), lanes))
            builder.store(builder.add(builder.load(target, align=4), wide), target, align=4)
            return context.get_dummy_value()

        return types.void(sums, types.int64, weights, types.int64), generate

    return add


add16 = _adder(16)
add8 = _adder(8)


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
