"""The table of lowering rules: ONNX operators by domain and name, all of them in one place.

An operator that is not here stays an operator of the host.  Rules know every version of their
operator from opset 7 on and tell them apart by `Call.version` or by what the node carries.
"""

from __future__ import annotations

from nmc.frontend.call import Rule
from nmc.frontend.rules_contrib import CONTRIB_RULES
from nmc.frontend.rules_elementwise import ELEMENTWISE_RULES
from nmc.frontend.rules_matrix import MATRIX_RULES
from nmc.frontend.rules_ml import ML_RULES
from nmc.frontend.rules_norm import NORM_RULES
from nmc.frontend.rules_quant import QUANT_RULES
from nmc.frontend.rules_resize import RESIZE_RULES
from nmc.frontend.rules_shape import SHAPE_RULES
from nmc.frontend.rules_windows import WINDOW_RULES

__all__ = ["RULES"]

RULES: dict[tuple[str, str], Rule] = {
    **{("", op): rule for op, rule in MATRIX_RULES.items()},
    **{("", op): rule for op, rule in ELEMENTWISE_RULES.items()},
    **{("", op): rule for op, rule in NORM_RULES.items()},
    **{("", op): rule for op, rule in WINDOW_RULES.items()},
    **{("", op): rule for op, rule in SHAPE_RULES.items()},
    **{("", op): rule for op, rule in RESIZE_RULES.items()},
    **{("", op): rule for op, rule in QUANT_RULES.items()},
    **{("ai.onnx.ml", op): rule for op, rule in ML_RULES.items()},
    **{("com.microsoft", op): rule for op, rule in CONTRIB_RULES.items()},
}
