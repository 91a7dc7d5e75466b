"""The bootstep: it starts and stops the worker's part, and holds no logic."""

from __future__ import annotations

from typing import Any

from celery import bootsteps, signals
from celery.utils.log import get_logger

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, InvalidSetting
from celery_groupfifo.gate import build_gate
from celery_groupfifo.store import LEAST_VERSION
from celery_groupfifo.worker import advice, broker, pools, unknown
from celery_groupfifo.worker.heart import Heart
from celery_groupfifo.worker.member import Member
from celery_groupfifo.worker.strategy import wrap_strategies

logger = get_logger(__name__)


class GroupStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Makes a worker a member of the gate.

    `start` is called on every (re)connection to the broker, `stop` when it is lost or the worker stops, `shutdown`
    when the pool is down.
    """

    name = "GroupFifo"
    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        app = consumer.app
        try:
            self._member = Member(consumer, build_gate(app, "groupfifo-worker"))
            self._heart = Heart(self._member, build_gate(app, "groupfifo-heart"))
        except InvalidSetting as error:
            raise SystemExit(f"The worker does not start: {error}") from error
        self._member.wake = self._heart.wake_in
        self._announced = False
        consumer.groupfifo = self._member
        wrap_strategies(self._member, app.tasks)
        pools.report_errors(consumer.pool)
        pools.spare_calls(consumer.pool)
        signals.task_unknown.connect(unknown.finish_unknown)
        pools.before_soft_shutdown(consumer.controller, self._member.leave)

    def start(self, consumer: Any) -> None:
        """See the class."""
        pools.keep_written_jobs(consumer.pool, self._member.given_to_pool)
        if broker.is_redis(consumer.connection.default_channel):
            broker.close_for_sure(consumer.connection.default_channel)
            broker.keep_no_copies(consumer.connection.default_channel, self._member.is_ticket)
        if not self._announced:
            self._announced = True
            self._announce(consumer)
        self._member.resume()
        self._heart.start()

    def stop(self, consumer: Any) -> None:
        """See the class."""
        self._member.pause()

    def shutdown(self, consumer: Any) -> None:
        """See the class."""
        self._member.close()
        self._heart.stop()

    def _announce(self, consumer: Any) -> None:
        gate = self._member.gate
        settings = gate.settings
        try:
            version = gate.store.version()
        except GateUnavailable as error:
            logger.error("%s Ordered tasks wait until it can be reached.", error)
            return
        if version < LEAST_VERSION:
            raise GroupFifoError(
                f"The gate's Redis at {gate.server.shown} is {'.'.join(map(str, version))}: 6.2 or newer is needed."
            )
        logger.info(
            "Ordered groups: gate %s, namespace %s, lease %gs, worker %s",
            gate.server.shown,
            settings.namespace,
            settings.lease_ttl,
            self._member.owner,
        )
        advice.start(consumer.app)
