"""Lets the clock of the child that loads it run ahead, by CLOCK_AHEAD seconds."""

import os
from datetime import UTC, datetime, timedelta

import time_machine

time_machine.travel(
    datetime.now(UTC) + timedelta(seconds=float(os.environ["CLOCK_AHEAD"])), tick=True
).start()
