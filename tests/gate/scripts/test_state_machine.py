"""The scripts beside the model: any sequence of operations, faults and lost replies, and every step compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from celery_groupfifo import DuplicateTask, GroupFull, Groups
from celery_groupfifo.gate.keys import CLAIM_MS, entry_names, quote, task_of
from celery_groupfifo.gate.model import Bound, Dedup, Entry, Ticket
from celery_groupfifo.gate.records import Limits
from celery_groupfifo.gate.recovery import GRACE_MS
from celery_groupfifo.groups import operate, purge
from celery_groupfifo.sending.telling import Teller
from celery_groupfifo.settings import OnDuplicate, Overflow
from celery_groupfifo.windows import NO_BREAKER, Breaker, Rate
from tests.gate.scripts import observe
from tests.support.gate_model import GateModel
from tests.support.world import PLAIN, START_MS, TTL_MS, World, lane_of, make_entry, ticket_of

GROUPS = ("a", "b")
QUEUES = ("q1", "q2", "other")
#: The lists that a caller declares; nobody declares `other`.
DECLARED = st.sampled_from([("q2", "q1"), ("q1", "q2"), ("q1",), ()])
QUEUE = st.sampled_from(["q1", "q1", "q2", "other"])
#: Which ticket a worker shows: of a run that holds its lease, of one that lost it, or any.
WHO = st.sampled_from(["live", "live", "live", "late", "any"])
OWNER = st.sampled_from(["w1", "w2"])
DELAY = st.sampled_from([0, 0, 0, 1500, 4000])
POLICY = st.sampled_from(["block", "dead_letter", "cancel_rest"])
RATE = st.sampled_from([None, None, Rate(1, 1500), Rate(2, 3000)])
REPLAYED = st.sampled_from([False, False, True])
PICK = st.integers(0, 3)
ORDER = st.sampled_from([-1, 5, 5, 20])


class GateMachine(RuleBasedStateMachine):
    """`hands` holds every ticket that a worker ever received, the newest last: late ones come back from there."""

    world: ClassVar[World]
    groups: ClassVar[Groups]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.world.redis.flushdb()
        self.world.now = START_MS
        self.model = GateModel(START_MS, TTL_MS, GRACE_MS, CLAIM_MS)
        self.hands: list[Ticket] = []  # with a fence: begun
        self.messages: dict[int, bytes] = {}
        self.starts: dict[str, list[str]] = {group: [] for group in GROUPS}
        self.revoked: set[str] = set()
        self.fences: list[int] = []
        self.used: set[str] = set()
        self.number = 0
        self.followers: dict[int, int] = {}
        self.pass_time(1)

    def pass_time(self, ms: int) -> None:
        type(self).steps += 1
        self.world.tick(ms)
        self.model.now = self.world.now

    @contextmanager
    def replaying(self, replayed: bool) -> Iterator[None]:
        """Every script is called twice with the very same arguments; only the second reply is seen."""
        self.pass_time(1)
        store, run = self.world.gate.store, self.world.gate.store.run

        def twice(*args: Any, **more: Any) -> Any:
            run(*args, **more)
            return run(*args, **more)

        if replayed:
            store.run = twice  # type: ignore[method-assign]
        try:
            yield
        finally:
            store.__dict__.pop("run", None)

    def hand(self, who: str, pick: int) -> Ticket:
        fences = {run.id: run.fence for run in self.model.flight.values() if run.state == "running"}
        live = [ticket for ticket in self.hands if fences.get(ticket.entry) == ticket.fence]
        late = [ticket for ticket in self.hands if fences.get(ticket.entry, ticket.fence) != ticket.fence]
        hands = {"live": live, "late": late}.get(who) or self.hands
        return hands[-1 - pick % len(hands)]

    def key(self, name: str) -> str:
        """The group of an entry; of one that is gone, any."""
        return self.model.entries.get(name, ("a", ""))[0]

    def started(self, ticket: Ticket) -> None:
        assert ticket.fence not in self.fences, "two starts under one fence"
        self.fences.append(ticket.fence)
        starts = self.starts[self.key(ticket.entry)]
        if ticket.entry not in starts:
            starts.append(ticket.entry)

    @initialize(groups=st.lists(st.sampled_from(GROUPS), min_size=2, max_size=5), begun=st.integers(0, 2))
    def something_runs_already(self, groups: list[str], begun: int) -> None:
        for group in groups:
            self.park(group, "q1", 0, False)
        for _ in range(min(begun, len(set(groups)))):
            self.receive(0, True, "w1", False)

    # -- producers ---------------------------------------------------------

    @rule(group=st.sampled_from(GROUPS), queue=QUEUE, delay=DELAY, replayed=REPLAYED, rate=RATE, reserves=st.booleans())
    def park(
        self,
        group: str,
        queue: str,
        delay: int,
        replayed: bool,
        rate: Rate | None = None,
        reserves: bool = False,
    ) -> None:
        self.number += 1
        id = f"{group}{self.number}"
        self.used.add(id)
        with self.replaying(replayed):
            assert self.world.park(id, group, queue, delay=delay, limits=Limits(rate).text(), reserves=reserves)
        assert self.model.park(id, group, queue, delay, replayed, rate, reserves)

    @precondition(lambda self: self.hands)
    @rule(who=WHO, pick=PICK, again=st.booleans(), queue=QUEUE, delay=DELAY, replayed=REPLAYED, rate=RATE)
    def insert(
        self, who: str, pick: int, again: bool, queue: str, delay: int, replayed: bool, rate: Rate | None = None
    ) -> None:
        """Also again, for a run that was lost: then the part may be in line already, or under way."""
        ticket = self.hand(who, pick)
        key, known = ticket.group, [id for id in self.model.line.get(ticket.group, []) if ";" not in id]
        self.number += 1
        id = known[-1 - pick % len(known)] if again and known else f"{key}{self.number}"
        self.used.add(id)
        self.followers[ticket.fence] = self.followers.get(ticket.fence, 0) + 1
        with self.replaying(replayed):
            stands = self.world.insert(
                id, ticket, self.followers[ticket.fence], key, queue, delay=delay, limits=Limits(rate).text()
            )
        assert stands == self.model.insert(id, ticket.entry, ticket.fence, queue, delay, rate)

    @rule(group=st.sampled_from(GROUPS), order=ORDER, window=st.sampled_from([1500, 4000]), replayed=REPLAYED)
    def park_in_a_window(self, group: str, order: int, window: int, replayed: bool) -> None:
        self.number += 1
        id = f"{group}{self.number}"
        self.used.add(id)
        with self.replaying(replayed):
            assert self.world.park(id, group, "q1", delay=window, order=order)
        assert self.model.park(id, group, "q1", window, replayed, order=order)

    @rule(
        group=st.sampled_from(GROUPS),
        queue=QUEUE,
        delay=DELAY,
        most=st.integers(1, 3),
        overflow=st.sampled_from(["raise", "drop_oldest"]),
        replayed=REPLAYED,
    )
    def park_bounded(self, group: str, queue: str, delay: int, most: int, overflow: Overflow, replayed: bool) -> None:
        self.number += 1
        id = f"{group}{self.number}"
        self.used.add(id)
        gate = self.world.gate
        entry = make_entry(gate, id, group, queue, delay, bound=Bound(most, overflow))
        number, parked = gate.number(), False
        with self.replaying(replayed), suppress(GroupFull):
            parked = gate.park(entry, number)
        dropped = entry.dropped and entry.dropped[0]
        expected = self.model.park_bounded(id, group, queue, most, overflow == "drop_oldest", delay, replayed)
        assert (parked, dropped and task_of(dropped)) == (expected[0], expected[1] and task_of(expected[1]))
        self.revoked |= {expected[1]} if expected[1] else set()

    @precondition(lambda self: self.model.entries)
    @rule(pick=PICK, queue=QUEUE)
    def park_a_known_id(self, pick: int, queue: str) -> None:
        ids = [name for name in self.model.entries if ";" not in name]
        if not ids:
            return
        id = ids[-1 - pick % len(ids)]
        with self.replaying(False):
            assert not self.world.park(id, self.key(id), queue)
        assert not self.model.park(id, self.key(id), queue)

    @precondition(lambda self: self.model.entries)
    @rule(pick=PICK, group=st.sampled_from(GROUPS), queue=QUEUE, replayed=REPLAYED)
    def exchange(self, pick: int, group: str, queue: str, replayed: bool) -> None:
        ids = [name for name in self.model.entries if ";" not in name]
        if not ids:
            return
        id = ids[-1 - pick % len(ids)]
        entry, number = make_entry(self.world.gate, id, group, queue), self.world.gate.number()
        entry.on_duplicate = "replace"
        refused = False
        with self.replaying(replayed):
            try:
                assert not self.world.gate.park(entry, number)
            except DuplicateTask:
                refused = True
        assert refused != self.model.exchange(id, group, queue)

    @rule(
        group=st.sampled_from(GROUPS),
        queue=QUEUE,
        identity=st.sampled_from(["x", "x", "y"]),
        after=st.sampled_from([0, 3000]),
        policy=st.sampled_from(["return_existing", "replace", "keep_latest", "keep_latest"]),
        delay=DELAY,
        order=st.none() | ORDER,
        replayed=REPLAYED,
    )
    def park_identified(
        self,
        group: str,
        queue: str,
        identity: str,
        after: int,
        policy: OnDuplicate,
        delay: int,
        order: int | None,
        replayed: bool,
    ) -> None:
        self.number += 1
        id, identity = f"{group}{self.number}", f"{group}{identity}"
        entry = make_entry(self.world.gate, id, group, queue, delay, dedup=Dedup(identity, after), order=order)
        entry.on_duplicate = policy
        became = self._send(entry, replayed)
        expected = self.model.park_identified(id, group, queue, identity, after, policy, delay, replayed, order)
        assert became == (expected[0], expected[1] and task_of(expected[1]))
        if became[0] in ("parked", "replaced"):
            self.used.add(id)

    @precondition(lambda self: self.model.entries)
    @rule(pick=PICK, group=st.sampled_from(GROUPS), queue=QUEUE, replayed=REPLAYED)
    def park_the_latest_of_an_id(self, pick: int, group: str, queue: str, replayed: bool) -> None:
        ids = list(dict.fromkeys(task_of(name) for name in self.model.entries))
        id = ids[-1 - pick % len(ids)]
        names = [name for name in entry_names(id) if name not in self.model.entries]
        if id not in self.model.entries or names[0] in self.used:
            return  # a name that has lived once: the history tells names apart
        entry = make_entry(self.world.gate, id, group, queue, dedup=Dedup(f";{id}"))
        entry.on_duplicate = "keep_latest"
        became, _ = self._send(entry, replayed)
        expected, name = self.model.latest(id, group, queue, replayed)
        assert became == {"exchanged": "duplicate"}.get(expected, expected)
        if expected == "parked" and name is not None:
            self.used.add(name)

    def _send(self, entry: Entry, replayed: bool) -> tuple[str, str | None]:
        """Park an entry. Returns what became of it, and of which other task."""
        number = self.world.gate.number()
        with self.replaying(replayed):
            try:
                parked = self.world.gate.park(entry, number)
            except DuplicateTask:
                return "raised", entry.existing
        if entry.dropped is not None:
            return "replaced", entry.dropped[0]
        return ("parked" if parked else "duplicate"), entry.existing

    def revoked_before_their_start(self) -> set[str]:
        started = {name for starts in self.starts.values() for name in starts}
        known = {task_of(name) for name in self.model.entries}
        return {name for name in self.revoked - started if ";" not in name and name not in known}

    @precondition(lambda self: self.revoked_before_their_start())
    @rule(queue=QUEUE, delay=DELAY)
    def park_a_revoked_id(self, queue: str, delay: int) -> None:
        id = min(self.revoked_before_their_start())
        with self.replaying(False):
            assert self.world.park(id, id[0], queue, delay=delay)
        self.revoked.remove(id)
        assert self.model.park(id, id[0], queue, delay)

    @precondition(lambda self: self.number)
    @rule(pick=PICK, replayed=REPLAYED)
    def revoke(self, pick: int, replayed: bool) -> None:
        names = list(self.model.entries) or ["a1"]
        id = task_of(names[-1 - pick % len(names)])
        with self.replaying(replayed):
            answer = bool(self.world.gate.revoke(id))
        gone = {name for name in entry_names(id) if self.model.revoke(name, replayed)}
        assert answer == bool(gone)
        self.revoked |= gone

    # -- workers -----------------------------------------------------------

    @precondition(lambda self: any(self.model.lists.values()))
    @rule(pick=PICK, begins=st.sampled_from([True, True, False]), owner=OWNER, replayed=REPLAYED)
    def receive(self, pick: int, begins: bool, owner: str, replayed: bool) -> None:
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
            self.begin("any", 0, owner, replayed)

    @precondition(lambda self: self.hands)
    @rule(who=WHO, pick=PICK, owner=OWNER, replayed=REPLAYED)
    def begin(self, who: str, pick: int, owner: str, replayed: bool) -> None:
        ticket = self.hand(who, pick)
        with self.replaying(replayed):
            begun = self.world.begin(ticket, owner)
        fence = self.model.begin(ticket.entry, ticket.release, owner, lane_of(ticket))
        assert (0 if begun is None else begun.fence) == fence
        if begun is not None:
            self.hands[self.hands.index(ticket)] = begun
            self.started(begun)

    @precondition(lambda self: self.hands)
    @rule(who=WHO, pick=PICK, most=st.integers(1, 3), replayed=REPLAYED)
    def gather(self, who: str, pick: int, most: int, replayed: bool) -> None:
        ticket = self.hand(who, pick)
        with self.replaying(replayed):
            found = [ticket_of(message).entry for message in self.world.gate.gather(ticket, "t", most)]
        assert found == self.model.gather(ticket.entry, ticket.fence, most)
        starts = self.starts[self.key(ticket.entry)]
        starts += [name for name in found if name not in starts]

    @precondition(lambda self: any(self.model.followers.values()))
    @rule(who=WHO, pick=PICK, many=st.integers(0, 3), replayed=REPLAYED)
    def settle(self, who: str, pick: int, many: int, replayed: bool) -> None:
        ticket = self.hand(who, pick)
        ended = [each.id for each in self.model.followers.get(self.key(ticket.entry), ())][:many]
        with self.replaying(replayed):
            holds = self.world.gate.settle(ticket, ended)
        assert holds == self.model.settle(ticket.entry, ticket.fence, ended)

    @precondition(lambda self: self.hands)
    @rule(
        who=WHO,
        pick=PICK,
        take=st.sampled_from(["lists", "lists", "own", "none"]),
        queues=DECLARED,
        replayed=REPLAYED,
        goes_on=st.sampled_from([None, None, ("q1", 0), ("q2", 1500), ("other", 4000)]),
        rejoins=st.booleans(),
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
    ) -> None:
        ticket, owner = self.hand(who, pick), "w1"
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
        assert done.due == (None if due is None else due / 1000)
        if got:
            self.started(got)
            self.hands.append(got)
            self.messages[got.release] = done.taken or b""

    @precondition(lambda self: self.hands)
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
        assert done.due == (None if due is None else due / 1000)

    @precondition(lambda self: any(run.state == "held" for run in self.model.flight.values()))
    @rule(pick=PICK, retried=st.booleans())
    def let_a_held_one_go(self, pick: int, retried: bool) -> None:
        """An operator does: it is retried, or set aside."""
        held = [run for run in self.model.flight.values() if run.state == "held"]
        run = held[pick % len(held)]
        key = self.key(run.id)
        self.pass_time(1)
        if retried:
            self.groups.retry(key)
            assert self.model.retry(key)
        else:
            self.groups.drop(key, expected=task_of(run.id))
            self.model.skip(key)
            self.revoked.add(run.id)

    @precondition(lambda self: self.hands)
    @rule(who=WHO, pick=PICK, group=st.sampled_from(GROUPS), queue=QUEUE, delay=DELAY, replayed=REPLAYED)
    def replace(self, who: str, pick: int, group: str, queue: str, delay: int, replayed: bool) -> None:
        id = self.hand(who, pick).id
        name = self.model.name_of_replacement(id, group)
        if any(task_of(each.id) == id for follow in self.model.followers.values() for each in follow):
            return  # no run of its own
        if id not in self.model.entries or (name in self.used and name not in self.model.entries):
            return  # it would be a new task; or a name that has lived once, and the history tells names apart
        with self.replaying(replayed):
            replaced = self.world.replace(id, group, queue, delay=delay)
        assert replaced == self.model.replace(id, group, queue, delay, replayed)
        if name is not None:
            self.used.add(name)

    @precondition(lambda self: self.hands)
    @rule(whose=st.sets(st.tuples(WHO, PICK), max_size=3), replayed=REPLAYED)
    def renew(self, whose: set[tuple[str, int]], replayed: bool) -> None:
        hands = [self.hand(*each) for each in sorted(whose)]
        tickets = {ticket.entry: ticket._replace(lane=ticket.lane or lane_of(ticket)) for ticket in hands}
        with self.replaying(replayed):
            lost = self.world.gate.renew(quote("w1"), tickets.values())
        assert {ticket.entry for ticket in lost} == self.model.renew(
            "w1", [(ticket.entry, ticket.fence, ticket.lane) for ticket in tickets.values()], replayed
        )

    @precondition(lambda self: self.hands)
    @rule(who=WHO, pick=PICK, lost=st.booleans(), queues=DECLARED, replayed=REPLAYED)
    def surrender(self, who: str, pick: int, lost: bool, queues: tuple[str, ...], replayed: bool) -> None:
        ticket = self.hand(who, pick)
        with self.replaying(replayed):
            self.world.gate.surrender([(ticket, lost)], self.world.lists(*queues))
        self.model.surrender(ticket.entry, ticket.fence, lost, queues, replayed)

    @precondition(lambda self: any(run.state == "running" for run in self.model.flight.values()))
    @rule(pick=PICK, owner=OWNER)
    def a_run_is_lost_and_begun_again(self, pick: int, owner: str) -> None:
        """The way to two tickets of one task in the hands of workers, in one step: else it is rare."""
        name = self.hand("live", pick).entry
        self.surrender("live", pick, True, QUEUES, False)
        run = self.model.flight[self.key(name)]
        while self.model.lists.get(run.queue) and run.state == "released":
            self.receive(
                [queue for queue in QUEUES if self.model.lists.get(queue)].index(run.queue), True, owner, False
            )

    # -- time and the broker -------------------------------------------------

    @rule(queues=DECLARED, replayed=REPLAYED)
    def sweep(self, queues: tuple[str, ...], replayed: bool) -> None:
        with self.replaying(replayed):
            swept = self.world.sweep(self.world.lists(*queues))
        before, failed = set(self.model.entries), {run.id for run in self.model.flight.values() if run.blocks}
        assert swept.reclaimed == self.model.sweep(queues, replayed)
        cancelled = before - failed - set(self.model.entries)
        assert sorted(id for id, _ in swept.cancelled) == sorted(map(task_of, cancelled))
        self.revoked |= cancelled

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

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue: str) -> None:
        self.world.redis.delete(queue)
        self.model.purge(queue)

    @rule(queue=QUEUE)
    def double_a_ticket(self, queue: str) -> None:
        message = self.world.redis.lindex(queue, 0)
        if message is not None:
            self.world.redis.lpush(queue, message)
            self.model.push(queue, self.model.lists[queue][-1])

    @precondition(lambda self: self.hands)
    @rule(who=WHO, pick=PICK, queue=QUEUE)
    def an_old_ticket_comes_back(self, who: str, pick: int, queue: str) -> None:
        ticket = self.hand(who, pick)
        self.world.redis.lpush(queue, self.messages[ticket.release])
        self.model.push(queue, (ticket.entry, ticket.release))

    @rule(queue=QUEUE)
    def a_plain_message(self, queue: str) -> None:
        self.world.redis.lpush(queue, PLAIN)
        self.model.push(queue, ("plain", 0))

    # -- what always holds -------------------------------------------------

    @invariant()
    def the_server_agrees_with_the_model(self) -> None:
        found, expected = observe.of_server(self.world, GROUPS, QUEUES), observe.of_model(self.model, GROUPS, QUEUES)
        differ = {part: (found[part], expected[part]) for part in found if found[part] != expected[part]}
        assert not differ, f"server and model: {differ}"

    @invariant()
    def first_starts_follow_the_line(self) -> None:
        for group, starts in self.starts.items():
            line = self.model.joined.get(group, [])
            gone = self.revoked | {id for cut in self.model.cut.values() for id in cut.ids}
            due = [id for id in line if id in starts or id not in gone]
            assert starts == due[: len(starts)]

    @invariant()
    def nothing_is_lost(self) -> None:
        model = self.model
        places = [id for line in model.line.values() for id in line] + list(model.later)
        places += [run.id for run in model.flight.values()]
        places += [each.id for follow in model.followers.values() for each in follow]
        places += [id for cut in model.cut.values() for id in cut.ids]
        assert sorted(places) == sorted(model.entries)
        assert model.accepted == len(places) + model.ended

    def teardown(self) -> None:
        """Without further faults everything drains, and nothing is left."""
        self.the_server_agrees_with_the_model()  # else the step before has failed, and is the one to look at
        for _ in range(1000):
            if not self.model.entries and not self.model.cut and not self.model.forgets:
                break
            if any(self.model.lists.values()):
                self.receive(0, True, "w1", False)
                if self.hands:
                    self.finish("live", 0, "lists", QUEUES, False)
                continue
            for key, run in list(self.model.flight.items()):
                if run.blocks:
                    self.groups.retry(key)
                    self.model.retry(key)
            self.pass_time(GRACE_MS)
            self.rerelease(False)
            self.sweep(QUEUES, False)
        while self.model.identity_forgets or self.model.marks:
            self.pass_time(5000)
            self.sweep((), False)
        assert not self.model.entries, "something never started"
        self.the_server_agrees_with_the_model()
        self.first_starts_follow_the_line()
        self.world.redis.delete(self.world.keys.dead)
        assert self.world.residue().keys() == set()


@pytest.mark.timeout(300)
def test_the_scripts_do_what_the_model_says(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (operate, purge):
        monkeypatch.setattr(module, "tell_revoked", lambda *_: None)  # these messages are no tasks'
    monkeypatch.setattr(Teller, "tell", lambda *_: None)
    world.gate.fences = None
    GateMachine.world, GateMachine.groups = world, Groups(world.app, world.gate)
    GateMachine.steps = 0
    run_state_machine_as_test(
        GateMachine,
        settings=settings(
            max_examples=250,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert GateMachine.steps > 1000
    with capsys.disabled():
        print(f" [{GateMachine.steps} steps]", end="")
