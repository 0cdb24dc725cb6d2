"""The nouns: graph, target, mapping, program and diagnostics; data, text forms and verifiers."""
