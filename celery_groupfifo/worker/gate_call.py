"""One call to the gate, until it is answered, and the function that handles the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger

from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.packing import ScriptArguments
from celery_groupfifo.printing import escaping, printable

if TYPE_CHECKING:
    from celery_groupfifo.worker.run import Run

logger = escaping(get_logger(__name__))

#: Seconds between two tries while the gate can't be reached or refuses a call: of the postman, renewer and sweeper.
GATE_RETRY_SECONDS = 0.5

PassOn = Callable[[Callable[[], None], bool], None]
"""Calls, in the right thread, what an answer leads to; True: it needs no loop."""


class GateCall:
    """One call to the gate.

    Args:
        script: The script's name.
        arguments: Its keys and arguments; the same for every repetition.
        on_answer: Called once with the answer, and with this call.
        runs: The runs that it is about.
        anywhere: True when the answer needs no loop to be handled: the loop may stand still with its broker.

    Attributes:
        since: Time when it was made first.
        sent: Time when it went out last, monotonic.
        refused: The error of Redis; None: it is on its way.
    """

    __slots__ = ("anywhere", "arguments", "on_answer", "refused", "runs", "script", "sent", "since")

    def __init__(
        self,
        script: str,
        arguments: ScriptArguments,
        on_answer: Callable[[Any, GateCall], None],
        runs: Sequence[Run],
        anywhere: bool = False,
    ) -> None:
        self.script, self.arguments, self.on_answer = script, arguments, on_answer
        self.runs, self.anywhere = runs, anywhere
        self.since, self.sent = now(), monotonic()
        self.refused: GroupFifoError | None = None

    def answer(self, reply: Any) -> None:
        """Handle the answer, and log an exception of that."""
        try:
            self.on_answer(reply, self)
        except MemoryError:
            raise  # Celery ends the worker
        except Exception:
            logger.exception("The gate has answered a call (%s), but the answer could not be handled.", self)

    def refuse(self, error: GroupFifoError) -> None:
        """Note why the gate has not taken the call yet. The first time is logged."""
        if self.refused is None:
            trace = None if isinstance(error, GateUnavailable) else error
            logger.warning("A call to the gate failed (%s), and is repeated: %s", self, error, exc_info=trace)
        self.refused = error

    def refuse_again(self, error: GroupFifoError) -> None:
        """Note why the gate has refused the call again. A new reason is logged."""
        if str(self.refused) != str(error):
            logger.error("The gate refuses a call (%s), which is repeated: %s", self, error)
        self.refused = error

    def __repr__(self) -> str:
        return (
            f"{self.script} of {', '.join(f'task {printable(run.ticket.id)}, group {run.key!r}' for run in self.runs)}"
        )
