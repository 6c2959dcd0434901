"""Pool strategies: which rows of a large pool, prompts or pairs, are worth a label.

A selection strategy chooses among the few responses to one prompt; a pool strategy chooses among
10⁵ to 10⁷ embeddings, in bounded memory. To add one, write `prefopt_core/pool/<name>.py` with a
function of the `PoolStrategy` type and add its line to `POOL_STRATEGIES`.
"""

from prefopt_core.ground.registry import Registry
from prefopt_core.pool.points import Picked, Pool, PoolStrategy

POOL_STRATEGIES: Registry[PoolStrategy] = Registry(
    "pool strategy",
    {
        "aepo": "prefopt_core.pool.aepo:select",
        "coreset": "prefopt_core.pool.coreset:select",
        "facility_location": "prefopt_core.pool.facility_location:select",
        "k_means": "prefopt_core.pool.k_means:select",
        "random": "prefopt_core.pool.uniform:select",
    },
    "prefopt.pool_strategies",
)

__all__ = ["POOL_STRATEGIES", "Picked", "Pool", "PoolStrategy"]
