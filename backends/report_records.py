"""What a report says of a compiled model: plain records, of which JSON follows."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AdcReport",
    "CoreReport",
    "CrossbarReport",
    "HostReport",
    "LimitReport",
    "LimitingLayer",
    "NodeReport",
    "NoteReport",
    "PartReport",
    "PredictionReport",
    "ReportData",
    "RingReport",
    "SequencerReport",
    "StageReport",
    "StreamReport",
    "Totals",
]


@dataclass(frozen=True, slots=True)
class NodeReport:
    """A node of the quantised graph: its first result's name, its op, where and why it runs, and
    the ONNX nodes and source lines that it came from."""

    name: str
    op: str
    unit: str
    why: str
    onnx_nodes: tuple[str, ...]
    source_lines: tuple[str, ...]
    macs: int


@dataclass(frozen=True, slots=True)
class StageReport:
    """A layer, all its copies and pieces together, and for matrices how it lies on crossbars.

    Each of `copies` does every so many-th of its rows, or a part of each `share` of them (or of
    grids of rows), if that isn't 0; each copy is `pieces`, which make some of the channels.
    `grid`: output rows and pixels that one read gives.  `homes` are the cores of its vector work,
    `cores` all that it lies on.  `blocks`: rows and outputs of each part of its matrix, for one
    pixel of the output, however it is laid.  `crossbars`: (core, crossbar) of each tile's place.
    `cells_used` are those of its tiles, of `cells_there` on its crossbars; `cells_nonzero` of them
    hold a level other than 0.

    Per input: `reads`, the mvms of all cores; `steps`, the reads that the copy with most of them
    makes one after the other; `conversions` and `adc_work_cycles`, those of all ADCs;
    `adc_cycles`, those of the ADC that has most to do for this layer, `copy_adc_cycles` the same
    where only the work of one copy counts.  Predicted: `cycles` per input that its slowest part
    takes with all that it uses to itself, and `done_cycles`, when the last row of a lone input has
    been sent.
    """

    name: str
    step: str
    kind: str
    unit: str
    way: str
    copies: int
    share: int
    pieces: int
    grid: tuple[int, int]
    nodes: tuple[NodeReport, ...]
    homes: tuple[int, ...]
    cores: tuple[int, ...]
    output: str
    output_rows: int
    output_cols: int
    output_chans: int
    macs: int
    blocks: tuple[tuple[int, int], ...]
    tiles: int
    crossbars: tuple[tuple[int, int], ...]
    cells_used: int
    cells_nonzero: int
    cells_there: int
    reads: int
    steps: int
    conversions: int
    adc_work_cycles: int
    adc_cycles: int
    copy_adc_cycles: int
    cycles: int
    done_cycles: int

    @property
    def occupancy(self) -> float:
        return self.cells_used / self.cells_there if self.cells_there else 0.0

    @property
    def shared_rows(self) -> int:
        """Rows whose pixels the copies deal out together; 0 where each takes whole rows."""
        return self.share * self.grid[0]


@dataclass(frozen=True, slots=True)
class PartReport:
    """One stage of the mapping: a piece of a copy of layer number `layer`.  Figures as in
    `StageReport`, of this part alone."""

    name: str
    layer: int
    copy: int
    piece: int
    home: int
    cores: tuple[int, ...]
    tiles: int
    crossbars: tuple[tuple[int, int], ...]
    reads: int
    steps: int
    conversions: int
    adc_cycles: int
    cycles: int
    done_cycles: int


@dataclass(frozen=True, slots=True)
class CrossbarReport:
    """A crossbar in use: by which parts of layers, how full, and how many conversions an input
    costs."""

    core: int
    crossbar: int
    cluster: int
    stages: tuple[str, ...]
    tiles: int
    rows_used: int
    channels_used: int
    cells_used: int
    cells_there: int
    conversions: int

    @property
    def occupancy(self) -> float:
        return self.cells_used / self.cells_there


@dataclass(frozen=True, slots=True)
class AdcReport:
    """An ADC in use: conversions per input, the cycles they take, and for which parts of layers."""

    core: int
    cluster: int
    adc: int
    conversions: int
    cycles: int
    stages: tuple[str, ...]
    conversions_by_stage: dict[str, int]


@dataclass(frozen=True, slots=True)
class SequencerReport:
    """One sequencer's program; `instructions` counts what stands in it, not what is issued."""

    step: str
    index: int
    label: str
    instructions: int
    program_bytes: int


@dataclass(frozen=True, slots=True)
class CoreReport:
    """A core in use.  Memory and sequencers are those of the step that needs most of them."""

    core: int
    crossbars_used: int
    crossbars_available: int
    sequencers_used: int
    sequencers_available: int
    semaphores_used: int
    semaphores_available: int
    sram_bytes_used: int
    sram_bytes_available: int
    sram_bytes_by_role: dict[str, int]
    sequencers: tuple[SequencerReport, ...]


