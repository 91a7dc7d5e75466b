"""The rules of a state machine for what workers, time and brokers do."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from celery_groupfifo.gate.keys import quote, task_of
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.recovery import GRACE_MS
from celery_groupfifo.windows import NO_BREAKER, Breaker
from tests.gate.scripts.machine import (
    DECLARED,
    OWNER,
    PICK,
    QUEUE,
    QUEUES,
    REPLAYED,
    WHO,
    Machine,
    needs_hand,
    with_option,
)
from tests.support.world import PLAIN, TTL_MS, lane_of, make_entry, ticket_of

POLICY = st.sampled_from(["block", "dead_letter", "cancel_rest"])


class Workers(Machine):
    """Begins, ends, and faults."""

    @precondition(lambda self: any(self.model.lists.values()))
    @rule(
        pick=PICK, begins=st.sampled_from([True, True, False]), owner=OWNER, replayed=REPLAYED, advances=st.booleans()
    )
    def receive(self, pick: int, begins: bool, owner: str, replayed: bool, advances: bool = True) -> None:
        full = [queue for queue in QUEUES if self.model.lists.get(queue)]
        queue = full[pick % len(full)]
        message, expected = self.world.pop(queue), self.model.pop(queue)
        assert message is not None
        if message == PLAIN:
            assert expected == ("plain", 0)
            return
        ticket = ticket_of(message)
        assert (ticket.entry, ticket.release) == expected
        self.hands.append(ticket)
        self.messages[ticket.release] = message
        if begins:
            self.begin("any", 0, owner, replayed, advances)

    @needs_hand()
    @rule(who=WHO, pick=PICK, owner=OWNER, replayed=REPLAYED, advances=st.booleans())
    def begin(self, who: str, pick: int, owner: str, replayed: bool, advances: bool = True) -> None:
        """A worker that was invited lets others go out, or dies before."""
        ticket = self.hand(who, pick)
        lane, gate = lane_of(ticket), self.world.gate
        call = gate.begin_call(ticket._replace(lane=ticket.lane or lane), quote(owner), gate.call_name())
        with self.replaying(replayed):
            reply = gate.store.run("begin", *call)
        begun = gate.granted(ticket._replace(lane=ticket.lane or lane), reply)
        fence, invited = self.model.begin(ticket.entry, ticket.release, owner, lane)
        assert (0 if begun is None else begun.fence) == fence
        if begun is None:
            return
        assert gate.invited(begun, reply) == invited
        self.hands[self.hands.index(ticket)] = begun
        self.started(begun)
        if invited and advances:
            self.advance(begun, invited, replayed)

    def advance(self, ticket: Ticket, members: list[str], replayed: bool = False) -> None:
        gate, queues = self.world.gate, ("q1", "q2")
        call = gate.advance_call(ticket, self.world.lists(*queues), members)
        with self.replaying(replayed):
            gate.publish(gate.store.run("advance", *call)[2:])
        self.model.advance(members, queues, replayed)

    @needs_hand("batch")
    @rule(who=WHO, pick=PICK, most=st.integers(1, 3), replayed=REPLAYED)
    def gather(self, who: str, pick: int, most: int, replayed: bool) -> None:
        ticket = self.hand(who, pick)
        with self.replaying(replayed):
            found = [ticket_of(message).entry for message in self.world.gate.gather(ticket, "t", most)]
        assert found == self.model.gather(ticket.entry, ticket.fence, most)
        starts = self.starts[self.key(ticket.entry)]
        starts += [name for name in found if name not in starts]

    @with_option("batch")
    @precondition(lambda self: any(run.stop == "f" for run in self.model.every()))
    @rule(who=WHO, pick=PICK, many=st.integers(0, 3), replayed=REPLAYED)
    def settle(self, who: str, pick: int, many: int, replayed: bool) -> None:
        ticket = self.hand(who, pick)
        ended = [each.id for each in self.model.followers(self.key(ticket.entry))][:many]
        with self.replaying(replayed):
            holds = self.world.gate.settle(ticket, ended)
        assert holds == self.model.settle(ticket.entry, ticket.fence, ended)

    @needs_hand()
    @rule(
        who=WHO,
        pick=PICK,
        take=st.sampled_from(["lists", "lists", "own", "none"]),
        queues=DECLARED,
        replayed=REPLAYED,
        goes_on=st.sampled_from([None, None, ("q1", 0), ("q2", 1500), ("other", 4000)]),
        rejoins=st.booleans(),
        advances=st.booleans(),
    )
    def finish(
        self,
        who: str,
        pick: int,
        take: str,
        queues: tuple[str, ...],
        replayed: bool,
        goes_on: tuple[str, int] | None = None,
        rejoins: bool = False,
        advances: bool = True,
    ) -> None:
        ticket, owner = self.hand(who, pick), "w1"
        rejoins = rejoins and ticket.entry not in self.model.others
        lane = ticket.lane or lane_of(ticket)
        ticket = ticket._replace(lane=lane)
        call = self.world.finishing(ticket, ticket.group, owner, take=take, lists=self.world.lists(*queues))
        if goes_on is not None:
            call.continuation = make_entry(self.world.gate, ticket.id, ticket.group, *goes_on)
            call.continuation.rejoins = rejoins
        with self.replaying(replayed):
            done = self.world.gate.finish(call)
        stale, taken, due = self.model.finish(
            ticket.entry, ticket.fence, owner, lane, take, queues, replayed, goes_on, rejoins
        )
        got = ticket_of(done.taken).begun(done.fence)._replace(lane=lane) if done.taken else None
        assert (done.stale, got and (got.entry, got.fence)) == (stale, taken)
        assert done.held is not None or done.due == (None if due is None else due / 1000)
        if got:
            self.hands.append(got)
            self.messages[got.release] = done.taken or b""
            self.started(got)
            group = self.key(got.entry)
            assert replayed or done.invites == (group in self.model.company)
            if done.invites and advances:
                self.advance(got, [f"a {group}"])

    @needs_hand()
    @rule(
        who=WHO,
        pick=PICK,
        policy=POLICY,
        queues=DECLARED,
        replayed=REPLAYED,
        lasts=st.sampled_from([0, 1500, 4000]),
        breaker=st.sampled_from([NO_BREAKER, NO_BREAKER, Breaker(2, 3_600_000, 1500), Breaker(1, 5000, 4000)]),
    )
    def fail(
        self, who: str, pick: int, policy: str, queues: tuple[str, ...], replayed: bool, lasts: int, breaker: Breaker
    ) -> None:
        ticket = self.hand(who, pick)
        key = ticket.group
        breaker = breaker if "breaker" in self.options else NO_BREAKER
        if policy == "cancel_rest" and not self.model.line.get(key):
            policy = "dead_letter"  # places of revoked ones would be cut off, and the model has none
        if breaker.most and policy == "block":
            policy = "continue"  # a breaker counts what blocks nothing
        lane = ticket.lane or lane_of(ticket)
        ticket = ticket._replace(lane=lane)
        with self.replaying(replayed):
            done = self.world.fail(ticket, key, policy, lasts, breaker, lists=self.world.lists(*queues))
        stale, blocked, due = self.model.fail(
            ticket.entry, ticket.fence, "w1", lane, policy, queues, replayed, lasts, breaker
        )
        assert (done.stale, done.blocked, done.taken) == (stale, blocked, None)
        assert done.held is not None or done.due == (None if due is None else due / 1000)

    @needs_hand()
    @rule(whose=st.sets(st.tuples(WHO, PICK), max_size=3), replayed=REPLAYED)
    def renew(self, whose: set[tuple[str, int]], replayed: bool) -> None:
        hands = [self.hand(*each) for each in sorted(whose)]
        tickets = {ticket.entry: ticket._replace(lane=ticket.lane or lane_of(ticket)) for ticket in hands}
        running = {run.id for run in self.running()}
        with self.replaying(replayed):
            lost = self.world.gate.renew(quote("w1"), tickets.values())
        assert {ticket.entry for ticket in lost} == self.model.renew(
            "w1", [(ticket.entry, ticket.fence, ticket.lane) for ticket in tickets.values()], replayed
        )
        self.kept |= running

    @needs_hand()
    @rule(who=WHO, pick=PICK, lost=st.booleans(), queues=DECLARED, replayed=REPLAYED)
    def surrender(self, who: str, pick: int, lost: bool, queues: tuple[str, ...], replayed: bool) -> None:
        ticket = self.hand(who, pick)
        self.kept.add(ticket.entry)
        with self.replaying(replayed):
            self.world.gate.surrender([(ticket, lost)], self.world.lists(*queues))
        self.model.surrender(ticket.entry, ticket.fence, lost, queues, replayed)

    @needs_hand("replace")
    @precondition(lambda self: self.running())
    @rule(pick=PICK, owner=OWNER)
    def a_run_is_lost_and_begun_again(self, pick: int, owner: str) -> None:
        """The way to two tickets of one task in the hands of workers, in one step: else it is rare."""
        name = self.hand("live", pick).entry
        self.surrender("live", pick, True, QUEUES, False)
        run = self.model.run_of(name)
        while run and self.model.lists.get(run.queue) and run.state == "released":
            self.receive(
                [queue for queue in QUEUES if self.model.lists.get(queue)].index(run.queue), True, owner, False
            )

    # -- time and the broker -------------------------------------------------

    @rule(queues=DECLARED, replayed=REPLAYED)
    def sweep(self, queues: tuple[str, ...], replayed: bool) -> None:
        running = {run.id for run in self.running()}
        with self.replaying(replayed):
            swept = self.world.sweep(self.world.lists(*queues))
        before, failed = set(self.model.entries), {run.id for run in self.model.every() if run.stop == "b"}
        assert swept.reclaimed == self.model.sweep(queues, replayed)
        gone = before - set(self.model.entries)
        cancelled = gone - failed
        if not self.model.stands and "several" not in self.options:
            assert sorted(id for id, _ in swept.cancelled) == sorted(map(task_of, cancelled))
        self.revoked |= gone
        self.kept |= running

    @rule(replayed=REPLAYED)
    def rerelease(self, replayed: bool) -> None:
        with self.replaying(replayed):
            lost = self.world.rerelease()
        assert lost == self.model.rerelease() * (not replayed)

    @rule(ms=st.sampled_from([1000, GRACE_MS + 1, TTL_MS // 2, TTL_MS + 1, -20]))
    def tick(self, ms: int) -> None:
        self.pass_time(ms)

    @rule()
    def a_lease_goes_by_with_sweeps(self) -> None:
        for _ in range(5):
            self.pass_time(TTL_MS // 3)
            self.sweep((), False)

    @with_option("faults")
    @rule(queue=st.sampled_from(QUEUES))
    def purge_a_queue(self, queue: str) -> None:
        self.world.redis.delete(queue)
        self.model.purge_queue(queue)

    @with_option("faults")
    @rule(queue=QUEUE)
    def double_a_ticket(self, queue: str) -> None:
        message = self.world.redis.lindex(queue, 0)
        if message is not None:
            self.world.redis.lpush(queue, message)
            self.model.push(queue, self.model.lists[queue][-1])

    @needs_hand("faults")
    @rule(who=WHO, pick=PICK, queue=QUEUE)
    def an_old_ticket_comes_back(self, who: str, pick: int, queue: str) -> None:
        ticket = self.hand(who, pick)
        self.world.redis.lpush(queue, self.messages[ticket.release])
        self.model.push(queue, (ticket.entry, ticket.release))

    @with_option("faults")
    @rule(queue=QUEUE)
    def a_plain_message(self, queue: str) -> None:
        self.world.redis.lpush(queue, PLAIN)
        self.model.push(queue, ("plain", 0))
