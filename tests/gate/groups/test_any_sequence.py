"""Any sequence of what workers, time and operators do: a pause holds, order stays, nothing is lost or left over.

The state is examined by `verify` after every step, so it is tested for false alarms too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from celery_groupfifo import GroupDraining, Groups, HeadChanged, UnknownGroup, WrongState
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.groups import End, operate, purge, verify
from celery_groupfifo.sending.telling import Teller
from tests.support.world import START_MS, TTL_MS, World, ticket_of

KEYS = st.sampled_from(["a", "b"])
PICK = st.integers(0, 3)


class Machine(RuleBasedStateMachine):
    """`line` is what each group was given and has not started or lost, in order; `runs` is what holds a lease."""

    world: ClassVar[World]
    groups: ClassVar[Groups]

    def __init__(self) -> None:
        super().__init__()
        self.world.redis.flushdb()
        self.world.now = START_MS
        self.world.tick(1)
        self.line: dict[str, list[str]] = {"a": [], "b": []}
        self.runs: dict[str, Ticket] = {}
        self.paused: set[str] = set()
        self.draining: set[str] = set()
        self.blocked: dict[str, str] = {}
        self.number = 0

    def _started(self, ticket: Ticket) -> None:
        key = self._key(ticket.id)
        assert key not in self.paused, f"{ticket.id} started while {key} is paused"
        assert key not in self.blocked, f"{ticket.id} started while {key} is blocked"
        assert self.line[key][0] == ticket.id, f"{ticket.id} is not the head of {self.line[key]}"
        assert not any(self._key(id) == key for id in self.runs), "two at once"
        self.runs[ticket.id] = ticket

    def _key(self, id: str) -> str:
        return next(key for key, ids in self.line.items() if id in ids)

    def _gone(self, id: str) -> None:
        key = self._key(id)
        self.line[key].remove(id)
        self.runs.pop(id, None)
        if self.blocked.get(key) == id:
            del self.blocked[key]
        if not self.line[key]:
            self.draining.discard(key)

    def _forget(self, ids: list[str]) -> None:
        for id in ids:
            self._gone(id)

    # -- producers and workers ---------------------------------------------

    @rule(key=KEYS)
    def park(self, key: str) -> None:
        self.world.tick(1)
        self.number += 1
        id = f"t{self.number}"
        try:
            self.world.park(id, key)
        except GroupDraining:
            assert key in self.draining
        else:
            assert key not in self.draining
            self.line[key].append(id)

    @rule()
    def receive(self) -> None:
        message = self.world.pop()
        if message is not None and self.world.begin(ticket_of(message)):
            self._started(ticket_of(message))

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, take=st.sampled_from(["lists", "own", "none"]))
    def finish(self, pick: int, take: str) -> None:
        id = list(self.runs)[pick % len(self.runs)]
        ticket, key = self.runs[id], self._key(id)
        done = self.world.finish(ticket, key, take=take, lists=self.world.lists("q"))
        assert not done.stale
        if done.due is None:
            self._gone(id)
        else:
            del self.runs[id]
        if done.taken:
            self._started(ticket_of(done.taken))

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, policy=st.sampled_from(["block", "dead_letter", "cancel_rest"]))
    def fail(self, pick: int, policy: str) -> None:
        id = list(self.runs)[pick % len(self.runs)]
        ticket, key = self.runs.pop(id), self._key(id)
        done = self.world.fail(ticket, key, policy, lists=self.world.lists("q"))
        assert (done.stale, done.blocked) == (False, policy == "block")
        if policy == "block":
            self.blocked[key] = id
            return
        rest = [each for each in self.line[key] if each != id] if policy == "cancel_rest" else []
        self._gone(id)
        assert self.groups.verify() == [], "what is cut off is in order, too"
        swept = self.world.sweep(self.world.lists("q"))
        assert sorted(each for each, _ in swept.cancelled) == sorted(rest)
        self._forget(rest)

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, delay=st.sampled_from([0, 3000]))
    def retry_later(self, pick: int, delay: int) -> None:
        id = list(self.runs)[pick % len(self.runs)]
        assert not self.world.hold(self.runs.pop(id), delay, self._key(id)).stale

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, lost=st.booleans())
    def give_back(self, pick: int, lost: bool) -> None:
        id = list(self.runs)[pick % len(self.runs)]
        self.world.gate.surrender([(self.runs.pop(id), lost)], self.world.lists("q"))

    @rule(ms=st.sampled_from([1000, 4000]), rerelease=st.booleans())
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
        assert self.groups.pause(key) == (key not in self.paused)
        self.paused.add(key)

    @rule(key=KEYS)
    def resume(self, key: str) -> None:
        assert self.groups.resume(key) == (key in self.paused | self.draining)
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
        act = self.groups.drop if drop else self.groups.skip
        try:
            act(key, expected=expected)
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
        self._forget(gone)

    @rule(key=KEYS, pick=PICK)
    def revoke(self, key: str, pick: int) -> None:
        if self.line[key]:
            id = self.line[key][pick % len(self.line[key])]
            free = id not in self.runs and id != self.blocked.get(key)
            assert self.groups.revoke(id) == free
            if free:
                self._gone(id)

    @rule(key=KEYS)
    def retry_now(self, key: str) -> None:
        held = self.groups.list() and any(g.key == key and g.state == "held" for g in self.groups.list())
        try:
            self.groups.retry(key)
        except WrongState:
            assert not held or key in self.draining | self.paused
            assert key not in self.blocked or key in self.paused
        else:
            self.blocked.pop(key, None)

    @rule(old=KEYS)
    def redrive(self, old: str) -> None:
        for letter in self.groups.dead_letters(limit=1):
            try:
                self.world.tick(1)
                key = self.groups.redrive(letter.id)
            except GroupDraining:
                assert letter.key in self.draining
            else:
                self.line[key].append(letter.id)

    @rule(pick=PICK, oldest=st.booleans())
    def discard(self, pick: int, oldest: bool) -> None:
        letters = self.groups.dead_letters()
        if letters:
            letter = letters[-1 if oldest else pick % len(letters)]
            assert self.groups.discard(refs=[letter.ref]) == 1
            assert self.groups.dead_letters() == [
                replace(each, place=place) for place, each in enumerate(each for each in letters if each != letter)
            ]

    @rule(key=KEYS, end=st.sampled_from(["head", "tail"]))
    def redrive_many(self, key: str, end: End) -> None:
        ids = [letter.id for letter in self.groups.dead_letters(key)][::-1]
        if key in self.draining or not ids:
            return
        self.world.tick(1)
        line, is_out = self.line[key], bool(self.world.group(key).flights)
        assert self.groups.redrive_many(key, to=end).count == len(ids)
        at = len(line) if end == "tail" else int(is_out)
        line[at:at] = ids

    # -- always ------------------------------------------------------------

    @invariant()
    def the_letters_are_one_whole_chain(self) -> None:
        assert len(self.world.dead()) == self.groups.stats().dead_letters

    @invariant()
    def the_stored_state_is_what_was_done(self) -> None:
        assert self.groups.verify() == []
        for key, line in self.line.items():
            assert self.world.depth(key) == len(line)
            flags = self.world.group(key).flags
            assert ("p" in flags) == (key in self.paused)
            assert ("d" in flags) == (key in self.draining)
            assert ("b" in flags) == (key in self.blocked)

    def teardown(self) -> None:
        """Let all go on, and run what is left: in order, each once, and nothing stays."""
        for key in self.line:
            self.groups.resume(key)
            if key in self.blocked:
                self.groups.retry(key)
        self.blocked.clear()
        self.paused.clear()
        self.draining.clear()
        for _ in range(200):
            self.world.redis.delete(self.world.keys.dead)
            for id in list(self.runs):
                self.world.finish(self.runs[id], self._key(id))
                self._gone(id)
            self.receive()
            self.time_goes_by(4000, True)
            if not any(self.line.values()):
                break
        assert self.line == {"a": [], "b": []}
        assert self.world.residue() == {}


@pytest.mark.timeout(300)
def test_any_sequence(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PAUSE", 0)
    for module in (operate, purge):
        monkeypatch.setattr(module, "tell_revoked", lambda *_: None)  # these messages are no tasks'
    monkeypatch.setattr(Teller, "tell", lambda *_: None)
    Machine.world, Machine.groups = world, groups
    how = settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)
    run_state_machine_as_test(Machine, settings=settings(how, suppress_health_check=list(HealthCheck)))
