"""What runs in the pool, around Celery's own function: it brings the continuation of a run to the main process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore, Retry

from celery_groupfifo.context import Continuation, continuing
from celery_groupfifo.model import HEADER, KEY_HEADER, Entry, Ticket

#: Place of the request among the arguments of Celery's function.
REQUEST = 2


def traced(target: Callable[..., Any], *args: Any) -> Any:
    """Run a task of a group.

    Args:
        target: Celery's function that runs a task.
        *args: For it; the third one is the request.

    Returns:
        What it returns; with one item more, the entry, when something has been sent under the run's id.
    """
    request = args[REQUEST]
    ticket = Ticket.parse(request[HEADER])
    if ticket is None:
        return target(*args)
    continuation = Continuation(ticket, request[KEY_HEADER], request.get("retries") or 0)
    with continuing(continuation):
        try:
            result = target(*args)
        except MemoryError:
            raise
        except Exception:
            # What was sent is sent: a result backend that is away, say, must not undo it.
            if continuation.entry is None:
                raise
            result = (1, _outcome(continuation), 0.0)
    entry = continuation.close()
    return result if entry is None else (*result, entry)


def _outcome(continuation: Continuation) -> ExceptionInfo:
    try:
        raise Retry("retried") if continuation.is_retry else Ignore("replaced")
    except (Retry, Ignore):
        return ExceptionInfo()


def split(result: tuple[Any, ...]) -> tuple[tuple[Any, ...], Entry | None]:
    """Split a result of `traced` into Celery's and the continuation."""
    return (result[:3], result[3]) if len(result) > 3 else (result, None)
