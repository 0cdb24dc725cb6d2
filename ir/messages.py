"""Messages on the mesh: how long they are, and where global memory is entered."""

from __future__ import annotations

from nmc.ir.target import Target

__all__ = ["flits", "nearest_port"]


def flits(nbytes: int, target: Target) -> int:
    """A head flit with the address, and the payload's."""
    return -(-nbytes // target.mesh.flit_bytes) + 1


def nearest_port(core: int, target: Target) -> int:
    """The core at whose router the nearest memory port sits; the first listed of several."""
    ports = [target.mesh.core_at(x, y) for x, y in target.mesh.memory_ports]
    return min(ports, key=lambda port: target.mesh.hops(core, port))
