"""The table of all changes to Celery, kombu and billiard in a worker, and of the private names it uses, with probes.

A *needed* row is probed when the worker starts; without it the worker refuses to start. A row that only saves time is
left out where its probe fails, and `groupfifo_tuning = False` leaves out all of these. Celery's log lines are completed
wherever that is possible.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import billiard
import celery
import kombu
import redis
from billiard.pool import ApplyResult, Pool
from billiard.process import BaseProcess
from celery.app import trace
from celery.concurrency import asynpool
from celery.concurrency.base import BasePool
from celery.worker import request as celery_request
from celery.worker import strategy
from kombu.asynchronous import Hub
from kombu.message import Message
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from celery_groupfifo.errors import InvalidSetting
from celery_groupfifo.worker import broker, log_context, pools, prefork, reconnect

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member

#: The versions whose source was read for this table.
READ_IN = "Celery 5.5 to 5.7, kombu 5.5 to 5.7, billiard 4.2 and 4.3, redis-py 5.2 to 8.1"

Probe = Callable[[Any], Iterator[str]]


@dataclass(frozen=True)
class Patch:
    """One change, or use of a private name.

    Attributes:
        name: Of this row.
        place: The module, and the names in it.
        purpose: The effect of the change.
        needed: True when a worker can't do without; False: it saves time.
        without: The effect when it is missing.
        probe: Yields the names that a consumer lacks.
    """

    name: str
    place: str
    purpose: str
    needed: bool
    without: str
    probe: Probe


REFUSES = "the worker does not start"


def _lacks(thing: Any, *names: str) -> Iterator[str]:
    owner = getattr(thing, "__name__", type(thing).__name__)
    return (f"{owner}.{name}" for name in names if not hasattr(thing, name))


def _messages(consumer: Any) -> Iterator[str]:
    yield from _lacks(consumer, "create_task_handler", "update_strategies", "call_soon", "on_task_message")
    yield from _lacks(consumer, "on_unknown_task", "on_invalid_task", "on_decode_error")
    yield from _lacks(Message, "_reraise_error")
    if hasattr(consumer, "_maximum_prefetch_restored"):
        yield from _lacks(consumer, "_restore_prefetch_count_after_connection_restart")


def _requests(consumer: Any) -> Iterator[str]:
    yield from _lacks(celery_request.Request, "_announce_revoked", "_context", "on_success", "execute_using_pool")
    yield from _lacks(celery_request.Request, "_already_revoked", "_already_cancelled")
    task = next(iter(consumer.app.tasks.values()))
    made = celery_request.create_request_cls(celery_request.Request, task, consumer.pool, "", None, app=consumer.app)
    yield from (
        f"create_request_cls: {name}" for name in ("on_success", "execute_using_pool") if name not in vars(made)
    )


def _traces(consumer: Any) -> Iterator[str]:
    yield from _lacks(BasePool, "apply_async")
    yield from _lacks(trace, "build_tracer", "_localized")
    for function in (trace.trace_task_ret, trace.fast_trace_task):
        if [*inspect.signature(function).parameters][2:3] != ["request"]:
            yield f"{function.__name__}: its third parameter is not the request"


def _jobs(consumer: Any) -> Iterator[str]:
    yield from _lacks(asynpool, "_get_job_writer", "gen_not_started")
    yield from _lacks(asynpool.AsynPool, "flush")
    yield from _lacks(BaseProcess, "_is_alive")
    yield from (name for name in ("_job", "_accepted", "_cache") if name not in ApplyResult.__init__.__code__.co_names)
    yield from _lacks(ApplyResult, "_write_to", "_scheduled_for")
    if "_busy_workers" not in asynpool.AsynPool.__init__.__code__.co_names:
        yield "AsynPool._busy_workers"
    if "_pool" not in Pool.__init__.__code__.co_names:
        yield "Pool._pool"


def _shutdowns(consumer: Any) -> Iterator[str]:
    yield from _lacks(consumer.controller, "wait_for_soft_shutdown")


def _channels(consumer: Any) -> Iterator[str]:
    yield from _lacks(kombu_redis.Channel, "close")
    yield from _lacks(kombu_redis.MultiChannelPoller, "on_readable", "handle_event")
    yield from _lacks(kombu_redis.MultiChannelPoller(), "_fd_to_chan")


def _loops(consumer: Any) -> Iterator[str]:
    yield from _lacks(consumer, "loop", "channel_errors")


def _pipes(consumer: Any) -> Iterator[str]:
    yield from _lacks(asynpool.AsynPool, "register_with_event_loop")
    yield from _lacks(asynpool.ResultHandler, "_make_process_result")
    used = {
        *asynpool.AsynPool.__init__.__code__.co_names,
        *asynpool.AsynPool._create_write_handlers.__code__.co_names,
    }
    names = ("_all_inqueues", "_busy_workers", "_active_writes", "_fileno_to_inq", "_quick_put", "write_stats")
    yield from (f"AsynPool.{name}" for name in (*names, "outbound_buffer") if name not in used)
    source = inspect.getsource(asynpool)
    yield from (
        f"ResultHandler.{name}" for name in ("fileno_to_outq", "on_state_change") if f"self.{name}" not in source
    )
    yield from (
        f"ApplyResult.{name}" for name in ("_payload", "_scheduled_for", "_write_to") if f"job.{name}" not in source
    )
    if "consolidate_callback" not in Hub.__init__.__code__.co_names:
        yield "Hub.consolidate_callback"


def _bodies(consumer: Any) -> Iterator[str]:
    names = celery_request.Request.__init__.__code__.co_names
    yield from (f"Request.{name}" for name in ("_body", "_content_type", "_content_encoding") if name not in names)


def _copies(consumer: Any) -> Iterator[str]:
    yield from _lacks(virtual.QoS, "append", "ack", "reject", "get")


def _lists(consumer: Any) -> Iterator[str]:
    yield from _lacks(kombu_redis.Channel, "active_queues", "priority_steps", "sep", "global_keyprefix")
    yield from _lacks(kombu_redis.Channel, "exchange_types")
    yield from _lacks(virtual.QoS, "_delivered", "_dirty")


def _connections(consumer: Any) -> Iterator[str]:
    yield from _lacks(redis.Connection(), "_sock")


def _lengths(consumer: Any) -> Iterator[str]:
    yield from _lacks(virtual.Channel, "_size")


def _lines(consumer: Any) -> Iterator[str]:
    used = {module.logger.name for module in (strategy, trace, celery_request)}
    yield from (f"logger {name}" for name in log_context.LOGGERS if name not in used)


TABLE = (
    Patch(
        "messages",
        "celery.worker.consumer.Consumer: create_task_handler, update_strategies, _maximum_prefetch_restored, "
        "_restore_prefetch_count_after_connection_restart; kombu.message.Message._reraise_error",
        "a message with a ticket is begun at the gate; every other one goes Celery's way",
        True,
        REFUSES,
        _messages,
    ),
    Patch(
        "requests",
        "celery.worker.request: create_request_cls, Request._announce_revoked, _already_revoked, _already_cancelled",
        "every outcome of a run is noticed",
        True,
        REFUSES,
        _requests,
    ),
    Patch(
        "traces",
        "celery.concurrency.base.BasePool.apply_async; celery.app.trace: trace_task_ret, fast_trace_task, "
        "build_tracer, _localized; Task.__call__ and Task.retry of grouped tasks",
        "a retry travels with the end of its run, and a late result is refused",
        True,
        REFUSES,
        _traces,
    ),
    Patch(
        "jobs",
        "celery.concurrency.asynpool: AsynPool.flush, _cache, outbound_buffer, _busy_workers, _get_job_writer, "
        "gen_not_started; billiard: Pool._pool, Process._is_alive",
        "a reconnect of the broker does not forget jobs that run; a run that the pool no longer has is found",
        True,
        REFUSES,
        _jobs,
    ),
    Patch(
        "shutdowns",
        "celery.worker.WorkController.wait_for_soft_shutdown",
        "what has not started is surrendered when a soft shutdown begins, not when it is over",
        True,
        REFUSES,
        _shutdowns,
    ),
    Patch(
        "channels",
        "kombu.transport.redis: Channel.close; MultiChannelPoller: on_readable, handle_event, _fd_to_chan",
        "neither a Redis that goes away during a BRPOP ends the worker, nor a socket of the gate's beside kombu's",
        True,
        REFUSES,
        _channels,
    ),
    Patch(
        "loops",
        "celery.worker.consumer.Consumer: loop, channel_errors",
        "a channel that the broker closes does not end the worker",
        True,
        REFUSES,
        _loops,
    ),
    Patch(
        "lines",
        "the loggers celery.worker.strategy, celery.app.trace, celery.worker.request",
        "Celery's own log lines of an ordered run name its group and fence",
        False,
        "they name the task only",
        _lines,
    ),
    Patch(
        "connections",
        "redis.connection.AbstractConnection._sock",
        "a connection that has ended is not used again",
        True,
        REFUSES,
        _connections,
    ),
    Patch(
        "lengths",
        "kombu.transport.virtual.Channel._size",
        "what waits at another broker is counted, so no ticket goes out again without a reason",
        True,
        REFUSES,
        _lengths,
    ),
    Patch(
        "pipes",
        "celery.concurrency.asynpool: ResultHandler._make_process_result, fileno_to_outq, on_state_change, "
        "AsynPool._quick_put, on_poll_start, _all_inqueues, _busy_workers, _active_writes, _fileno_to_inq, "
        "write_stats; billiard.pool.ApplyResult: _payload, _scheduled_for, _write_to; "
        "kombu.asynchronous.Hub.consolidate_callback",
        "main process and children talk in fewer system calls",
        False,
        "Celery's own way",
        _pipes,
    ),
    Patch(
        "bodies",
        "celery.worker.request.Request: _body, _content_type, _content_encoding",
        "children need not decode again what the main process has decoded",
        False,
        "Celery's own way",
        _bodies,
    ),
    Patch(
        "copies",
        "kombu.transport.virtual.QoS: append, ack, reject",
        "no copy of a ticket in kombu's unacked keys",
        False,
        "kombu keeps copies",
        _copies,
    ),
    Patch(
        "lists",
        "kombu.transport.redis.Channel: _queue_cycle, active_queues, priority_steps, sep, global_keyprefix, "
        "exchange_types; kombu.transport.virtual.QoS: _delivered, _dirty",
        "a finish takes the next task from the broker's lists",
        False,
        "every task comes through Celery's consumer",
        _lists,
    ),
    Patch(
        "sockets",
        "redis.connection.AbstractConnection._sock",
        "the main loop sends the ends of runs to the gate without waiting",
        False,
        "a thread sends them",
        _connections,
    ),
)


def check(consumer: Any) -> None:
    """Probe the needed rows.

    Args:
        consumer: Celery's.

    Raises:
        InvalidSetting: A name is missing: the message says which, and which versions have it.
    """
    for patch in TABLE:
        missing = [*patch.probe(consumer)] if patch.needed else []
        if missing:
            raise InvalidSetting(
                f"Celery {celery.__version__}, kombu {kombu.__version__} and billiard {billiard.__version__} lack "
                f"{', '.join(missing)}: needed so that {patch.purpose}. celery-groupfifo was written for {READ_IN} "
                f"(redis-py here: {redis.__version__}): install one of these."
            )


class Tuning:
    """The rows that save time in this worker.

    Args:
        consumer: Celery's.
        wanted: `groupfifo_tuning`.
    """

    def __init__(self, consumer: Any, wanted: bool) -> None:
        self._consumer, self._wanted = consumer, wanted
        self._known: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        """Return whether a row of the table is used; not when its probe fails in any way."""
        if name not in self._known:
            patch = next(patch for patch in TABLE if patch.name == name)
            try:
                self._known[name] = self._wanted and not [*patch.probe(self._consumer)]
            except Exception:  # another version may lack anything that the probe looks at
                self._known[name] = False
        return self._known[name]


def install(consumer: Any, member: Member) -> None:
    """Make the changes, before the consumer starts."""
    check(consumer)
    log_context.install()
    member.receiver.install()
    member.pool.install()
    if member.pool.has_processes and "pipes" in member.tuning:
        prefork.spare_calls(consumer.pool)
    pools.before_soft_shutdown(consumer.controller, member.leave)
    reconnect.after_channel_errors(consumer)


def connected(consumer: Any, member: Member) -> None:
    """Make the changes to a connection of the broker."""
    channel = consumer.connection.default_channel
    if broker.is_redis(channel):
        broker.close_for_sure(channel)
        broker.pass_over_others(channel)
        if "copies" in member.tuning:
            broker.keep_no_copies(channel, member.is_ticket)
