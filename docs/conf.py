"""Sphinx: `pip install -e ".[docs]" && python -m sphinx -W docs docs/_build`."""

from __future__ import annotations

import nmc

project = "nmc"
author = "The nmc authors"
release = nmc.__version__
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"nmc {release}"
myst_heading_anchors = 3
# Links to source files of the repository are good on GitHub, and no pages of the manual.
suppress_warnings = ["myst.xref_missing"]
