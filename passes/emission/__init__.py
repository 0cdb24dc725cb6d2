"""How the pass `codegen` writes programs: streams of instructions, stages, rows, constants."""
