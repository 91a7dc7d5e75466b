"""Parks that wait for replicas, see `Settings.wait_replicas`: a task that they have is not lost in a failover.

WAIT goes out behind the park, on its connection and in the same write. Other steps need none. What a replica has is
the first part of all writes. So when the begin or the end of a run is lost, its task is still there, and runs again
under a higher fence; and what a run has sent to groups of its own partition is lost only together with its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_groupfifo.errors import GroupFifoError, NotReplicated
from celery_groupfifo.gate.packing import ScriptArguments
from celery_groupfifo.gate.store import Store


def accept(store: Store, replicas: int, script: str, call: ScriptArguments) -> tuple[Any, NotReplicated | None]:
    """Run a script that accepts a task, and wait for replicas.

    Args:
        store: Runs it.
        replicas: That have to confirm it; 0: it does not wait.
        script: Its name.
        call: Its keys and arguments.

    Returns:
        Its reply; and the error of too few replicas, or None.

    Raises:
        GroupFifoError: See `Store.run`.
    """
    if not replicas:
        return store.run(script, *call), None
    replies, few = accept_all(store, replicas, script, [call])
    if isinstance(replies[0], GroupFifoError):
        raise replies[0]
    return replies[0], few


def accept_all(
    store: Store, replicas: int, script: str, calls: Sequence[ScriptArguments]
) -> tuple[list[Any], NotReplicated | None]:
    """Run a script that accepts tasks many times, see `accept` and `Store.run_all`."""
    try:
        return store.run_all(script, calls, replicas), None
    except NotReplicated as few:
        return few.replies, few
