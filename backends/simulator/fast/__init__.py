"""The fast engine: the same machine as the reference engine, compiled, event by event."""

from nmc.backends.simulator.fast.engine import needs_compiling, run_fast, run_timing

__all__ = ["needs_compiling", "run_fast", "run_timing"]
