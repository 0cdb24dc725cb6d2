"""Vectors of integers in kernels of the fast engine: values that a compiler keeps in registers.

numba alone vectorises loops over arrays, whose sums then go through memory.  These operations are
LLVM's own on vectors of `COUNT` elements, which it cuts to whatever registers a processor has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic, models, register_model

__all__ = [
    "COUNT",
    "add",
    "cast_like",
    "clip",
    "divide",
    "load",
    "scale",
    "shift_left",
    "store",
    "zeros",
]

COUNT = 64
"""Elements of a vector: those of a line of the cache, where they are bytes."""


class Vector(types.Type):
    """`COUNT` elements of a numba integer type."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is LLVM's vector, in memory as in registers."""

    def __init__(self, manager: Any, vector: Vector) -> None:
        element = manager.lookup(vector.dtype).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, COUNT))  # type: ignore[no-untyped-call]


def operation(typed: Callable[..., Any]) -> Callable[..., Any]:
    """An operation of kernels, called with values where `typed` has their types."""
    made: Any = intrinsic(typed)
    return cast("Callable[..., Any]", made)


Code = Callable[[Any, Any, Any, Any], Any]
"""From context, builder, signature and arguments to the result."""


def place(context: Any, builder: Any, array: tuple[Any, Any], at: Any, vector: Any) -> Any:
    """Pointer to the vector that begins `at` elements from the beginning of an array."""
    kind, value = array
    data = context.make_array(kind)(context, builder, value=value).data
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


@operation
def load(_: Any, array: Any, at: Any) -> tuple[Any, Code]:
    """The vector that begins `at` elements from the beginning of a contiguous array."""
    result = Vector(array.dtype)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(result)
        source = place(context, builder, (signature.args[0], args[0]), args[1], vector)
        return builder.load(source, align=1)

    return result(array, types.intp), code


@operation
def store(_: Any, array: Any, at: Any, vector: Any) -> tuple[Any, Code]:
    """Write a vector to where `load` would read it."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to = place(context, builder, (signature.args[0], args[0]), args[1], args[2].type)
        builder.store(args[2], to, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@operation
def zeros(_: Any, like: Any) -> tuple[Any, Code]:
    """Zeros of the type of an array's elements."""
    result = Vector(like.dtype)

    def code(context: Any, _builder: Any, _signature: Any, _args: Any) -> Any:
        return ir.Constant(context.get_value_type(result), None)

    return result(like), code


@operation
def add(_: Any, a: Any, b: Any) -> tuple[Any, Code]:
    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.add(*args)

    return a(a, b), code


@operation
def scale(_: Any, a: Any, factor: Any) -> tuple[Any, Code]:
    """Every element times a number of the same type."""

    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.mul(args[0], splat(builder, args[1]))

    return a(a, a.dtype), code


@operation
def shift_left(_: Any, a: Any, bits: Any) -> tuple[Any, Code]:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = context.cast(builder, args[1], signature.args[1], a.dtype)
        return builder.shl(args[0], splat(builder, count))

    return a(a, bits), code


@operation
def cast_like(_: Any, a: Any, like: Any) -> tuple[Any, Code]:
    """The same numbers, or what is left of them, in the type of an array's or vector's elements."""
    result = Vector(like.dtype)

    def code(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        vector = context.get_value_type(result)
        if a.dtype.bitwidth < like.dtype.bitwidth:
            return builder.sext(args[0], vector)
        return builder.trunc(args[0], vector) if vector != args[0].type else args[0]

    return result(a, like), code


@operation
def clip(_: Any, a: Any, lo: Any, hi: Any) -> tuple[Any, Code]:
    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        value, least, most = args
        value = builder.select(builder.icmp_signed("<", value, least), least, value)
        return builder.select(builder.icmp_signed(">", value, most), most, value)

    return a(a, lo, hi), code


@operation
def divide(_: Any, a: Any, steps: Any, at: Any) -> tuple[Any, Code]:
    """a / steps, rounded half to even; the floats `steps` begin `at` elements into their array.

    Exact where a float of their type holds every a: the quotient of two such integers is never
    rounded onto a tie.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(context.get_value_type(steps.dtype), COUNT)
        source = place(context, builder, (signature.args[1], args[1]), args[2], vector)
        number = builder.sitofp(args[0], vector)
        quotient = builder.fdiv(number, builder.load(source, align=1))
        name = f"llvm.rint.v{COUNT}f{steps.dtype.bitwidth}"
        kind = ir.FunctionType(vector, [vector])
        rint = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.fptosi(builder.call(rint, [quotient]), args[0].type)

    return a(a, steps, types.intp), code


def splat(builder: Any, element: Any) -> Any:
    """A vector of one number."""
    kind = ir.VectorType(element.type, COUNT)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), element, ir.IntType(32)(0))
    every = ir.Constant(ir.VectorType(ir.IntType(32), COUNT), None)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), every)
