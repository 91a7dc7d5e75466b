"""The endings of a run: it is finished at the gate, or surrendered to the head of its group, or its lease is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from logging import WARNING
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger

from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.model import Finish, Finished, Ticket
from celery_groupfifo.gate.records import ticket_of
from celery_groupfifo.gate.recovery import BATCH
from celery_groupfifo.printing import escaping
from celery_groupfifo.worker import broker, events
from celery_groupfifo.worker.failures import failure
from celery_groupfifo.worker.gate_call import GateCall
from celery_groupfifo.worker.run import CALLING, ENDING, Run, State

if TYPE_CHECKING:
    from celery_groupfifo.worker.delivery import Delivery
    from celery_groupfifo.worker.member import Member

logger = escaping(get_logger(__name__))


class Endings:
    """The endings of one worker's runs.

    Args:
        member: The worker as a member of the gate.
    """

    def __init__(self, member: Member) -> None:
        self._member = member

    # -- over --------------------------------------------------------------------

    def settle(self, run: Run) -> None:
        """Send the gate the end of a run. Only the first call for a run does anything."""
        if run.state in ENDING or run.state is State.ENDED:
            return
        if run.is_lost:
            self._end(run)
            return
        run.over()
        if not run.done:
            self.surrender([run])
        elif run.finishing():
            self._settle(run) if run.batch is not None else self._finish(run)
        elif run.is_lost:
            self._end(run)  # its lease was lost a moment ago

    def _finish(self, run: Run) -> None:
        member, ticket = self._member, run.ticket
        take, renewed = self._may_take(run.delivery), member.renewer.renewed_at(ticket.tag)
        finish = Finish(
            ticket=ticket,
            owner=member.owner,
            take=("lists" if member.gate.releaser.takes else "own") if take else "none",
            lists=member.lists.beside(run.message),
            call=member.gate.call_name(),
            failure=run.failure,
            continuation=run.continuation.entry,
            extends=now() - renewed > member.gate.settings.lease_ttl / 2,
        )
        script, arguments = member.gate.finish_call(finish)
        call = GateCall(script, arguments, partial(self._finished, run, finish, renewed), [run])
        member.outbox.send(call, wait=member.may_wait)

    def _settle(self, run: Run) -> None:
        """End the followers of a run first. One without an outcome goes back to its place in line."""
        assert run.batch is not None
        over, failed = run.batch.ends()
        run.batch.close()
        names = [follower.ticket.entry for follower in over], [follower.ticket.entry for follower in failed]
        arguments = self._member.gate.settle_call(run.ticket, *names)
        call = GateCall("settle", arguments, partial(self._settled, run, over, failed), [run])
        self._member.outbox.send(call, wait=self._member.may_wait)

    def _settled(self, run: Run, over: list[Run], failed: list[Run], reply: Any, call: GateCall) -> None:
        holds = self._member.gate.settled(reply)
        try:
            for follower in over if holds else ():
                self._member.events.finished(follower, None)
        finally:  # also after an exception of a signal's receiver
            self._fail_next(run, failed if holds else [])

    def _fail_next(self, run: Run, failed: list[Run]) -> None:
        """End followers that have failed, one by one, each by its own policy, and then the run."""
        if not failed:
            self._finish(run)
            return
        member, (follower, *rest) = self._member, failed
        ticket = follower.ticket._replace(lane=member.lanes.take())
        lists, name = member.lists.beside(follower.message), member.gate.call_name()
        finish = Finish(ticket, member.owner, lists=lists, call=name, failure=follower.failure)
        script, arguments = member.gate.finish_call(finish)

        def answered(reply: Any, call: GateCall) -> None:
            member.lanes.give_back(ticket.lane)
            try:
                self._report(follower, finish, member.gate.finished(reply))
            finally:
                self._fail_next(run, rest)

        member.outbox.send(GateCall(script, arguments, answered, [run]), wait=member.may_wait)

    def _may_take(self, delivery: Delivery) -> bool:
        member = self._member
        consumer = member.consumer
        tasks = consumer.task_consumer
        if tasks is None or not member.receiving or delivery.channel is not tasks.channel:
            return False
        if not getattr(consumer, "_maximum_prefetch_restored", True):
            return False  # Celery restores the prefetch count with each acknowledgement: the chain has to end
        if member.gate.releaser.takes:
            return not broker.over_prefetch(delivery.channel)
        settings = member.gate.settings
        return delivery.runs < settings.burst and now() - delivery.since < settings.burst_seconds

    def _finished(self, run: Run, finish: Finish, renewed: float, reply: Any, call: GateCall) -> None:
        member = self._member
        run.ended()
        member.runs.remove(run)
        answer = member.gate.finished(reply)
        try:
            if answer.invites and answer.taken is not None:
                self.invite(ticket_of(answer.taken))
            self._report(run, finish, answer)
        finally:  # also after an exception (a greenlet's time limit, for example) the chain has to go on or end
            if answer.taken is None:
                member.lanes.give_back(run.ticket.lane)
                run.delivery.close()
            else:
                leased = call.since if finish.extends else renewed
                member.receiver.hand_off(answer.taken, answer.fence, run.ticket.lane, run.delivery, call.since, leased)

    def _report(self, run: Run, finish: Finish, answer: Finished) -> None:
        member = self._member
        if answer.stale:
            member.events.lease_lost(run)
        else:
            due = answer.due
            if answer.held is not None:
                member.sweeper.wake_in(answer.held, run.ticket.tag)
                if finish.continuation is not None:  # it has joined its line again
                    due = finish.continuation.delay / 1000
            if due is not None:
                member.sweeper.wake_in(due, run.ticket.tag)
            member.events.finished(run, due)
            if answer.blocked:
                member.events.blocked(run)
                member.sweeper.wake_in(0.0, run.ticket.tag)  # a ticket beside it counts no more for its tenant
                if finish.failure is not None and finish.failure.halts_ms:
                    member.sweeper.wake_in(finish.failure.halts_ms / 1000, run.ticket.tag)
        if answer.due is None and finish.failure is not None and finish.failure.policy == "cancel_rest":
            member.sweeper.wake_in(0.0, run.ticket.tag)  # the sweep cancels the rest

    def invite(self, ticket: Ticket | None, members: Sequence[str] = ()) -> None:
        """Let other tasks go out, as a run has begun, see `Recovery.advance_call`."""
        member = self._member
        if ticket is not None:
            arguments = member.gate.advance_call(ticket, member.lists.all(), members)
            call = GateCall("advance", arguments, lambda reply, _: member.gate.publish(reply[2:]), [], anywhere=True)
            member.outbox.send(call, wait=member.may_wait)

    def fail_unreadable(self, run: Run, error: Exception) -> None:
        """Fail a run with an unreadable message, or an unknown task."""
        task = self._member.consumer.app.tasks.get(run.name)
        run.set_outcome("failure", failure(self._member, run.message.headers, task, error))
        run.on_reject(logger, ())

    # -- not over ------------------------------------------------------------------

    def surrender(self, runs: Iterable[Run]) -> None:
        """Surrender runs without an outcome: they go back to the heads of their groups."""
        member = self._member
        back = []
        for run in runs:
            if run.surrendering():
                back.append(run)
            elif run.is_lost:
                self._end(run)  # its lease was lost a moment ago
        for some in _together(back):
            arguments = member.gate.surrender_call([(run.ticket, run.worker_lost) for run in some], member.lists.all())
            call = GateCall("surrender", arguments, partial(self._surrendered, some), some, anywhere=True)
            member.outbox.send(call, wait=member.may_wait)
        for run in back:
            if run.batch is not None:
                run.batch.close()
            member.events.surrendered(run)
            run.delivery.close()

    def _surrendered(self, runs: list[Run], reply: Any, call: GateCall) -> None:
        for run in runs:
            run.ended()
            self._member.runs.remove(run)
            self._member.lanes.give_back(run.ticket.lane)
        self._member.gate.publish(reply[1:])

    def fail_to_start(self, run: Run) -> None:
        """End a run that could not reach the pool: it counts as one that ended with its worker."""
        run.mark_worker_lost()
        run.clear_decision()
        self.settle(run)

    def dropped(self, run: Run) -> None:
        """Surrender, soon, a run that neither the pool nor Celery nor a call to the gate has any more."""
        self._member.aside.submit(partial(self._drop, run), key=run)

    def _drop(self, run: Run) -> None:
        if run.state is State.ENDED or self._member.is_held(run):
            return  # it has gone on meanwhile
        if run.is_lost:
            self._end(run)  # Celery has dropped it, so no other caller will end it
            return
        said = f"is held by neither the pool nor Celery (its state was {run.state.value}): it goes back to its group."
        events.log(WARNING, said, run.name, events.of_run(run))
        if run.state in CALLING:
            self._member.receiver.forget(run)  # its call is gone, too
            return
        if run.state is State.STARTED:
            run.mark_worker_lost()
        if run.state is not State.OVER:
            run.clear_decision()
        self.settle(run)

    # -- lost ----------------------------------------------------------------------

    def lease_lost(self, run: Run) -> None:
        """Note that the lease of a run is lost, and handle that soon. From any thread."""
        before = run.lost()
        if before is not None:
            self._member.aside.submit(partial(self._lost, run, before is State.BEGUN))

    def _lost(self, run: Run, begun: bool) -> None:
        member = self._member
        member.events.lease_lost(run)
        if begun:
            self._end(run)
        elif member.gate.settings.on_lease_lost == "terminate" and run.pid is not None:
            member.loop.soon(lambda: self._terminate(run))

    def _terminate(self, run: Run) -> None:
        if not run.is_lost:
            return
        try:
            self._member.consumer.pool.terminate_job(run.pid, 9)
        except NotImplementedError:
            logger.warning(
                "groupfifo_on_lease_lost = 'terminate' can't end task %s: its pool can't terminate tasks.",
                run.ticket.id,
            )

    def _end(self, run: Run) -> None:
        run.ended()
        if run.batch is not None:
            run.batch.close()
        self._member.runs.remove(run)
        self._member.lanes.give_back(run.ticket.lane)
        run.delivery.close()


def _together(runs: list[Run]) -> Iterable[list[Run]]:
    """Split runs into parts that one call can surrender: of one partition each, and of limited size."""
    by_tag: dict[str, list[Run]] = {}
    for run in runs:
        by_tag.setdefault(run.ticket.tag, []).append(run)
    for same in by_tag.values():
        for start in range(0, len(same), BATCH):
            yield same[start : start + BATCH]
