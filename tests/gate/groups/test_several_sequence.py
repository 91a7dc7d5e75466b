"""Any sequence with tasks of several keys: each starts as the head of all of its groups, and no task waits for ever."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from celery_groupfifo import GroupDraining, Groups, HeadChanged, UnknownGroup, WrongState
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.groups import operate, purge, verify
from celery_groupfifo.sending.telling import Teller
from tests.support.world import START_MS, TTL_MS, World, make_entry, ticket_of

KEYS = st.sampled_from("abcd")
SEVERAL = st.lists(KEYS, min_size=1, max_size=3, unique=True)
PICK = st.integers(0, 5)


class Machine(RuleBasedStateMachine):
    """`line` is what each group was given and has not ended, in order; `runs` is what holds a lease."""

    world: ClassVar[World]
    groups: ClassVar[Groups]

    def __init__(self) -> None:
        super().__init__()
        self.world.redis.flushdb()
        self.world.now = START_MS
        self.world.tick(1)
        self.keys: dict[str, list[str]] = {}
        self.line: dict[str, list[str]] = {key: [] for key in "abcd"}
        self.runs: dict[str, Ticket] = {}
        self.paused: set[str] = set()
        self.draining: set[str] = set()
        self.blocked: dict[str, str] = {}
        self.fences: dict[str, int] = dict.fromkeys("abcd", 0)

    def _started(self, message: bytes, fence: int) -> None:
        ticket = ticket_of(message)
        for key in self.keys[ticket.id]:
            assert key not in self.paused, f"{ticket.id} started while {key} is paused"
            assert self.line[key][0] == ticket.id, f"{ticket.id} is not the head of {key}: {self.line[key]}"
            assert self.fences[key] < fence, "a fence grows in each of its groups"
            self.fences[key] = fence
        assert ticket.id not in self.blocked.values()
        self.runs[ticket.id] = ticket

    def _gone(self, id: str) -> None:
        for key in self.keys.pop(id):
            self.line[key].remove(id)
            if not self.line[key]:
                self.draining.discard(key)
            if self.blocked.get(key) == id:
                del self.blocked[key]
        self.runs.pop(id, None)

    def _running(self, pick: int) -> tuple[str, Ticket, str]:
        id = list(self.runs)[pick % len(self.runs)]
        return id, self.runs[id], self.keys[id][0]

    # -- producers and workers ---------------------------------------------

    @rule(keys=SEVERAL)
    def park(self, keys: list[str]) -> None:
        self.world.tick(1)
        id = f"t{self.world.now - START_MS}"
        entry, number = make_entry(self.world.gate, id, keys[0], others=keys[1:]), self.world.gate.number()
        try:
            assert self.world.gate.park(entry, number)
            assert self.world.gate.park(entry, number), "the answer was lost"
            self.world.gate._producers.pop()  # its number is used once
        except GroupDraining as error:
            assert any(f"{key!r}" in str(error) for key in self.draining.intersection(keys))
        else:
            assert not self.draining.intersection(keys)
            self.keys[id] = keys
            for key in keys:
                self.line[key].append(id)

    @rule()
    def receive(self) -> None:
        message = self.world.pop()
        if message is not None and (begun := self.world.begin(ticket_of(message))):
            self._started(message, begun.fence)

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, take=st.sampled_from(["lists", "own", "none"]), twice=st.booleans())
    def finish(self, pick: int, take: str, twice: bool) -> None:
        id, ticket, key = self._running(pick)
        call = self.world.finishing(ticket, key, take=take, lists=self.world.lists("q"))
        done = self.world.gate.finish(call)
        if twice:
            again = self.world.gate.finish(call)
            assert (again.taken, again.fence) == (done.taken, done.fence)
        assert not done.stale
        self._gone(id)
        if done.taken:
            self._started(done.taken, done.fence)

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, policy=st.sampled_from(["block", "dead_letter"]))
    def fail(self, pick: int, policy: str) -> None:
        id, ticket, key = self._running(pick)
        self.world.fail(ticket, key, policy)
        del self.runs[id]
        if policy == "block":
            self.blocked[key] = id
        else:
            self._gone(id)

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, meanwhile=st.lists(KEYS, max_size=2))
    def cancel_rest(self, pick: int, meanwhile: list[str]) -> None:
        """While parts of lines are cut off, other groups with the same tasks are purged."""
        id, ticket, key = self._running(pick)
        keys = self.keys[id]
        self.world.fail(ticket, key, "cancel_rest", others=keys[1:])
        self._gone(id)
        gone = {each for every in keys for each in self.line[every]}
        for other in meanwhile:
            self.groups.purge(other)
            gone |= {each for each in self.line[other] if each not in self.runs}
        for _ in range(4):
            self.world.sweep(self.world.lists("q"))
        for each in gone:
            self._gone(each)

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, delay=st.sampled_from([0, 3000]))
    def retry_later(self, pick: int, delay: int) -> None:
        id, ticket, key = self._running(pick)
        assert not self.world.hold(ticket, delay, key).stale
        del self.runs[id]

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, lost=st.booleans())
    def give_back(self, pick: int, lost: bool) -> None:
        id, ticket, _ = self._running(pick)
        del self.runs[id]
        self.world.gate.surrender([(ticket, lost)], self.world.lists("q"))

    @rule(ms=st.sampled_from([1, 4000]), rerelease=st.booleans())
    def time_goes_by(self, ms: int, rerelease: bool) -> None:
        self.world.tick(ms)
        self.world.gate.renew(quote("w1"), list(self.runs.values()))
        self.world.sweep(self.world.lists("q"))
        if rerelease:
            self.world.rerelease()

    @rule()
    def all_workers_are_lost(self) -> None:
        self.runs.clear()
        self.world.idle_sweeps(2 * TTL_MS + 2000)

    # -- operators ---------------------------------------------------------

    @rule(key=KEYS)
    def pause(self, key: str) -> None:
        self.groups.pause(key)
        self.paused.add(key)

    @rule(key=KEYS)
    def resume(self, key: str) -> None:
        self.groups.resume(key)
        self.paused.discard(key)
        self.draining.discard(key)

    @rule(key=KEYS)
    def drain(self, key: str) -> None:
        assert self.groups.drain(key) == bool(self.line[key])
        if self.line[key]:
            self.draining.add(key)

    @rule(key=KEYS, pick=PICK, drop=st.booleans())
    def skip(self, key: str, pick: int, drop: bool) -> None:
        line = self.line[key]
        expected = line[pick % len(line)] if line else "none"
        try:
            (self.groups.drop if drop else self.groups.skip)(key, expected=expected)
        except UnknownGroup:
            assert not line
        except HeadChanged:
            assert expected != line[0]
        except WrongState:
            assert expected == line[0] and expected in self.runs
        else:
            assert expected == line[0] and expected not in self.runs
            self._gone(expected)

    @rule(key=KEYS)
    def purge(self, key: str) -> None:
        gone = [id for id in self.line[key] if id not in self.runs]
        assert self.groups.purge(key) == len(gone)
        for id in gone:
            self._gone(id)

    @rule(key=KEYS, pick=PICK)
    def revoke(self, key: str, pick: int) -> None:
        if self.line[key]:
            id = self.line[key][pick % len(self.line[key])]
            free = id not in self.runs and id not in self.blocked.values()
            assert self.groups.revoke(id) == free
            if free:
                self._gone(id)

    @rule(key=KEYS)
    def retry_now(self, key: str) -> None:
        try:
            self.groups.retry(key)
        except WrongState:
            assert key not in self.blocked or key in self.paused
        else:
            self.blocked.pop(key, None)

    @rule(old=KEYS, new=KEYS)
    def move(self, old: str, new: str) -> None:
        if old == new or new in self.draining:
            return
        line, free = self.line[old], []
        under_way = {flight.task_id for flight in self.world.group(old).flights}
        waiting = [id for id in line if id not in under_way]
        for id in waiting:
            if len(self.keys[id]) > 1:
                break
            free.append(id)
        try:
            assert self.groups.move(old, new) == len(waiting)
        except WrongState as error:
            assert len(free) < len(waiting) and waiting[len(free)] in str(error)
            free = []
        for id in free:
            self.keys[id] = [new]
            line.remove(id)
            self.line[new].append(id)
        if not line:
            self.draining.discard(old)

    # -- always ------------------------------------------------------------

    @invariant()
    def the_stored_state_is_what_was_done(self) -> None:
        assert self.groups.verify() == []
        if any("d" in self.world.group(key).flags for key in self.line):
            self.world.sweep(self.world.lists("q"))  # a group that another one has freed drains until then
        for key, line in self.line.items():
            assert self.world.depth(key) == len(line), key
            assert ("d" in self.world.group(key).flags) == (key in self.draining)
            assert ("b" in self.world.group(key).flags) == (key in self.blocked)
        assert self.groups.stats().depth == len(self.keys)

    def teardown(self) -> None:
        """Let all go on, and run what is left: in order, each once, and nothing stays."""
        for key in self.line:
            self.groups.resume(key)
        for key in list(self.blocked):
            self.groups.retry(key)
        self.blocked.clear()
        self.paused.clear()
        self.draining.clear()
        for _ in range(200):
            self.world.redis.delete(self.world.keys.dead)
            for id in list(self.runs):
                self.world.finish(self.runs[id], self.keys[id][0])
                self._gone(id)
            self.receive()
            self.time_goes_by(4000, True)
            if not self.keys:
                break
        assert not self.keys, self.line
        self.world.sweep()
        assert self.world.residue() == {}
        assert int(self.world.redis.hget(self.world.keys.stats, "stand_ins") or 0) == 0


@pytest.mark.timeout(300)
def test_any_sequence(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PAUSE", 0)
    for module in (operate, purge):
        monkeypatch.setattr(module, "tell_revoked", lambda *_: None)  # these messages are no tasks'
    monkeypatch.setattr(Teller, "tell", lambda *_: None)
    Machine.world, Machine.groups = world, groups
    how = settings(max_examples=25, stateful_step_count=30, deadline=None, database=None)
    run_state_machine_as_test(Machine, settings=settings(how, suppress_health_check=list(HealthCheck)))