@dataclass(frozen=True, slots=True)
class RingReport:
    """The row buffer of one part of a consumer: `depth` rows of `row_bytes` on a core."""

    stage: str
    operand: int
    core: int
    depth: int
    row_bytes: int


@dataclass(frozen=True, slots=True)
class StreamReport:
    """A tensor that flows by rows; `producer` and `consumers` are layers, the former empty when it
    comes from global memory."""

    value: str
    step: str
    dtype: str
    rows: int
    cols: int
    chans: int
    producer: str
    consumers: tuple[str, ...]
    to_host: bool
    rings: tuple[RingReport, ...]


@dataclass(frozen=True, slots=True)
class HostReport:
    """A step in which the host computes: what, why, and its share of the model's MACs."""

    step: str
    nodes: tuple[NodeReport, ...]
    macs: int
    mac_share: float


@dataclass(frozen=True, slots=True)
class BorderReport:
    """A tensor that the host recodes where it enters the chip or leaves it: `value` of `dtype`
    outside is `stored` inside.  Its integers mean (integer - zero_point) * scale; both are None
    where nothing says what they mean.  The host's time for it is in no cycles and no joules."""

    value: str
    enters: bool
    dtype: str
    stored: str
    elements: int
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True, slots=True)
class NoteReport:
    """A diagnostic of the compilation."""

    severity: str
    code: str
    message: str
    node: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Summed over chip steps: `adc_bound_cycles`, no schedule of these tiles on their places takes
    fewer cycles for an input, since the busiest ADC must make its conversions; `adc_least_cycles`,
    no other placement of the same tiles has a busiest ADC with less to do.  `bottleneck_steps`:
    the most reads that a copy of any layer makes for an input."""

    crossbars_used: int
    crossbars_available: int
    cores_used: int
    cores_available: int
    cells_used: int
    cells_nonzero: int
    cells_there: int
    macs: int
    macs_on_crossbars: int
    nodes: int
    host_nodes: int
    host_macs: int
    conversions: int
    adc_bound_cycles: int
    adc_least_cycles: int
    bottleneck_steps: int
    program_bytes: int
    global_bytes_per_input: int


@dataclass(frozen=True, slots=True)
class LimitingLayer:
    """A layer, number `layer`, that limits the interval.

    Its slowest copy works for `busy_cycles` on an input when many are in flight, and would for
    `alone_cycles` with all units to itself, most of all with its `part`: `adc`, conversions;
    `reads`, of crossbars; `sums`, sending partial sums home; `vector`, finishing rows on the vector
    unit; `sequencer`, the same, held up by instructions.  `at_most`: it can't have more copies,
    for each makes what can't be dealt out, one read of a matrix or one row.  `beside`: the numbers
    of layers that use ADCs of this one.
    """

    layer: int
    name: str
    part: str
    copies: int
    at_most: bool
    busy_cycles: int
    alone_cycles: int
    beside: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LimitReport:
    """What sets the interval of a chip step.

    `always` says who has work all the time: `units` of a `kind` (as in `UnitUse`), so many of the
    `units_there`, on which `layers` work; or the `layers` themselves, `kind` being the part of the
    slowest; or `nothing`, since rows wait for others on their way: then `kind` and `layers` are of
    the unit or the layer that comes nearest.

    The busiest `unit` needs `unit_cycles` for an input.  `floor_cycles`: what layer number
    `floor_layer` takes alone, of all layers that can't have more copies the slowest; however large
    the chip, layers that lie as they do here give no shorter interval.  -1 if there is none.
    """

    step: str
    always: str
    kind: str
    interval_cycles: int
    unit: str
    unit_cycles: int
    units: int
    units_there: int
    layers: tuple[LimitingLayer, ...]
    floor_cycles: int
    floor_layer: int


@dataclass(frozen=True, slots=True)
class PredictionReport:
    """What the compiler expects of a run: cycles from one output to the next with many inputs in
    flight, and of a lone input; joules of an input among many.

    `bound_cycles`: no schedule on the same places has a shorter interval, for `busiest`, of all
    units, has so much to do for an input.  All chip steps together; the host's are not in it.
    `limits`: of each chip step, what sets its interval.
    """

    interval_cycles: int
    latency_cycles: int
    bound_cycles: int
    busiest: str
    energy_j: float
    limits: tuple[LimitReport, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a mapping file says about how a model lies on a chip.

    `stages` are its layers, `parts` the stages of the mapping that each of them consists of.
    """

    model: str
    target: str
    pipeline: str
    seed: int
    calibration: str
    calibration_random: bool
    totals: Totals
    prediction: PredictionReport
    stages: tuple[StageReport, ...]
    parts: tuple[PartReport, ...]
    crossbars: tuple[CrossbarReport, ...]
    adcs: tuple[AdcReport, ...]
    cores: tuple[CoreReport, ...]
    streams: tuple[StreamReport, ...]
    host: tuple[HostReport, ...]
    border: tuple[BorderReport, ...]
    diagnostics: tuple[NoteReport, ...]
