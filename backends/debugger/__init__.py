"""A debugger for programs: it pauses the reference engine between cycles and shows what is there.

It reads commands as text and says what it has to say as text; docs/debugging.md lists them.

>>> debugger = Debugger(contents, script(["break 0.1:4", "continue", "where"]), say)
>>> execute(contents, inputs, engine="reference", attach=debugger.attach)
"""

from __future__ import annotations

from nmc.backends.debugger.session import Debugger, Stopped, script

__all__ = ["Debugger", "Stopped", "script"]
