"""Runs commands of this repository in child processes: time, peak memory, result, failure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

__all__ = ["Child", "run_child"]

ROOT = Path(__file__).parents[1]
POLL_S = 0.03
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
LAST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Child:
    """A command that has ended.  `result` is the one JSON object that it printed, or empty.

    `peak_rss_bytes` is the most memory that it held at a time, `failure` why there is no result:
    a diagnostic's code and message, the time limit, or the last words on stderr.
    """

    exit_code: int
    wall_s: float
    peak_rss_bytes: int
    result: dict[str, Any] = field(default_factory=dict[str, Any])
    failure: str = ""

    @property
    def ok(self) -> bool:
        return not self.failure


def run_child(module: str, *arguments: object, limit_s: float = 600.0) -> Child:
    """Run `python -m module arguments`, which prints a JSON object, from the repository's root.

    It is killed after `limit_s`.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdout=out,
            stderr=err,
            env={**os.environ, "PYTHONPATH": search_path()},
        )
        timed_out, peak_rss_bytes = wait(process, began + limit_s)
        wall_s = time.perf_counter() - began
        result = json_of(text_of(out))
        code = process.returncode
        failure = f"not done after {limit_s:g} s" if timed_out else ""
        if code and not failure:
            failure = reason(result, text_of(err), code)
        return Child(code, wall_s, peak_rss_bytes, {} if failure else result, failure)


def search_path() -> str:
    """PYTHONPATH with this repository first."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))


def wait(process: subprocess.Popen[bytes], deadline: float) -> tuple[bool, int]:
    """Wait for the end, or kill at the deadline: (was it killed, peak memory in bytes).

    On Linux the peak that a process leaves behind counts what its parent held when it began, so
    the child is asked while it lives, and its last hundredths of a second may be missed.
    """
    killed = False
    peak = 0
    while True:
        peak = max(peak, peak_now(process.pid))
        done, status, usage = os.wait4(process.pid, 0 if killed else os.WNOHANG)
        if done:
            break
        if time.perf_counter() > deadline:
            process.kill()
            killed = True
        else:
            time.sleep(POLL_S)
    process.returncode = os.waitstatus_to_exitcode(status)
    return killed, peak or usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_now(pid: int) -> int:
    """The peak of a living process, in bytes; 0 where the system doesn't say."""
    with suppress(OSError):
        found = PEAK.search(Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


def text_of(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")


def json_of(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def reason(result: dict[str, Any], err: str, code: int) -> str:
    """Why a command failed: its first error, or what it said last."""
    errors = [d for d in result.get("diagnostics", ()) if d.get("severity") == "error"]
    if errors:
        return f"{errors[0]['code']}: {errors[0]['message']}"
    words = err.strip().splitlines()
    return words[-1][:LAST_WORDS] if words else f"exit code {code}"
