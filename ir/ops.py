"""What a node can compute: one frozen dataclass of attributes per operation.

An op is only the static half of a node, so it is hashable, comparable, printable and parseable.
`OPS` lists all of them, by role.  Rules of types are in `nmc.ir.types`, numpy semantics in
`nmc.ir.interpreter`, both keyed by class; a test demands an entry of each for every op here.

Ops mirror ONNX in meaning and layout (channels second), in a normal form: attributes are resolved
(no auto_pad, no negative axes), what ONNX passes as shape-like inputs is an attribute here, and
`Gemm`, `Split`, `Sum`, `GlobalAveragePool`, `Flatten`... arrive as simpler ops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["OPS", "OP_BY_NAME", "Op"]

Ints = tuple[int, ...]


@dataclass(frozen=True)
class Op:
    """Base of all ops.  `name` is the op's spelling in the text form."""

    name: ClassVar[str]


# Matrices


@dataclass(frozen=True)
class Conv(Op):
    """``%y = conv %x, @w, @b {strides pads dilations group}``: ONNX Conv; bias optional.

    x[N,C,*D], w[M,C/group,*K], b[M].  pads are begins, then ends, as in ONNX.
    """

    name = "conv"
    strides: Ints
    pads: Ints
    dilations: Ints
    group: int = 1


@dataclass(frozen=True)
class ConvTranspose(Op):
    """``%y = conv_transpose %x, @w, @b {...}``: ONNX ConvTranspose; w[C,M/group,*K]."""

    name = "conv_transpose"
    strides: Ints
    pads: Ints
    dilations: Ints
    output_padding: Ints
    group: int = 1


@dataclass(frozen=True)
class MatMul(Op):
    """``%y = matmul %a, %b``: numpy matmul, batch dimensions broadcast."""

    name = "matmul"


# Elementwise, two operands, numpy broadcasting


@dataclass(frozen=True)
class Binary(Op):
    """Base of the two-operand elementwise ops."""


@dataclass(frozen=True)
class Add(Binary):
    name = "add"


@dataclass(frozen=True)
class Sub(Binary):
    name = "sub"


@dataclass(frozen=True)
class Mul(Binary):
    name = "mul"


@dataclass(frozen=True)
class Div(Binary):
    name = "div"


@dataclass(frozen=True)
class Min(Binary):
    name = "min"


@dataclass(frozen=True)
class Max(Binary):
    name = "max"


@dataclass(frozen=True)
class Pow(Binary):
    name = "pow"


@dataclass(frozen=True)
class PRelu(Binary):
    """``%y = prelu %x, @slope``: x where x >= 0, slope * x elsewhere."""

    name = "prelu"


# Elementwise, one operand


@dataclass(frozen=True)
class Unary(Op):
    """Base of the one-operand elementwise ops."""


@dataclass(frozen=True)
class Relu(Unary):
    name = "relu"


@dataclass(frozen=True)
class LeakyRelu(Unary):
    name = "leaky_relu"
    alpha: float = 0.01


@dataclass(frozen=True)
class Clip(Unary):
    """``%y = clip %x {lo hi}``: bounds are attributes; infinite where ONNX gives none."""

    name = "clip"
    lo: float
    hi: float


@dataclass(frozen=True)
class Sigmoid(Unary):
    name = "sigmoid"


@dataclass(frozen=True)
class HardSigmoid(Unary):
    name = "hard_sigmoid"
    alpha: float = 0.2
    beta: float = 0.5


@dataclass(frozen=True)
class HardSwish(Unary):
    name = "hard_swish"


@dataclass(frozen=True)
class Tanh(Unary):
    name = "tanh"


@dataclass(frozen=True)
class Exp(Unary):
    name = "exp"


@dataclass(frozen=True)
class Log(Unary):
    name = "log"


@dataclass(frozen=True)
class Sqrt(Unary):
    name = "sqrt"


@dataclass(frozen=True)
class Reciprocal(Unary):
    name = "reciprocal"


@dataclass(frozen=True)
class Abs(Unary):
    name = "abs"


@dataclass(frozen=True)
class Neg(Unary):
    name = "neg"


@dataclass(frozen=True)
class Sign(Unary):
    name = "sign"


@dataclass(frozen=True)
class Erf(Unary):
    name = "erf"


@dataclass(frozen=True)
class Gelu(Unary):
    """``%y = gelu %x {approximate}``: approximate is "none" or "tanh"."""

    name = "gelu"
    approximate: str = "none"


@dataclass(frozen=True)
class Elu(Unary):
    name = "elu"
    alpha: float = 1.0


@dataclass(frozen=True)
class Selu(Unary):
    name = "selu"
    alpha: float = 1.6732632423543772
    gamma: float = 1.0507009873554805


@dataclass(frozen=True)
class Celu(Unary):
    name = "celu"
    alpha: float = 1.0


