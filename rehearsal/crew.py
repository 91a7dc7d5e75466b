"""The virtual workers: their slots, their lives, and their heartbeats."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from celery_groupfifo.gate.keys import Quoted, quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.packing import ScriptArguments
from rehearsal.agenda import Do
from rehearsal.stage import LISTS, QUEUE, Stage, ticket_of
from rehearsal.wire import Hear

if TYPE_CHECKING:
    from rehearsal.runs import Run

#: Tickets that are asked for at a time.
MOST = 64
#: One in so many of these times the judge looks at all tickets of the queue.
LOOKS = 5


class Worker:
    """One worker.

    Args:
        stage: Of the rehearsal.
        name: Of the worker.

    Attributes:
        owner: Its name at the gate.
        alive: False once it was killed or has left.
        stalled_until: Virtual time (us) until which it stands still.
        free: The lanes of slots without a task.
        runs: The runs that it knows of, by lane.
        renewed: Virtual time (us) of its last heartbeat.
    """

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self.owner: Quoted = quote(name)
        self.alive = True
        self.stalled_until = 0
        self._lanes = map(str, count())
        self.free = [next(self._lanes) for _ in range(stage.plan.slots)]
        self.runs: dict[str, Run] = {}
        self.renewed = stage.agenda.now
        stage.agenda.after(stage.chance.uniform(0, self._pause), self._beat)

    @property
    def stalled(self) -> bool:
        """Return whether it stands still."""
        return self.stalled_until > self._stage.agenda.now

    @property
    def _pause(self) -> float:
        return self._stage.plan.lease / 3

    def after(self, seconds: float, do: Do) -> None:
        """Let it do something then; later when it stands still, and never when it is dead."""
        self._stage.agenda.after(seconds, partial(self._wake, do))

    def _wake(self, do: Do) -> None:
        if not self.alive:
            return
        if self.stalled:
            self.after((self.stalled_until - self._stage.agenda.now) / 1e6, do)
            return
        do()

    def ask(self, script: str, call: ScriptArguments, judge: Callable[[Any, bool], Any], hear: Hear) -> None:
        """Make a call until it is answered.

        Args:
            script: To run.
            call: Its keys and arguments.
            judge: Takes each answer as Redis gives it, and whether it is the first one; returns what it says.
            hear: Takes what the answer says that has reached the worker.
        """
        self._ask(script, call, judge, hear, True)

    def _ask(
        self, script: str, call: ScriptArguments, judge: Callable[[Any, bool], Any], hear: Hear, first: bool
    ) -> None:
        stage = self._stage
        lost = stage.faulty and stage.chance.random() < stage.plan.lost
        pause = stage.chance.uniform(0.5, 20)
        if lost and stage.chance.random() < 0.5:
            self.after(pause, partial(self._ask, script, call, judge, hear, first))
            return

        def answered(answer: Any) -> None:
            said = judge(answer, first)
            if lost:
                self.after(pause, partial(self._ask, script, call, judge, hear, False))
            elif self.stalled:
                self.after(0, partial(hear, said))
            elif self.alive:
                hear(said)

        stage.send(script, call, answered)

    def _beat(self) -> None:
        """Send a heartbeat."""
        if not self.alive:
            return
        stage = self._stage
        if not self.stalled:
            self._renew()
        stage.agenda.after(self._pause, partial(self._wake, self._beat))

    def _renew(self) -> None:
        """Send the call of `Gate.renew` together with others, and do what that does with the answer."""
        stage, runs = self._stage, list(self.runs.values())
        args: list[Any] = [self.owner, stage.plan.ttl_ms]
        for run in runs:
            args += [run.lane, run.ticket.group, run.ticket.entry, run.ticket.fence or run.begin]
        fences = [run.ticket.fence for run in runs]
        self.renewed = stage.agenda.now

        def hear(reply: list[Any]) -> None:
            many, *rest = reply
            stage.judge.leased(self.owner)
            for run, fence in ((runs[place], fences[place]) for place in rest[:many]):
                if fence and not run.over:
                    stage.judge.told(run.id, run.group, fence)
            words = [word.decode() for word in rest[many:]]
            for group, entry, fence in zip(words[::3], words[1::3], words[2::3], strict=True):
                forgotten = Ticket(stage.keys.tag, 0, 0, 0, entry, quote(group), int(fence))
                self.after(0.001, partial(stage.give_back, forgotten, True))

        stage.send("renew", (stage.keys, [stage.keys.runs(self.owner)], args), hear)

    def forget(self, run: Run) -> None:
        """Lose a run: its lane is not used again, because the gate finds the run there."""
        if self.runs.pop(run.lane, None) is not None:
            self.free.append(next(self._lanes))

    @property
    def extends(self) -> bool:
        """Return whether the end of a run is to extend its lease."""
        return self._stage.agenda.now - self.renewed > self._stage.plan.lease * 1e6 / 2


class Crew:
    """The workers, and the list that they take tickets from.

    Args:
        stage: Of the rehearsal.
        receive: Called with a worker, a lane and a ticket.
    """

    def __init__(self, stage: Stage, receive: Callable[[Worker, str, Ticket], None]) -> None:
        self._stage, self._receive = stage, receive
        self._names = count(1)
        self._wanted, self._collected = 8, 0
        self.living: list[Worker] = []
        for _ in range(stage.plan.workers):
            self.join()

    def join(self) -> None:
        """Start a new worker."""
        self.living.append(Worker(self._stage, f"w{next(self._names)}"))

    def leave(self, worker: Worker) -> None:
        """Strike a worker off, however it has ended."""
        worker.alive = False
        self.living.remove(worker)

    def any(self, busy: bool = False) -> Worker | None:
        """Return a worker that does not stand still, by chance; None: there is none.

        Args:
            busy: Rather one with tasks.
        """
        found = None
        for _ in range(50):
            worker = self._stage.chance.choice(self.living)
            if not worker.stalled:
                found = worker
                if worker.runs or not busy:
                    break
        return found or next((worker for worker in self.living if not worker.stalled), None)

    def busy(self) -> int:
        """Return the number of tasks that living workers have."""
        return sum(len(worker.runs) for worker in self.living)

    def collect(self) -> None:
        """Let free slots wait for tickets, with the next write."""
        self._collected += 1
        if self._collected % LOOKS == 0:
            self._stage.wire.ask(["LRANGE", QUEUE, 0, -1], self._look)
        slots = []
        for _ in range(self._wanted):
            worker = self._stage.chance.choice(self.living)
            if worker.free and not worker.stalled:
                slots.append((worker, worker.free.pop()))
        if slots:
            self._stage.wire.ask(["RPOP", QUEUE, len(slots)], partial(self._came, slots))

    def _look(self, messages: list[bytes]) -> None:
        self._stage.judge.queued({ticket_of(message).id for message in messages})

    def _came(self, slots: list[tuple[Worker, str]], messages: list[bytes] | None) -> None:
        found = messages or []
        self._wanted = MOST if len(found) == len(slots) else max(8, len(found) * 2)
        for worker, lane in slots[len(found) :]:
            worker.free.append(lane)
        stage = self._stage
        for (worker, lane), message in zip(slots, found, strict=False):
            chance = stage.chance.random() if stage.faulty else 1.0
            if chance < stage.plan.tickets:
                stage.judge.counts["tickets lost"] += 1
                worker.free.append(lane)
                continue
            if chance < 2 * stage.plan.tickets:
                stage.judge.counts["tickets doubled"] += 1
                stage.judge.copied(ticket_of(message).id)
                stage.wire.ask(["LPUSH", LISTS[0][1], message], lambda _: None)
            self._receive(worker, lane, ticket_of(message))
