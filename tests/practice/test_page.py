"""The page lists the cases that there are, and no others; that each row is true, the cases see."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "practice.md"


@pytest.mark.slow
def test_the_page_has_a_row_for_every_case():
    listed = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [line for line in listed if not line.startswith("| situation |")]
    command = [sys.executable, "-m", "pytest", HERE, "--collect-only", "--quiet", "-m", "case"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert len(rows) == sum("::" in line for line in output.splitlines())
