"""The bootstep: it starts and stops the worker's part, and holds no logic."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.utils.log import get_logger

from celery_groupfifo.errors import GateUnavailable, InvalidSetting, UnsupportedServer, UnsupportedState
from celery_groupfifo.gate.servers import follow
from celery_groupfifo.printing import escaping
from celery_groupfifo.sending.observe import observes
from celery_groupfifo.worker import advice, inspect, observer, patches
from celery_groupfifo.worker.member import Member

logger = escaping(get_logger(__name__))


class GroupStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """The bootstep that makes a worker a member of the gate.

    `start` is called on every (re)connection to the broker, `stop` when it is lost or the worker stops, `shutdown` when
    the pool is down.
    """

    name = "GroupFifo"
    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._announced = False
        try:
            if observes(consumer.app):
                self._member: Member | None = None
                observer.install(consumer.app)
                return
            self._member = Member.of(consumer)
            patches.install(consumer, self._member)
        except InvalidSetting as error:
            raise SystemExit(f"The worker does not start: {error}") from error

    def start(self, consumer: Any) -> None:
        """Start the member with a connection to the broker."""
        if self._member is None:
            return
        patches.connected(consumer, self._member)
        follow(self._member.gate.server, consumer.connection)
        if not self._announced:
            self._announced = True
            self._announce(consumer, self._member)
        self._member.start()

    def stop(self, consumer: Any) -> None:
        """Pause the member: the connection is lost, or the worker stops."""
        if self._member is not None:
            self._member.pause()

    def shutdown(self, consumer: Any) -> None:
        """Close the member: the pool is down."""
        if self._member is not None:
            self._member.close()

    def info(self, consumer: Any) -> dict[str, Any]:
        """Return the worker's part of Celery's own `celery inspect stats`."""
        member = self._member
        return {inspect.STATS: inspect.observing(consumer.app) if member is None else inspect.summary(member)}

    def _announce(self, consumer: Any, member: Member) -> None:
        gate = member.gate
        settings = gate.settings
        try:
            gate.store.version()
            gate.store.meet()
        except GateUnavailable as error:
            logger.error("%s Ordered tasks wait until it can be reached.", error)
            return
        except (UnsupportedServer, UnsupportedState) as error:
            raise SystemExit(f"The worker does not start: {error}") from error
        logger.info(
            "Ordered groups: gate %s, namespace %s, lease %gs, worker %s",
            gate.server.shown,
            settings.namespace,
            settings.lease_ttl,
            member.owner,
        )
        advice.start(consumer.app)
