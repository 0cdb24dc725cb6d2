"""Ways in which a layer's matrix can lie on crossbars, and what each costs; see docs/mapping.md."""
