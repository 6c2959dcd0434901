"""What a run imports in the end; but Prefect, which reads the environment when it is imported."""

import gc
import os
from importlib import import_module

from benchmarks.faults.warm import FIXED

os.environ |= FIXED

for _name in (
    "datasets",
    "flows.align",
    "flows.planning",
    "flows.verbs.run",
    "matplotlib.figure",
    "prefopt_core.generation.transformers_local",
    "prefopt_core.models.start",
    "prefopt_core.scoring.transformers_local",
    "prefopt_core.training.trl_dpo",
    "prefopt_core.worlds.helpdesk",
    "scipy.stats",
    "sklearn",
    "transformers.models.llama.modeling_llama",
    "trl.trainer.dpo_trainer",
):
    import_module(_name)

# They stay: no run that collects garbage, as each does that unloads a model, has to visit them.
gc.collect()
gc.freeze()
