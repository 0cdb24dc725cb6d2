"""What we claim about speed, memory and mapping: one command for each figure."""
