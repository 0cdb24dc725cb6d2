"""How many copies of each layer, lying in which way: solvers for that; see docs/mapping.md."""
