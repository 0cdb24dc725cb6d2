"""Options that several commands take, and how their texts are read."""

from __future__ import annotations

import rich_click as click

__all__ = [
    "calib_option",
    "host_ops_option",
    "input_shape_option",
    "mesh_option",
    "seed_option",
    "set_option",
    "target_option",
]

target_option = click.option(
    "-t",
    "--target",
    default="spin-128",
    show_default=True,
    metavar="NAME|FILE.toml",
    help="The chip: a shipped one (nmc targets) or a file of your own.",
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the target, such as crossbar.rows=256; repeatable.",
)
calib_option = click.option(
    "--calib",
    multiple=True,
    metavar="DATA",
    help="Inputs like those the model will see: X.npz, X.npz:KEY, X.npy, NAME=X.npy, random:SEED.",
)
input_shape_option = click.option(
    "--input-shape",
    "input_shapes",
    multiple=True,
    metavar="NAME=SIZES",
    help="Sizes of an input that the model leaves open: audio=1,98,40; repeatable.",
)
seed_option = click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Of all that is random.",
)
mesh_option = click.option(
    "--mesh",
    default="",
    metavar="WxH|auto",
    help="Columns x rows of cores; auto: the smallest mesh that holds the model.",
)
host_ops_option = click.option(
    "--host-ops",
    type=click.Choice(["allow", "deny"]),
    default="allow",
    show_default=True,
    help="Whether the host may do what the chip can't.",
)
