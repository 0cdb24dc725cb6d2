"""The fast engine: the same machine as the reference engine, compiled, event by event."""

from nmc.backends.simulator.fast.engine import run_fast, run_timing
from nmc.backends.simulator.fast.warming import compile_kernels, lossy_missing, needs_compiling

__all__ = ["compile_kernels", "lossy_missing", "needs_compiling", "run_fast", "run_timing"]
