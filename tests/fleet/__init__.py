"""Many firms in one database, and what befalls them; `python -m tests.fleet.storm` is the long one.

Whoever calls that has no pytest that finds the modules of the other tests.
"""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
for _folder in ("", "end_to_end", "faults"):
    if str(_TESTS / _folder) not in sys.path:
        sys.path.append(str(_TESTS / _folder))
