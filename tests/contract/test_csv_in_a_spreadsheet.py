"""The file as LibreOffice reads it: each cell as it was, and no formula among them.

The columns are imported as text, as the README says; and as LibreOffice would take them by itself.
"""

import csv
import os
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest
from test_csv_file import NAMES, Export, request

from clio_broadly_sync.sinks.customers import name_of

OFFICE = shutil.which("soffice")
TEXT, STANDARD = 2, 1
"""How a column is imported. Source: LibreOffice's help, "Filter Options for CSV", token 5."""
SECONDS = 120

pytestmark = pytest.mark.skipif(OFFICE is None, reason="no LibreOffice (soffice) on this machine")


def converted(file: Path, columns: int, kind: int) -> list[list[str]]:
    """Return the cells of a file as LibreOffice has read it, with formulas instead of values."""
    formats = "/".join(f"{number}/{kind}" for number in range(1, columns + 1))
    home = file.parent / "office"
    subprocess.run(
        [
            str(OFFICE), f"-env:UserInstallation={home.as_uri()}", "--headless",
            f"--infilter=CSV:44,34,76,1,{formats}",
            "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,true",
            "--outdir", str(file.parent / "out"), str(file),
        ],
        check=True, timeout=SECONDS, capture_output=True, env={**os.environ, "HOME": str(home)},
    )  # fmt: skip
    with (file.parent / "out" / file.name).open(encoding="utf-8-sig", newline="") as text:
        return list(csv.reader(text, strict=True))[1:]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)


def test_imported_as_text(export: Export) -> None:
    """Every cell comes back as it stands in the file."""
    requests = [
        request(number, first_name=name, last_name="O'Neil", email=f"c{number}@example.com",
                phone="+14155550123")
        for number, name in enumerate(NAMES, 1)
    ]  # fmt: skip
    content = export.write(*requests)
    written = list(csv.reader(content.decode("utf-8-sig").splitlines(), strict=True))[1:]
    assert converted(export.path, 8, TEXT) == written


def test_nothing_becomes_a_formula(export: Export) -> None:
    """Not even where somebody just opens it."""
    sums = ["=1+1", "+1+1", "-1+1", "@SUM(1,1)", "=cmd|' /C calc'!A0"]
    export.write(*(request(n, last_name=name, company_name=name) for n, name in enumerate(sums, 1)))
    read = converted(export.path, 8, STANDARD)
    assert [row[1].lstrip("'") for row in read] == [name_of(name) for name in sums]
    assert date(2026, 11, 20).isoformat() in read[0][7]
