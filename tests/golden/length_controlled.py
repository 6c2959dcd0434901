"""Record what the package alpaca_eval says of some judgments: tests/golden/length_controlled.json.

In an environment of its own: `pip install alpaca_eval==0.6.6`, then
`python tests/golden/length_controlled.py`. The package reads the difficulty of its instructions
from a hub; here that is a table of zeros, which `length_controlled_minimal` does not use.
"""

import json
import tempfile
from pathlib import Path


def judgments(n, seed, liked, decided):
    """Preferences that grow with the length of the answer, by `liked`, and lengths."""
    import numpy as np

    rng = np.random.default_rng(seed)
    baseline, model = rng.integers(20, 1500, n), rng.integers(20, 2500, n)
    logit = rng.normal(-0.3, 1.0, n) + liked * np.tanh((model - baseline) / 800)
    preference = np.round(1 / (1 + np.exp(-logit)), 6)
    if decided:
        preference = np.where(abs(preference - 0.5) < 0.05, 0.5, np.round(preference))
    return {
        "preference": preference.tolist(),
        "length": model.tolist(),
        "reference_length": baseline.tolist(),
    }


def recorded(games):
    """The package's figures, as shares."""
    import pandas as pd
    from alpaca_eval.metrics import glm_winrate, winrate

    n = len(games["preference"])
    rows = pd.DataFrame(
        {
            "index": range(n),
            "output_1": ["x" * length for length in games["reference_length"]],
            "output_2": ["x" * length for length in games["length"]],
            "preference": [1 + p for p in games["preference"]],
            "generator_1": "reference",
            "generator_2": "model",
            "annotator": "recorded",
        }
    )
    plain = winrate.get_winrate(rows)
    with tempfile.TemporaryDirectory() as folder:
        table = pd.DataFrame({"model": "", "index": range(n), "instruction_difficulty": 0.0})
        table.to_csv(Path(folder) / "df_gamed.csv", index=False)
        glm_winrate.hf_hub_download = lambda filename, **_: str(Path(folder) / filename)
        controlled = glm_winrate.get_length_controlled_winrate(
            rows, glm_name="length_controlled_minimal", save_weights_dir=None
        )
    return {
        "win_rate": plain["win_rate"] / 100,
        "standard_error": plain["standard_error"] / 100,
        "discrete_win_rate": plain["discrete_win_rate"] / 100,
        "length_controlled_win_rate": controlled["length_controlled_winrate"] / 100,
    }


def main():
    cases = [(60, 0, 2.0, False), (101, 1, -1.5, True), (200, 2, 0.0, False), (40, 3, 4.0, True)]
    found = [{**(games := judgments(*case)), "says": recorded(games)} for case in cases]
    Path(__file__).with_suffix(".json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
