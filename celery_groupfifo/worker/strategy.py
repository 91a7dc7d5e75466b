"""What a worker does with a message: a ticket is begun, anything else goes Celery's way untouched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery.exceptions import InvalidTaskError
from celery.utils.imports import instantiate, symbol_by_name
from kombu.exceptions import ContentDisallowed, DecodeError

from celery_groupfifo.model import HEADER
from celery_groupfifo.worker.request import GroupRequest

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member

Handler = Callable[..., Any]


class GroupStrategy:
    """Stands where a task's own strategy stood.

    Args:
        member: The worker as a member of the gate.
        strategy: The task's own, or the name of it.
    """

    def __init__(self, member: Member, strategy: Any) -> None:
        self._member, self._strategy = member, strategy

    def __call__(self, task: Any, app: Any, consumer: Any, **kwargs: Any) -> Handler:
        """Called by Celery each time the consumer starts."""
        member = self._member
        plain = instantiate(self._strategy, task, app, consumer, **kwargs)
        grouped = self._grouped(task, app, consumer, **kwargs)

        def handle(message: Any, body: Any, ack: Handler, reject: Handler, callbacks: Any, **more: Any) -> Any:
            run = getattr(message, "groupfifo_run", None)
            if run is not None:  # handed off: inside already, and what it raises belongs to this message
                return read(message, body, run, callbacks)
            if HEADER not in message.headers:
                return plain(message, body, ack, reject, callbacks, **more)
            again = lambda: handle(message, body, ack, reject, callbacks, **more)  # noqa: E731
            run = member.begin(message, ack, reject, again)
            return None if run is None else member.inside(read, message, body, run, callbacks)

        def read(message: Any, body: Any, run: Any, callbacks: Any) -> Any:
            try:
                return grouped(message, body, run.on_ack, run.on_reject, callbacks)
            except (InvalidTaskError, ContentDisallowed, DecodeError) as error:
                member.finish_unread(run, message, error)  # Celery tells, and acknowledges
                raise
            except Exception as error:
                if run.request is None:  # of another shape than a task's: Celery would stop this worker, then the next
                    member.finish_unread(run, message, error)
                    raise InvalidTaskError(f"{error!r} in the message of task {run.ticket.id}") from error
                run.worker_lost = True  # so that it can't come back for ever
                run.ended()
                raise

        return handle

    def _grouped(self, task: Any, app: Any, consumer: Any, **kwargs: Any) -> Handler:
        """The task's own strategy, over a request class with ours mixed in."""
        own = symbol_by_name(task.Request)
        mixed: Any = type(
            "GroupRequest", (GroupRequest,) if own is GroupRequest.__mro__[1] else (GroupRequest, own), {}
        )
        mixed.member = self._member
        before = task.__dict__.get("Request")
        task.Request = mixed
        try:
            return instantiate(self._strategy, task, app, consumer, **kwargs)  # type: ignore[no-any-return]
        finally:
            if before is None:
                del task.Request
            else:
                task.Request = before


def wrap_strategies(member: Member, tasks: dict[str, Any]) -> None:
    """Give every task of an app our strategy: a plain task may be sent with a group too."""
    for task in tasks.values():
        strategy = task.Strategy
        if isinstance(strategy, GroupStrategy):
            strategy = strategy._strategy
        task.Strategy = GroupStrategy(member, strategy)