@dataclass(frozen=True)
class Softplus(Unary):
    name = "softplus"


@dataclass(frozen=True)
class Softsign(Unary):
    name = "softsign"


@dataclass(frozen=True)
class Mish(Unary):
    name = "mish"


@dataclass(frozen=True)
class ThresholdedRelu(Unary):
    name = "thresholded_relu"
    alpha: float = 1.0


@dataclass(frozen=True)
class Floor(Unary):
    name = "floor"


@dataclass(frozen=True)
class Ceil(Unary):
    name = "ceil"


@dataclass(frozen=True)
class Round(Unary):
    """``%y = round %x``: half to even."""

    name = "round"


# Normalisation


@dataclass(frozen=True)
class BatchNorm(Op):
    """``%y = batch_norm %x, @scale, @shift, @mean, @variance {epsilon}``: inference form."""

    name = "batch_norm"
    epsilon: float = 1e-5


@dataclass(frozen=True)
class InstanceNorm(Op):
    """``%y = instance_norm %x, @scale, @shift {epsilon}``."""

    name = "instance_norm"
    epsilon: float = 1e-5


@dataclass(frozen=True)
class LayerNorm(Op):
    """``%y = layer_norm %x, @scale, @shift {axis epsilon}``: over axes from `axis` on."""

    name = "layer_norm"
    axis: int
    epsilon: float = 1e-5


@dataclass(frozen=True)
class Lrn(Op):
    """``%y = lrn %x {size alpha beta bias}``: across channels, as ONNX LRN."""

    name = "lrn"
    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0


@dataclass(frozen=True)
class Softmax(Op):
    """``%y = softmax %x {axis}``: along one axis (opset 13 meaning)."""

    name = "softmax"
    axis: int


@dataclass(frozen=True)
class LogSoftmax(Op):
    name = "log_softmax"
    axis: int


# Pooling and reduction


@dataclass(frozen=True)
class MaxPool(Op):
    """``%y = max_pool %x {kernel strides pads dilations ceil_mode}``: pads begins, then ends."""

    name = "max_pool"
    kernel: Ints
    strides: Ints
    pads: Ints
    dilations: Ints
    ceil_mode: bool = False


@dataclass(frozen=True)
class AvgPool(Op):
    name = "avg_pool"
    kernel: Ints
    strides: Ints
    pads: Ints
    dilations: Ints
    ceil_mode: bool = False
    count_include_pad: bool = False


@dataclass(frozen=True)
class Reduce(Op):
    """``%y = reduce %x {kind axes keepdims}``.

    kind: sum, mean, max, min, prod, l1, l2, sum_square, log_sum, log_sum_exp.
    """

    name = "reduce"
    kind: str
    axes: Ints
    keepdims: bool = True


@dataclass(frozen=True)
class ArgMax(Op):
    name = "arg_max"
    axis: int
    keepdims: bool = True
    select_last: bool = False


# Shape


@dataclass(frozen=True)
class Reshape(Op):
    name = "reshape"
    shape: Ints


@dataclass(frozen=True)
class Transpose(Op):
    name = "transpose"
    perm: Ints


@dataclass(frozen=True)
class Concat(Op):
    name = "concat"
    axis: int


@dataclass(frozen=True)
class Slice(Op):
    """``%y = slice %x {starts ends axes steps}``: resolved to 0 <= start, end (or -1 when a
    negative step runs down to the first element); Split arrives as slices."""

    name = "slice"
    starts: Ints
    ends: Ints
    axes: Ints
    steps: Ints


@dataclass(frozen=True)
class Pad(Op):
    """``%y = pad %x {pads mode value}``: pads begins, then ends, of all axes; may be negative."""

    name = "pad"
    pads: Ints
    mode: str = "constant"
    value: float = 0.0


@dataclass(frozen=True)
class Expand(Op):
    name = "expand"
    shape: Ints


@dataclass(frozen=True)
class Gather(Op):
    """``%y = gather %x, @indices {axis}``."""

    name = "gather"
    axis: int


@dataclass(frozen=True)
class DepthToSpace(Op):
    """mode is "DCR" or "CRD"."""

    name = "depth_to_space"
    block: int
    mode: str = "DCR"


@dataclass(frozen=True)
class SpaceToDepth(Op):
    name = "space_to_depth"
    block: int


@dataclass(frozen=True)
class Resize(Op):
    """``%y = resize %x {factors}``: nearest neighbour by whole factors per axis (asymmetric,
    floor); other resizes stay opaque."""

    name = "resize"
    factors: Ints


@dataclass(frozen=True)
class Cast(Op):
    name = "cast"
    to: str


# Numbers: between reals and stored integers (docs/machine.md, Numbers)


@dataclass(frozen=True)
class Quantize(Op):
    """``%y = quantize %x {scale zero_point dtype}``: f32 to u8 or i8, round half to even.

    scale and zero_point are scalars for activations.  On float *weights* of a model that brings
    QDQ nodes this op never appears: the importer folds constants.
    """

    name = "quantize"
    scale: float
    zero_point: int
    dtype: str = "u8"


