"""The page on which people label, served from this machine: `prefopt annotate`."""

from prefopt_core.ground.errors import PrefoptError
from prefopt_core.store.store import Store


def done(store: Store) -> None:
    """Called once a batch has all its labels: deployed runs that wait for them go on.

    Args:
        store: The store whose labels are complete.
    """
    from flows.server import usual_server

    try:
        if usual_server() is None:
            return
        from flows.waiting import resume  # imports Prefect, which reads the server's address

        if resumed := resume(store):
            print(f"{resumed} deployed {'run goes' if resumed == 1 else 'runs go'} on.", flush=True)
    except PrefoptError as error:
        print(f"No deployed run could be resumed: {error}", flush=True)
