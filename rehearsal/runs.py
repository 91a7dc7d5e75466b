"""The steps of a run in a virtual worker: begin, work, end, and the next task that comes with the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from celery_groupfifo.gate.model import Entry, Failure, Finish, Finished, Ticket
from rehearsal.crew import Worker
from rehearsal.stage import LISTS, Stage, entry_of, ticket_of

#: Shares of the ends of runs; the others succeed.
RETRIED, REJOINED, DEAD, BLOCKED = 0.02, 0.005, 0.003, 0.001
#: Share of the tasks that kill each worker that runs them, and of the runs that their worker forgets.
POISON, FORGOTTEN = 0.00002, 0.0002
#: Runs of a task whose worker was lost, at most: the package's own default.
MOST_LOST = 3
#: The spread of the seconds of work, and the longest task by the median.
SPREAD, LONGEST = 1.2, 120
#: Share of the groups that are hot: their tasks are the shorter, the hotter they are.
HOT = 0.02


@dataclass
class Run:
    """A run, as its worker knows it.

    Attributes:
        worker: That has it.
        lane: Its slot.
        ticket: As it came; with the fence once it has begun.
        begin: Name of the call that begins it.
        over: True when its work is done.
    """

    worker: Worker
    lane: str
    ticket: Ticket
    begin: str = ""
    over: bool = field(default=False)

    @property
    def id(self) -> str:
        """Return the id of its task."""
        return self.ticket.id

    @property
    def group(self) -> str:
        """Return the key of its group."""
        return str(self.ticket.group)


class Runs:
    """The life of runs.

    Args:
        stage: Of the rehearsal.
        kill: Kills a worker.
    """

    def __init__(self, stage: Stage, kill: Callable[[Worker], None]) -> None:
        self._stage, self._chance, self._kill = stage, stage.chance, kill

    def receive(self, worker: Worker, lane: str, ticket: Ticket) -> None:
        """Let a worker begin a ticket from the list."""
        run = Run(worker, lane, ticket._replace(lane=lane), self._stage.gate.call_name())
        worker.runs[lane] = run
        worker.after(0.001, partial(self._begin, run))

    def _begin(self, run: Run) -> None:
        gate, judge, worker = self._stage.gate, self._stage.judge, run.worker

        def judged(reply: Any, first: bool) -> Any:
            begun = gate.granted(run.ticket, reply)
            if begun is not None:
                judge.started(run.id, run.group, begun.fence, worker.owner, True)
            elif first:
                judge.counts["stale tickets"] += 1
            return begun, gate.invited(run.ticket, reply) if begun is not None else []

        def answered(said: tuple[Ticket | None, list[str]]) -> None:
            begun, members = said
            if begun is None:
                self._free(run)
                return
            run.ticket = begun
            self._invite(run, members)
            self._work(run)

        worker.ask("begin", gate.begin_call(run.ticket, worker.owner, run.begin), judged, answered)

    def _invite(self, run: Run, members: list[str]) -> None:
        """Let other tasks go out, as a run has begun; when the worker dies before, a sweep does it."""
        if members:
            call = self._stage.gate.advance_call(run.ticket, LISTS, members)
            self._stage.send("advance", call, lambda _: None)

    def _work(self, run: Run) -> None:
        stage, number = self._stage, int(run.group[1:])
        if run.ticket.lost >= MOST_LOST:
            stage.judge.counts["lost too often"] += 1
            run.worker.after(0.001, partial(self._end, run))
            return
        if stage.faulty and int(run.id.replace("-", ""), 16) % round(1 / POISON) == 7:
            run.worker.after(0.01, partial(self._kill, run.worker))
            return
        if stage.faulty and self._chance.random() < FORGOTTEN:
            run.worker.after(0.01, partial(self._forget, run))
            return
        seconds = stage.plan.work * min(self._chance.lognormvariate(0, SPREAD), LONGEST)
        run.worker.after(0.002 + seconds * min((number + 5) / (stage.plan.groups * HOT), 1.0), partial(self._end, run))

    def _forget(self, run: Run) -> None:
        """Lose a run between two parts of its worker, which lives on."""
        self._stage.judge.counts["forgotten"] += 1
        self._stage.judge.given_back(run.id, run.group, run.ticket.fence)
        run.worker.forget(run)

    def _free(self, run: Run) -> None:
        worker = run.worker
        if worker.runs.pop(run.lane, None) is not None:
            worker.free.append(run.lane)

    # -- the end -----------------------------------------------------------

    def _end(self, run: Run) -> None:
        stage, draw = self._stage, self._chance.random()
        run.over = True
        call = Finish(run.ticket, run.worker.owner, "lists", LISTS, stage.gate.call_name(), run.worker.extends)
        if run.ticket.lost >= MOST_LOST or draw > RETRIED + REJOINED + DEAD + BLOCKED:
            pass
        elif draw < RETRIED + REJOINED:
            delay = int(self._chance.expovariate(1 / 60_000)) if self._chance.random() < 0.8 else 0
            call.continuation = self._again(run, delay, draw > RETRIED and not stage.judge.has_several(run.id))
        else:
            blocks = draw < RETRIED + REJOINED + BLOCKED
            call.failure = Failure(
                "block" if blocks else "dead_letter", "shop.send_message", "ValueError: rehearsed", run.worker.owner,
                lasts=self._chance.randint(1_000, 600_000) if blocks else 0,
            )  # fmt: skip
        script, arguments = stage.gate.finish_call(call)
        run.worker.ask(script, arguments, partial(self._judged, run, call), partial(self._ended, run))

    def _again(self, run: Run, delay: int, rejoins: bool) -> Entry:
        entry = entry_of(run.id, run.group, delay)
        entry.rejoins = rejoins
        return entry

    def _judged(self, run: Run, call: Finish, reply: Any, first: bool) -> Finished:
        """Tell the judge of an answer; a repeated one tells of no other end, and of the same task."""
        judge, done = self._stage.judge, self._stage.gate.finished(reply)
        more, accepted = call.continuation, not done.stale
        if first and more is not None:
            due = judge.ms + more.delay
            judge.retried(run.id, run.group, run.ticket.fence, accepted, call.extends, due, more.rejoins)
        elif first:
            blocks = call.failure.lasts if call.failure is not None and done.blocked else 0
            lingers = blocks + 60_000 if blocks else 0
            extends = call.extends and call.failure is None
            judge.ended(run.id, run.group, run.ticket.fence, accepted, extends, lingers, blocks)
        if done.taken:
            ticket = ticket_of(done.taken)
            judge.started(ticket.id, str(ticket.group), done.fence, run.worker.owner, call.extends)
        return done

    def _ended(self, run: Run, done: Finished) -> None:
        worker = run.worker
        if not done.taken:
            self._free(run)
            return
        self._stage.judge.counts["handed off"] += 1
        ticket = ticket_of(done.taken)._replace(fence=done.fence, lane=run.lane)
        worker.runs[run.lane] = taken = Run(worker, run.lane, ticket)
        if done.invites:
            self._invite(taken, [f"a {ticket.group}"])
        self._work(taken)
