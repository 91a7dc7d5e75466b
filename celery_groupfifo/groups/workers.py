"""The answers of the living workers, within a time limit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from celery import Celery

from celery_groupfifo.gate.servers import broker_connection
from celery_groupfifo.masks import masked
from celery_groupfifo.printing import escaping
from celery_groupfifo.worker.inspect import STATS

logger = escaping(logging.getLogger(__name__))

#: Seconds after which a worker without an answer counts as silent.
WORKER_PATIENCE = 1.0


def pool_of(stats: Mapping[str, Any]) -> str:
    """Return the name of a worker's pool from its statistics: `prefork`, `thread`, `solo`, …; empty: unknown."""
    pool = stats.get("pool") or {}
    return str(pool.get("implementation", "")).split(":")[0].rpartition(".")[2]


class Workers:
    """The workers, asked through Celery's remote control.

    Only questions that every worker of Celery knows go to all: an unknown one would be an error in a worker's log.

    Args:
        app: Of the workers.
        patience: Seconds to wait for answers.

    Attributes:
        error: The reason why the last question could not be sent; empty: it was sent.
    """

    def __init__(self, app: Celery, patience: float = WORKER_PATIENCE) -> None:
        self._app, self._patience = app, patience
        self.error = ""

    def leases(self, worker: str) -> list[dict[str, Any]] | None:
        """Return the leases that a worker says it holds; None when it does not answer."""
        answer = self.ask(lambda inspect: inspect._request("groupfifo_leases"), [worker]).get(worker)
        return None if answer is None else answer if isinstance(answer, list) else []

    def queues(self) -> dict[str, list[str]]:
        """Return the queues of each answering worker."""
        answers = self.ask(lambda inspect: inspect.active_queues())
        return {worker: [queue["name"] for queue in queues or ()] for worker, queues in answers.items()}

    def stats(self, destination: list[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return Celery's statistics of each answering worker; under `groupfifo` those of its groups, if it has any."""
        answers = self.ask(lambda inspect: inspect.stats(), destination)
        return {worker: answer for worker, answer in answers.items() if isinstance(answer, dict)}

    @staticmethod
    def unaware(stats: Mapping[str, dict[str, Any]], workers: Iterable[str]) -> list[str]:
        """Return those of the workers whose statistics say that their apps know no groups."""
        return sorted(worker for worker in workers if worker in stats and STATS not in stats[worker])

    def ask(self, call: Callable[[Any], Any], destination: list[str] | None = None) -> dict[str, Any]:
        """Ask one question, over a connection of its own, and return the answers by worker.

        Returns {} when it could not be asked, see `error`. A worker asks in a thread: with the app's pools, a child
        forked meanwhile would inherit the connection in use, and wait for an answer that its parent reads.
        """
        control = self._app.control.__class__(self._app)
        control.mailbox.producer_pool = None
        self.error = ""
        try:
            with broker_connection(self._app) as connection:
                inspect = control.inspect(
                    destination=destination,
                    timeout=self._patience,
                    limit=len(destination) if destination else None,
                    connection=connection,
                )
                return dict(call(inspect) or {})
        except Exception as error:  # any broker may raise anything, and the gate's answer does not need it
            logger.info("No worker could be asked: %r", error)
            said = masked(str(error)).rstrip(".") or type(error).__name__
            self.error = "the broker's Redis is full" if "used memory > 'maxmemory'" in said else said
            return {}
