"""What is unsafe around the gate, said once in the log of a worker that starts. Only the gate's Redis is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from celery.utils.imports import symbol_by_name
from celery.utils.log import get_logger

from celery_groupfifo.errors import GroupFifoError

logger = get_logger(__name__)

#: Named: it is above the worker, and needed only here.
EXAMINE = "celery_groupfifo.groups.doctor:unsafe_findings"


def start(app: Any) -> None:
    """Examine in a thread (a greenlet where threads are patched): a start waits for no answer.

    Imported before: a child that is forked during an import inherits its lock, and nobody to release it.
    """
    examine = symbol_by_name(EXAMINE)
    threading.Thread(target=tell, args=(examine, app), name="groupfifo-advice", daemon=True).start()


def tell(examine: Callable[[Any], Iterable[Any]], app: Any) -> None:
    """Log a line for each finding that is unsafe. Nothing is raised."""
    try:
        for check in examine(app):
            logger.warning("Unsafe (%s): %s %s Remedy: %s", check.name, check.what, check.why, check.remedy)
    except GroupFifoError as error:
        logger.info("What is around the gate was not examined: %s", error)
    except Exception:
        logger.exception("What is around the gate was not examined.")
