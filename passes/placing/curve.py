"""A way through all cores of a mesh along which neighbours stay neighbours."""

from __future__ import annotations

from collections.abc import Iterator

from nmc.ir.target import Mesh

__all__ = ["curve"]

Vector = tuple[int, int]


def curve(mesh: Mesh) -> list[int]:
    """All cores, in the order of a Hilbert curve fitted to the mesh, from core 0 on.

    Consecutive cores are neighbours, but for one diagonal step where an odd side makes that
    impossible.  After Cerveny's generalisation of Hilbert's curve to rectangles.
    """
    wide = mesh.width >= mesh.height
    across, up = (mesh.width, 0), (0, mesh.height)
    along, other = (across, up) if wide else (up, across)
    return [mesh.core_at(x, y) for x, y in _walk((0, 0), along, other)]


def _walk(corner: Vector, along: Vector, other: Vector) -> Iterator[Vector]:
    """The places of the rectangle that the two vectors span, ending at the far end of `along`."""
    length, breadth = _size(along), _size(other)
    step, side = _unit(along), _unit(other)
    if breadth == 1 or length == 1:
        direction, count = (step, length) if breadth == 1 else (side, breadth)
        for i in range(count):
            yield corner[0] + i * direction[0], corner[1] + i * direction[1]
        return
    half, half_other = _halved(along), _halved(other)
    if 2 * length > 3 * breadth:  # long: two halves, one after the other
        if _size(half) % 2 and length > 2:
            half = _plus(half, step)
        yield from _walk(corner, half, other)
        yield from _walk(_plus(corner, half), _minus(along, half), other)
        return
    if _size(half_other) % 2 and breadth > 2:  # up, across, and down again
        half_other = _plus(half_other, side)
    yield from _walk(corner, half_other, half)
    above = _plus(corner, half_other)
    yield from _walk(above, along, _minus(other, half_other))
    last = _minus(_plus(corner, _minus(along, step)), _minus(side, half_other))
    yield from _walk(last, _negative(half_other), _negative(_minus(along, half)))


def _size(v: Vector) -> int:
    return abs(v[0] + v[1])


def _unit(v: Vector) -> Vector:
    return (v[0] > 0) - (v[0] < 0), (v[1] > 0) - (v[1] < 0)


def _halved(v: Vector) -> Vector:
    return v[0] // 2, v[1] // 2


def _plus(a: Vector, b: Vector) -> Vector:
    return a[0] + b[0], a[1] + b[1]


def _minus(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1]


def _negative(v: Vector) -> Vector:
    return -v[0], -v[1]
