"""A channel that the broker closes does not end a worker: it reconnects, and what its pool runs goes on.

RabbitMQ closes the channel of a worker that has not acknowledged for `consumer_timeout` (30 minutes): a long task does
that. A Redis that is read-only, full, or without replicas answers with such errors, too. By default Celery ends the
worker then, and with it whatever its pool runs.
"""

from __future__ import annotations

from typing import Any

from celery.utils.log import get_logger

logger = get_logger(__name__)

SETTING = "broker_channel_error_retry"


class ChannelClosed(ConnectionError):
    """The broker has closed the channel of a running worker."""


def after_channel_errors(consumer: Any) -> None:
    """Let a consumer that has started reconnect after errors of a channel, unless the user has said what it does.

    A first start that fails ends the worker, as ever, and shows why: a queue that is declared otherwise, say.
    """
    conf = consumer.app.conf
    if _is_set(conf):
        return
    loop = consumer.loop

    def looping(*args: Any, **kwargs: Any) -> Any:
        if not conf[SETTING]:
            logger.info("%s is not set: this worker reconnects after errors of a channel.", SETTING)
            conf[SETTING] = True  # Celery reads it before the next start
        try:
            return loop(*args, **kwargs)
        except consumer.channel_errors as error:
            raise ChannelClosed(repr(error)) from error

    consumer.loop = looping


def _is_set(conf: Any) -> bool:
    """Return whether the user has set it, whatever the namespace and case: the last map holds Celery's defaults."""
    conf.get(SETTING)  # an app's configuration is not read before
    namespace = (getattr(conf, "prefix", None) or "").lower()
    names = (str(key).lower() for mapping in conf.maps[:-1] for key in mapping)
    return any(name.removeprefix(namespace) == SETTING for name in names)
