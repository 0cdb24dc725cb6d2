"""How the pass `quantize` works: roles, normal form, pairs from calibration, fusing to integers."""
