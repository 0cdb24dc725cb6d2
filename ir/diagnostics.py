"""Diagnostics as values: what is wrong, where, why, and what to do about it.

A problem in what the user gave us is a `Diagnostic`; a bug of ours is an ordinary exception.
Code that can go on collects diagnostics in a `Report`; code that can't raises `NmcError`,
which carries them.  Exactly one renderer prints them (`nmc.report.diagnostics`), to stderr.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

__all__ = [
    "CODES",
    "NOWHERE",
    "Code",
    "Diagnostic",
    "Exit",
    "Loc",
    "NmcError",
    "Report",
    "Severity",
    "error",
    "note",
    "warning",
]


class Exit(IntEnum):
    """Exit codes of the command line; part of the public interface."""

    OK = 0
    BUG = 1
    USAGE = 2
    UNSUPPORTED = 3
    DOES_NOT_FIT = 4
    THRESHOLD = 5
    BAD_INPUT = 6
    MISSING_PACKAGE = 7
    INTERRUPTED = 130


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Loc:
    """A place: a span of a text file, a member of an archive, or an ONNX node; all parts optional.

    `file` is what the user called it.  `line` and `column` count from 1.  `excerpt` is the text of
    that line.  `node` is an ONNX node's name, `op` its operator (`Conv`), `index` its position
    among `total` nodes, counted from 1.  `source` is the exporter's own record of the user's
    Python line, such as `model.py:17 in forward: x = torch.relu(x)`.
    """

    file: str = ""
    line: int = 0
    column: int = 0
    end_column: int = 0
    excerpt: str = ""
    member: str = ""
    node: str = ""
    op: str = ""
    index: int = 0
    total: int = 0
    source: str = ""


NOWHERE = Loc()


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of problem: its exit code when it is an error, and one line that names it."""

    exit: Exit
    title: str


