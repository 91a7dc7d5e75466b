"""The room for other tasks while the gate, or one node of its cluster, does not answer.

A delivery whose ticket waits for its begin, or whose run waits for the answer to its end, occupies a place of the
prefetch count. Where the broker is another server than the gate's Redis, enough of them would stop the plain tasks of
the same worker, and on a Redis Cluster the groups of the nodes that answer. So deliveries that have waited for a while
are not counted, as Celery does not count tasks with an ETA.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence, Sized
from functools import partial
from typing import Any

from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.worker.gate_call import GateCall
from celery_groupfifo.worker.loop import Loop

#: Seconds after which a delivery without an answer is not counted any more.
ANSWER_PATIENCE = 1.0
#: Deliveries that are not counted, at most: the worker holds their messages in memory.
MOST = 1000


class Prefetch:
    """The deliveries of one worker that wait for the gate's answer.

    Nothing is done for a call that is answered soon. A look, twice a second while there are runs, finds the others.
    While a server does not answer, its further deliveries are not counted either, as soon as they come: from one look
    to the next as many as there were before. So their number doubles, and is still small after a short stall.

    Args:
        consumer: Celery's.
        loop: Its loop.
        runs: All runs of the worker.
        open_calls: Returns the calls to the gate that are not answered yet.
        server_of: Returns a value that is equal for partitions of one server.
    """

    def __init__(
        self,
        consumer: Any,
        loop: Loop,
        runs: Sized,
        open_calls: Callable[[], Sequence[GateCall]],
        server_of: Callable[[Keys], Hashable],
    ) -> None:
        self._consumer, self._loop, self._runs = consumer, loop, runs
        self._open_calls, self._server_of = open_calls, server_of
        self._uncounted: set[GateCall] = set()
        self._away: set[Hashable] = set()
        self._room = 0
        self._looking = False

    def reset(self) -> None:
        """Forget all deliveries with a new connection: its prefetch count is Celery's own."""
        self._uncounted.clear()

    def begins(self, call: GateCall) -> None:
        """Note that a ticket has come in, and is about to wait for its begin. For the consumer's loop."""
        if self._away and self._room > 0 and self._server(call) in self._away:
            self._room -= 1
            self._uncount(call)
        if not self._looking:
            self._looking = True
            self._loop.later(ANSWER_PATIENCE, self._look)

    def _look(self) -> None:
        waiting = [call for call in self._open_calls() if self._occupies(call)]
        for call in self._uncounted - set(waiting):
            self._count_again(call)  # its run is over without an answer
        since = now() - ANSWER_PATIENCE
        late = [call for call in waiting if call.since <= since]
        self._away = {self._server(call) for call in late}
        for call in late:
            self._uncount(call)
        self._room = min(len(self._uncounted), MOST - len(self._uncounted))
        for call in waiting:
            if self._room > 0 and call not in self._uncounted and self._server(call) in self._away:
                self._room -= 1
                self._uncount(call)
        if self._uncounted:
            self._loop.turn()  # Celery asks for more with the loop's next turn, which may be half a second away
        self._looking = len(self._runs) > 0
        if self._looking:
            self._loop.later(ANSWER_PATIENCE / 2, self._look)

    def _occupies(self, call: GateCall) -> bool:
        """Return whether a call is about a run whose delivery occupies a place of this connection's prefetch count."""
        tasks = self._consumer.task_consumer
        if tasks is None or not call.runs:
            return False
        delivery = call.runs[0].delivery
        return delivery.is_open and delivery.channel is tasks.channel

    def _uncount(self, call: GateCall) -> None:
        if call in self._uncounted or len(self._uncounted) >= MOST:
            return
        self._uncounted.add(call)
        call.on_answer = partial(self._answered, call.on_answer)
        self._consumer.qos.increment_eventually()

    def _answered(self, on_answer: Callable[[Any, GateCall], None], reply: Any, call: GateCall) -> None:
        """Count a delivery again, and go on. From any thread."""
        self._away.discard(self._server(call))
        self._count_again(call)
        on_answer(reply, call)

    def _count_again(self, call: GateCall) -> None:
        try:
            self._uncounted.remove(call)
        except KeyError:
            return
        self._consumer.qos.decrement_eventually()

    def _server(self, call: GateCall) -> Hashable:
        return self._server_of(call.arguments[0])
