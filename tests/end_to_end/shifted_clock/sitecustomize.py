"""Changes the clocks of the child that loads it: its time runs ahead by CLOCK_AHEAD seconds.

Where SLEPT names a file that is there, the machine has slept for as many seconds as stand in it. Of
the clocks, only the one that counts sleep shows it.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

ahead = timedelta(seconds=float(os.environ.get("CLOCK_AHEAD", "0")))
time_machine.travel(datetime.now(UTC) + ahead, tick=True).start()

if slept := os.environ.get("SLEPT"):
    clock_gettime = time.clock_gettime

    def with_sleep(clock: int) -> float:
        file = Path(slept)
        counts_sleep = clock == time.CLOCK_BOOTTIME and file.exists()
        return clock_gettime(clock) + (float(file.read_text()) if counts_sleep else 0.0)

    time.clock_gettime = with_sleep
