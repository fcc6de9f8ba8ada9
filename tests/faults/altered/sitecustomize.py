"""Loaded by a child that is to be altered: one that is killed at a point, or a wrong program."""

import os

if "POINTS" in os.environ:
    import points

    points.watch(os.environ["POINTS"], kill_at=os.environ["KILL_AT"])
if "VARIANT" in os.environ:
    import variants

    variants.NAMED[os.environ["VARIANT"]]()
