"""Changes the clocks of the child that loads it: CLOCK_AHEAD seconds ahead, or still at CLOCK_AT.

Where SLEPT names a file that is there, the machine has slept for as many seconds as stand in it. Of
the clocks, only the one that counts sleep shows it.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

if "CLOCK_AT" in os.environ:
    time_machine.travel(datetime.fromisoformat(os.environ["CLOCK_AT"]), tick=False).start()
else:
    ahead = timedelta(seconds=float(os.environ["CLOCK_AHEAD"]))
    time_machine.travel(datetime.now(UTC) + ahead, tick=True).start()

if slept := os.environ.get("SLEPT"):
    clock_gettime = time.clock_gettime

    def with_sleep(clock: int) -> float:
        file = Path(slept)
        counts_sleep = clock == time.CLOCK_BOOTTIME and file.exists()
        return clock_gettime(clock) + (float(file.read_text()) if counts_sleep else 0.0)

    time.clock_gettime = with_sleep