CODES: dict[str, Code] = {
    # Reading the user's files.
    "file-not-found": Code(Exit.BAD_INPUT, "a file that was named does not exist"),
    "file-unreadable": Code(Exit.BAD_INPUT, "a file exists but can't be read or written"),
    "file-empty": Code(Exit.BAD_INPUT, "a file has no content"),
    "not-an-onnx-model": Code(Exit.BAD_INPUT, "the file is of another kind than ONNX"),
    "onnx-damaged": Code(Exit.BAD_INPUT, "the ONNX file is truncated or damaged"),
    "onnx-invalid": Code(Exit.BAD_INPUT, "the ONNX model breaks a rule of the standard"),
    "onnx-too-new": Code(Exit.BAD_INPUT, "the model uses an operator set newer than we know"),
    "external-data-missing": Code(Exit.BAD_INPUT, "the weights' companion file can't be found"),
    "unknown-domain": Code(Exit.UNSUPPORTED, "an operator of a domain nobody defines here"),
    "unsupported-operator": Code(Exit.UNSUPPORTED, "neither the chip nor the host can run it"),
    "dynamic-shape": Code(Exit.BAD_INPUT, "a size is unknown at compile time"),
    "bad-input-shape": Code(Exit.USAGE, "an --input-shape does not fit the model"),
    "bad-data-file": Code(Exit.BAD_INPUT, "a data file can't be read as arrays"),
    "bad-data-shape": Code(Exit.BAD_INPUT, "data does not have the shape the model asks for"),
    # Graph and program texts.
    "syntax": Code(Exit.BAD_INPUT, "a text form could not be read"),
    "unknown-op": Code(Exit.BAD_INPUT, "an op that no table lists"),
    "undefined-name": Code(Exit.BAD_INPUT, "a name is used that nothing defines"),
    "duplicate-name": Code(Exit.BAD_INPUT, "a name is defined twice"),
    "bad-attribute": Code(Exit.BAD_INPUT, "an attribute is missing, unknown or of a wrong kind"),
    "bad-operands": Code(Exit.BAD_INPUT, "an op has the wrong number or kind of operands"),
    "shape-mismatch": Code(Exit.BAD_INPUT, "types of operands and results do not agree"),
    "weights-missing": Code(Exit.BAD_INPUT, "a text names weights that are not beside it"),
    "invariant": Code(Exit.BUG, "a pass left its output in a state that it promised not to"),
    # Target files and options.
    "unknown-target": Code(Exit.BAD_INPUT, "no shipped target and no file has this name"),
    "target-syntax": Code(Exit.BAD_INPUT, "the target file is not valid TOML"),
    "unknown-key": Code(Exit.BAD_INPUT, "a key that targets do not have"),
    "bad-value": Code(Exit.BAD_INPUT, "a value is out of range or of the wrong kind"),
    "missing-key": Code(Exit.BAD_INPUT, "a key that a target must have is absent"),
    "target-inconsistent": Code(Exit.BAD_INPUT, "values of a target contradict each other"),
    "unknown-pass": Code(Exit.USAGE, "no pass has this name"),
    "bad-pipeline": Code(Exit.USAGE, "the pipeline string could not be read"),
    "bad-option": Code(Exit.USAGE, "an option's value makes no sense, or two options exclude"),
    "bad-plan": Code(Exit.BAD_INPUT, "a plan that can't be read or followed"),
    "unknown-code": Code(Exit.USAGE, "no diagnostic has this code"),
    # Compiling.
    "random-calibration": Code(Exit.OK, "calibrated on random inputs, for want of data"),
    "calibration-needed": Code(Exit.BAD_INPUT, "the calibration data can't be used"),
    "host-operator": Code(Exit.UNSUPPORTED, "an operator runs on the host"),
    "accumulator-overflow": Code(Exit.UNSUPPORTED, "a matrix whose sums could leave int32"),
    "unsupported-width": Code(Exit.UNSUPPORTED, "a bit width that the machine does not have"),
    "too-many-tiles": Code(Exit.DOES_NOT_FIT, "the model needs more crossbars than there are"),
    "fewer-copies": Code(Exit.OK, "layers have fewer copies than the crossbars would allow"),
    "sram-overflow": Code(Exit.DOES_NOT_FIT, "the buffers of a core exceed its memory"),
    "too-many-sequencers": Code(Exit.DOES_NOT_FIT, "a core needs more sequencers than it has"),
    # Programs and the mapping file.
    "bad-archive": Code(Exit.BAD_INPUT, "the mapping file is not a sound archive"),
    "unsafe-archive": Code(Exit.BAD_INPUT, "the mapping file reaches outside its bounds"),
    "hash-mismatch": Code(Exit.BAD_INPUT, "a member's bytes are not those that were written"),
    "format-version": Code(Exit.BAD_INPUT, "the mapping file is of a version we can't read"),
    "bad-mapping": Code(Exit.BAD_INPUT, "the mapping contradicts its schema or itself"),
    "bad-program": Code(Exit.BAD_INPUT, "the program breaks a rule of the machine"),
    "deadlock": Code(Exit.BAD_INPUT, "every sequencer waits and nothing can wake one"),
    "race": Code(Exit.BAD_INPUT, "bytes are read or overwritten without being ordered"),
    "run-limit": Code(Exit.THRESHOLD, "the simulation reached its cycle limit"),
    "trace-cut": Code(Exit.OK, "a trace holds less than there was to tell"),
    # Verdicts.
    "not-exact": Code(Exit.THRESHOLD, "outputs differ where equality was demanded"),
    "threshold-failed": Code(Exit.THRESHOLD, "a measured figure is under the asked threshold"),
    "missing-package": Code(Exit.MISSING_PACKAGE, "an optional package is not installed"),
    "internal": Code(Exit.BUG, "a bug in nmc"),
}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem, with the numbers of both sides in its message and a thing to do as remedy."""

    code: str
    message: str
    loc: Loc = NOWHERE
    severity: Severity = Severity.ERROR
    notes: tuple[str, ...] = ()
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(f"diagnostic code {self.code!r} is not in ir.diagnostics.CODES")

    @property
    def exit(self) -> Exit:
        return CODES[self.code].exit if self.severity is Severity.ERROR else Exit.OK


def error(
    code: str, message: str, loc: Loc = NOWHERE, *, notes: Iterable[str] = (), remedy: str = ""
) -> Diagnostic:
    return Diagnostic(code, message, loc, Severity.ERROR, tuple(notes), remedy)


def warning(
    code: str, message: str, loc: Loc = NOWHERE, *, notes: Iterable[str] = (), remedy: str = ""
) -> Diagnostic:
    return Diagnostic(code, message, loc, Severity.WARNING, tuple(notes), remedy)


def note(code: str, message: str, loc: Loc = NOWHERE, *, remedy: str = "") -> Diagnostic:
    return Diagnostic(code, message, loc, Severity.NOTE, (), remedy)


class NmcError(Exception):
    """Carries the diagnostics of an operation that could not go on.

    >>> raise NmcError(error("file-not-found", "no file 'net.onnx'"))
    """

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in diagnostics))
        self.diagnostics = diagnostics

    @property
    def exit(self) -> Exit:
        return next((d.exit for d in self.diagnostics if d.exit), Exit.BUG)


@dataclass(slots=True)
class Report:
    """Collects the diagnostics of one run, in order, without repeats."""

    diagnostics: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def add(self, diagnostic: Diagnostic) -> None:
        if diagnostic not in self.diagnostics:
            self.diagnostics.append(diagnostic)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.diagnostics)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.diagnostics if d.severity is Severity.ERROR)

    @property
    def failed(self) -> bool:
        return bool(self.errors)

    def check(self) -> None:
        """Raise what has been collected if any of it is an error."""
        if self.failed:
            raise NmcError(*self.errors)
