"""The warnings about unsafe surroundings of the gate, logged once at a worker's start.

Only the gate's Redis is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from celery.utils.imports import symbol_by_name
from celery.utils.log import get_logger

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.printing import escaping

logger = escaping(get_logger(__name__))

#: By name: the module is in a layer above the worker, and needed only here.
EXAMINE = "celery_groupfifo.groups.doctor:unsafe_findings"


def start(app: Any) -> None:
    """Examine in a thread (a greenlet where threads are patched), as a start waits for no answer.

    The import comes first: a child forked during an import inherits its lock, and no thread that releases it.
    """
    examine = symbol_by_name(EXAMINE)
    threading.Thread(target=tell, args=(examine, app), name="groupfifo-advice", daemon=True).start()


def tell(examine: Callable[[Any], Iterable[Any]], app: Any) -> None:
    """Log a line for each unsafe finding; errors are logged, too."""
    try:
        for check in examine(app):
            logger.warning("Unsafe (%s): %s %s Remedy: %s", check.name, check.what, check.why, check.remedy)
    except GroupFifoError as error:
        logger.info("The surroundings of the gate could not be checked: %s", error)
    except Exception:  # a thread that only advises: its errors are logged, and the worker goes on
        logger.exception("The surroundings of the gate could not be checked.")
