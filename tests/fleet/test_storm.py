"""40 firms, whose workers are killed and frozen, and whose database is cut and crashes."""

from pathlib import Path

from fleet import storm

SEED = 16
"""With it only one of the faults comes as soon as the one before is over, when hardly anybody is
being sent."""


def test_a_storm_loses_nobody_and_asks_nobody_twice_or_against_their_will(tmp_path: Path) -> None:
    ran = storm.run(tmp_path, SEED, firms=40, faults=storm.each_once)
    assert not ran.flaws, str(ran)
