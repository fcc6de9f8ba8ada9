"""Alters the child that loads it, as the environment says.

The child may be killed at a point, may not have what it needs, or may be a wrong program.
"""

import os

if "POINTS" in os.environ:
    import points

    points.watch(os.environ["POINTS"], kill_at=os.environ["KILL_AT"])
if "FIRM_ADDRESS" in os.environ:
    import limits

    limits.in_a_firm(os.environ["FIRM_ADDRESS"])
if "NO_LOCK" in os.environ:
    import limits

    limits.no_lock()
if "NO_WAITS" in os.environ:
    import limits

    limits.no_waits()
if "FILE_BYTES" in os.environ:
    import limits

    limits.file_bytes(int(os.environ["FILE_BYTES"]))
if "SMALL_FILES" in os.environ:
    import limits

    limits.small_files(int(os.environ["SMALL_FILES"]))
if "SECONDS_FOR_AN_ANSWER" in os.environ:
    import limits

    limits.seconds_for_an_answer(float(os.environ["SECONDS_FOR_AN_ANSWER"]))
if "VARIANT" in os.environ:
    import variants

    variants.NAMED[os.environ["VARIANT"]]()
