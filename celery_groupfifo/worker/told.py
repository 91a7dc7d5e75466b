"""One call to the gate, until it is answered, and the function that hears the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger

from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.store import Call

if TYPE_CHECKING:
    from celery_groupfifo.worker.run import Run

logger = get_logger(__name__)

PassOn = Callable[[Callable[[], None], bool], None]
"""Calls, in the right thread, what an answer leads to; True: it needs no loop."""


class Told:
    """One call to the gate.

    Args:
        script: The script's name.
        call: Its keys and arguments; the same for every repetition.
        heard: Called once with the answer, and with this call.
        runs: The runs that it is about.
        anywhere: True when the answer needs no loop to be heard: the loop may stand still with its broker.

    Attributes:
        since: Time when it was told first.
        sent: Time when it went out last, monotonic.
        refused: The error of Redis; None: it is on its way.
    """

    __slots__ = ("anywhere", "call", "heard", "refused", "runs", "script", "sent", "since")

    def __init__(
        self,
        script: str,
        call: Call,
        heard: Callable[[Any, Told], None],
        runs: Sequence[Run],
        anywhere: bool = False,
    ) -> None:
        self.script, self.call, self.heard, self.runs, self.anywhere = script, call, heard, runs, anywhere
        self.since, self.sent = now(), monotonic()
        self.refused: GroupFifoError | None = None

    def hear(self, reply: Any) -> None:
        """Let the answer be heard, and log an exception of that."""
        try:
            self.heard(reply, self)
        except MemoryError:
            raise  # Celery ends the worker
        except Exception:
            logger.exception("An answer of the gate was heard, but then:")

    def refuse(self, error: GroupFifoError) -> None:
        """Note why the call is not taken yet. The first time is logged."""
        if self.refused is None:
            trace = None if isinstance(error, GateUnavailable) else error
            logger.warning("The gate can't be told yet (%s): %s", self, error, exc_info=trace)
        self.refused = error

    def refuse_again(self, error: GroupFifoError) -> None:
        """Note why it was refused again. A new reason is logged."""
        if str(self.refused) != str(error):
            logger.error("The gate refuses a call (%s): %s It is tried again.", self, error)
        self.refused = error

    def __repr__(self) -> str:
        return f"{self.script} of {', '.join(f'task {run.ticket.id}, group {run.key!r}' for run in self.runs)}"
