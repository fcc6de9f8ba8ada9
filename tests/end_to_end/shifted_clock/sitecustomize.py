"""Changes the clocks of the child that loads it: CLOCK_AHEAD seconds ahead, or still at CLOCK_AT.
When a file was written, which the kernel notes by its own clock, is changed as much.

Where SLEPT names a file that is there, the machine has slept for as many seconds as stand in it. Of
the clocks, only the one that counts sleep shows it; the wall clock as well, where the word "set" is
behind the seconds. Where PEAK names a file, the child writes into it at its end how many kilobytes
it had in memory at the most: what the system tells the parent of that is never less than the parent
had itself.
"""

import atexit
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

before = time.time()
if "CLOCK_AT" in os.environ:
    time_machine.travel(datetime.fromisoformat(os.environ["CLOCK_AT"]), tick=False).start()
else:
    ahead = timedelta(seconds=float(os.environ["CLOCK_AHEAD"]))
    wall_clock = time_machine.travel(datetime.now(UTC) + ahead, tick=True).start()

shift = time.time() - before
status_of = os.stat


class Shifted:
    """The status of a file that was written `shift` seconds later."""

    def __init__(self, found: os.stat_result) -> None:
        self._found = found
        self.st_mtime = found.st_mtime + shift

    def __getattr__(self, name: str) -> object:
        return getattr(self._found, name)


os.stat = lambda *given, **named: Shifted(status_of(*given, **named))

if peak := os.environ.get("PEAK"):

    def tell_peak() -> None:
        status = Path("/proc/self/status").read_text()
        Path(peak).write_text(re.findall(r"VmHWM:\s*(\d+) kB", status)[0])

    atexit.register(tell_peak)

if slept := os.environ.get("SLEPT"):
    clock_gettime, set_on = time.clock_gettime, [False]

    def with_sleep(clock: int) -> float:
        file = Path(slept)
        if clock != time.CLOCK_BOOTTIME or not file.exists():
            return clock_gettime(clock)
        seconds, *is_set = file.read_text().split()
        if is_set and not set_on[0]:
            set_on[0] = True
            wall_clock.shift(float(seconds))
        return clock_gettime(clock) + float(seconds)

    time.clock_gettime = with_sleep
