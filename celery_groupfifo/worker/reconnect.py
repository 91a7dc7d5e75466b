"""The reconnect after the broker has closed a channel: the worker goes on, with the tasks in its pool.

RabbitMQ closes the channel of a worker that has not acknowledged for `consumer_timeout` (30 minutes), as in a long
task. A Redis that is read-only, full, or without replicas answers with such errors, too. By default Celery ends the
worker then, and with it the tasks in its pool.
"""

from __future__ import annotations

from typing import Any

from celery.utils.log import get_logger

from celery_groupfifo.printing import escaping

logger = escaping(get_logger(__name__))

SETTING = "broker_channel_error_retry"


class ChannelClosed(ConnectionError):
    """A channel of a running worker that the broker has closed."""


def after_channel_errors(consumer: Any) -> None:
    """Let a started consumer reconnect after errors of a channel, unless the user has set the option.

    A first start that fails still ends the worker, and shows why: a queue that is declared differently, for example.
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
    """Return whether the user has set the option, in any namespace and case: the last map holds Celery's defaults."""
    conf.get(SETTING)  # loads the app's configuration
    namespace = (getattr(conf, "prefix", None) or "").lower()
    names = (str(key).lower() for mapping in conf.maps[:-1] for key in mapping)
    return any(name.removeprefix(namespace) == SETTING for name in names)
