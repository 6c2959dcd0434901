"""Columns of candidate files.

What is a response, and what only stands beside one.
"""

import pytest

from prefopt_core.inputs.candidates import read_candidates


@pytest.mark.case(
    "A column `response`, a row a response",
    reports="–",
    before="read",
    expected="Red., Blue.",
)
def test_a_row_a_response(tmp_path):
    file = tmp_path / "pool.csv"
    file.write_text("prompt,response\nWhich colour?,Red.\nWhich colour?,Blue.\n")
    (given,) = read_candidates(file, None, "error").values()
    return ", ".join(response.text for response in given)
