"""The answers of the living workers, within a time limit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery

from celery_groupfifo.gate.servers import broker_connection

logger = logging.getLogger(__name__)

#: Seconds after which a worker without an answer counts as silent.
WORKER_PATIENCE = 1.0


class Workers:
    """The workers, asked through Celery's remote control.

    Args:
        app: Of the workers.
        patience: Seconds to wait for answers.
    """

    def __init__(self, app: Celery, patience: float = WORKER_PATIENCE) -> None:
        self._app, self._patience = app, patience

    def pid(self, worker: str, task_id: str, fence: int) -> int | None:
        """Return the process of a run; None when its worker does not say. An earlier run of the task may go on."""
        leases = self.ask(lambda inspect: inspect._request("groupfifo_leases"), [worker]).get(worker)
        for lease in leases if isinstance(leases, list) else ():
            if (lease["task_id"], lease["fence"]) == (task_id, fence):
                return None if lease["pid"] is None else int(lease["pid"])
        return None

    def consumers(self, queue: str) -> list[str]:
        """Return the answering workers that consume a queue."""
        return sorted(name for name, queues in self.queues().items() if queue in queues)

    def refused(self, workers: list[str]) -> dict[str, Any]:
        """Return the calls that workers could not tell the gate, see `worker/inspect.py`; or each one's error."""
        return self.ask(lambda inspect: inspect._request("groupfifo_refused"), workers) if workers else {}

    @staticmethod
    def unaware(answers: dict[str, Any]) -> list[str]:
        """Return the workers whose answer to `refused` is an error: their apps know no groups."""
        return sorted(worker for worker, answer in answers.items() if "error" in (answer or {}))

    def queues(self) -> dict[str, list[str]]:
        """Return the queues of each answering worker."""
        answers = self.ask(lambda inspect: inspect.active_queues())
        return {worker: [queue["name"] for queue in queues] for worker, queues in answers.items()}

    def ask(self, call: Callable[[Any], Any], destination: list[str] | None = None) -> dict[str, Any]:
        """Ask one question, over a connection of its own, and return the answers by worker.

        Returns {} when the broker can't be reached. A worker asks in a thread: with the app's pools, a child forked
        meanwhile would inherit the connection in use, and wait for an answer that its parent reads.
        """
        control = self._app.control.__class__(self._app)
        control.mailbox.producer_pool = None
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
            return {}