@dataclass(frozen=True)
class Dequantize(Op):
    """``%y = dequantize %x {scale zero_point}``: f32 (x - zero_point) * scale."""

    name = "dequantize"
    scale: float
    zero_point: int


@dataclass(frozen=True)
class DequantizeAxis(Op):
    """``%y = dequantize_axis @w, @scale, @zero_point {axis}``: per-axis form, of weights."""

    name = "dequantize_axis"
    axis: int


@dataclass(frozen=True)
class FlipSign(Op):
    """``%y = flip_sign %x``: i8 to u8 by adding 128, u8 to i8 by subtracting it."""

    name = "flip_sign"


@dataclass(frozen=True)
class QConv(Op):
    """``%y = qconv %x, @w, @bias, @multiplier {...}``: integer convolution with requantisation.

    x u8[N,C,*D], w i8[M,C/group,*K], bias i32[M], multiplier f32[M].
    acc = sum (x - x_zero_point) * w + bias, in int32, padding counting as zero;
    out "u8": clip(round_half_even(acc * multiplier) + y_zero_point, lo, hi);
    out "f32": float32(acc) * multiplier.
    """

    name = "qconv"
    strides: Ints
    pads: Ints
    dilations: Ints
    group: int
    x_zero_point: int
    y_zero_point: int = 0
    lo: int = 0
    hi: int = 255
    out: str = "u8"


@dataclass(frozen=True)
class QMatMul(Op):
    """``%y = qmatmul %x, @w, @bias, @multiplier {...}``: as `qconv`; x u8[...,K], w i8[K,N]."""

    name = "qmatmul"
    x_zero_point: int
    y_zero_point: int = 0
    lo: int = 0
    hi: int = 255
    out: str = "u8"


@dataclass(frozen=True)
class QAvgPool(Op):
    """``%y = qavg_pool %x {... scale x_zero_point y_zero_point}``: average of u8 in integers.

    s = sum over the window of (x - x_zero_point), exact;
    y = clip(round_half_even(float32(s) * M) + y_zero_point, 0, 255), M = float32(scale / count),
    where scale is s_x / s_y and count is the window's divisor at that place, by ONNX's rules.
    """

    name = "qavg_pool"
    kernel: Ints
    strides: Ints
    pads: Ints
    dilations: Ints
    scale: float
    x_zero_point: int
    y_zero_point: int
    ceil_mode: bool = False
    count_include_pad: bool = False


@dataclass(frozen=True)
class QReduceMean(Op):
    """``%y = qreduce_mean %x {axes keepdims scale ...}``: as `qavg_pool` over whole axes."""

    name = "qreduce_mean"
    axes: Ints
    keepdims: bool
    scale: float
    x_zero_point: int
    y_zero_point: int


@dataclass(frozen=True)
class Lut(Op):
    """``%y = lut %x, @table``: y = table[x], table u8[256]; any unary function, requantisation."""

    name = "lut"


# Opaque


@dataclass(frozen=True)
class Onnx(Op):
    """``%y = onnx %x, ... {op domain version attributes}``: an operator that only the host knows.

    `attributes` is the ONNX NodeProto's attribute list as canonical JSON (protobuf's mapping).
    """

    name = "onnx"
    op: str
    domain: str
    version: int
    attributes: str = "[]"


OPS: tuple[type[Op], ...] = (
    # matrices
    Conv,
    ConvTranspose,
    MatMul,
    # elementwise
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Pow,
    PRelu,
    Relu,
    LeakyRelu,
    Clip,
    Sigmoid,
    HardSigmoid,
    HardSwish,
    Tanh,
    Exp,
    Log,
    Sqrt,
    Reciprocal,
    Abs,
    Neg,
    Sign,
    Erf,
    Gelu,
    Elu,
    Selu,
    Celu,
    Softplus,
    Softsign,
    Mish,
    ThresholdedRelu,
    Floor,
    Ceil,
    Round,
    # normalisation
    BatchNorm,
    InstanceNorm,
    LayerNorm,
    Lrn,
    Softmax,
    LogSoftmax,
    # pooling and reduction
    MaxPool,
    AvgPool,
    Reduce,
    ArgMax,
    # shape
    Reshape,
    Transpose,
    Concat,
    Slice,
    Pad,
    Expand,
    Gather,
    DepthToSpace,
    SpaceToDepth,
    Resize,
    Cast,
    # numbers
    Quantize,
    Dequantize,
    DequantizeAxis,
    FlipSign,
    QConv,
    QMatMul,
    QAvgPool,
    QReduceMean,
    Lut,
    # opaque
    Onnx,
)

OP_BY_NAME: dict[str, type[Op]] = {op.name: op for op in OPS}
