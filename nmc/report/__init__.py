"""Renders diagnostics and reports for people: terminal, CSV, plain dictionaries for JSON."""
