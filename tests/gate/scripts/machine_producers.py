"""The rules of a state machine for what producers do."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from celery_groupfifo import DuplicateTask, GroupDraining, GroupFull
from celery_groupfifo.gate.keys import entry_names, task_of
from celery_groupfifo.gate.model import Bound, Dedup, Entry
from celery_groupfifo.settings import OnDuplicate, Overflow
from tests.gate.scripts.machine import (
    DELAY,
    GROUP,
    ORDER,
    PICK,
    QUEUE,
    REPLAYED,
    SAID,
    WHO,
    Machine,
    needs_hand,
    with_option,
)
from tests.support.model import Said
from tests.support.world import make_entry

NOTHING = Said()


class Producers(Machine):
    """Parks of any kind, and what takes them out again."""

    @rule(group=GROUP, queue=QUEUE, delay=DELAY, replayed=REPLAYED, said=SAID, reserves=st.booleans())
    def park(
        self, group: str, queue: str, delay: int, replayed: bool, said: Said = NOTHING, reserves: bool = False
    ) -> None:
        id, said = self.new_id(group), self.allowed(said)
        delay = delay if "eta" in self.options else 0
        entry = make_entry(self.world.gate, id, group, queue, delay, reserves=reserves, **self.words(said))
        became = self._send(entry, replayed)
        expected = self.model.park(id, group, queue, delay, replayed, said, reserves)
        assert became == ("draining" if expected is None else "parked", None)

    @with_option("several")
    @rule(
        groups=st.sampled_from([("a", "b"), ("b", "a"), ("c", "a"), ("a", "b", "c"), ("b", "c")]),
        queue=QUEUE,
        most=st.sampled_from([None, None, 2]),
        replayed=REPLAYED,
    )
    def park_several(self, groups: tuple[str, ...], queue: str, most: int | None, replayed: bool) -> None:
        id, bound = self.new_id(groups[0]), None if most is None else Bound(most, "raise")
        entry = make_entry(self.world.gate, id, groups[0], queue, others=groups[1:], bound=bound)
        self.several.add(id)
        became, _ = self._send(entry, replayed)
        expected = self.model.park_several(id, groups, queue, most, replayed)
        assert became == ("draining" if expected is None else "parked" if expected is True else expected or "duplicate")

    @needs_hand("part")
    @rule(who=WHO, pick=PICK, again=st.booleans(), queue=QUEUE, delay=DELAY, replayed=REPLAYED, said=SAID)
    def insert(
        self, who: str, pick: int, again: bool, queue: str, delay: int, replayed: bool, said: Said = NOTHING
    ) -> None:
        """Also again, for a run that was lost: then the part may be in line already, or under way."""
        ticket = self.hand(who, pick)
        key, said = ticket.group, Said(self.allowed(said).rate, 1, self.allowed(said).tenant)
        known = [id for id in self.model.line.get(key, []) if ";" not in id and id not in self.model.others]
        self.number += 1
        id = known[-1 - pick % len(known)] if again and known else f"{key}{self.number}"
        self.used.add(id)
        self.parts[ticket.fence] = self.parts.get(ticket.fence, 0) + 1
        with self.replaying(replayed):
            stands = self.world.insert(
                id, ticket, self.parts[ticket.fence], key, queue, delay=delay, **self.words(said)
            )
        assert stands == self.model.insert(id, ticket.entry, ticket.fence, queue, delay, said)

    @with_option("order")
    @rule(group=GROUP, order=ORDER, window=st.sampled_from([1500, 4000]), replayed=REPLAYED)
    def park_in_a_window(self, group: str, order: int, window: int, replayed: bool) -> None:
        id = self.new_id(group)
        became, _ = self._send(make_entry(self.world.gate, id, group, "q1", window, order=order), replayed)
        expected = self.model.park(id, group, "q1", window, replayed, order=order)
        assert became == ("draining" if expected is None else "parked")

    @with_option("bound")
    @rule(
        group=GROUP,
        queue=QUEUE,
        delay=DELAY,
        most=st.integers(1, 3),
        overflow=st.sampled_from(["raise", "drop_oldest"]),
        replayed=REPLAYED,
    )
    def park_bounded(self, group: str, queue: str, delay: int, most: int, overflow: Overflow, replayed: bool) -> None:
        id = self.new_id(group)
        entry = make_entry(self.world.gate, id, group, queue, delay, bound=Bound(most, overflow))
        became, _ = self._send(entry, replayed)
        dropped = entry.dropped and entry.dropped[0]
        parked, gone = self.model.park_bounded(id, group, queue, most, overflow == "drop_oldest", delay, replayed)
        expected = "draining" if parked is None else "full" if not parked else "replaced" if gone else "parked"
        assert (became, dropped and task_of(dropped)) == (expected, gone and task_of(gone))
        self.revoked |= {gone} if gone else set()

    def known_ids(self, aside: bool = False) -> list[str]:
        """Ids of tasks at the gate."""
        names = [name for name in self.model.entries if ";" not in name]
        return [name for name in names if not self.model.is_left_behind(name)]

    @precondition(lambda self: self.known_ids())
    @rule(pick=PICK, queue=QUEUE)
    def park_a_known_id(self, pick: int, queue: str) -> None:
        id = self.known_ids()[-1 - pick % len(self.known_ids())]
        with self.replaying(False):
            assert not self.world.park(id, self.key(id), queue)
        assert not self.model.park(id, self.key(id), queue)

    @with_option("identity")
    @precondition(lambda self: self.known_ids())
    @rule(pick=PICK, group=GROUP, queue=QUEUE, replayed=REPLAYED)
    def exchange(self, pick: int, group: str, queue: str, replayed: bool) -> None:
        id = self.known_ids()[-1 - pick % len(self.known_ids())]
        entry = make_entry(self.world.gate, id, group, queue)
        entry.on_duplicate = "replace"
        became, _ = self._send(entry, replayed)
        assert became == ("duplicate" if self.model.exchange(id, group, queue) else "raised")

    @with_option("identity")
    @rule(
        group=GROUP,
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
        order = order if "order" in self.options else None
        entry = make_entry(self.world.gate, id, group, queue, delay, dedup=Dedup(identity, after), order=order)
        entry.on_duplicate = policy
        became = self._send(entry, replayed)
        expected = self.model.park_identified(id, group, queue, identity, after, policy, delay, replayed, order)
        assert became == (expected[0], expected[1] and task_of(expected[1]))
        if became[0] in ("parked", "replaced"):
            self.used.add(id)

    @with_option("identity")
    @precondition(lambda self: self.known_ids())
    @rule(pick=PICK, group=GROUP, queue=QUEUE, replayed=REPLAYED)
    def park_the_latest_of_an_id(self, pick: int, group: str, queue: str, replayed: bool) -> None:
        id = self.known_ids()[-1 - pick % len(self.known_ids())]
        names = [name for name in entry_names(id) if name not in self.model.entries]
        if names[0] in self.used:
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
            except GroupDraining:
                return "draining", None
            except GroupFull:
                return "full", None
        if entry.dropped is not None:
            return "replaced", entry.dropped[0]
        return ("parked" if parked else "duplicate"), entry.existing

    def revoked_before_their_start(self) -> set[str]:
        started = {name for starts in self.starts.values() for name in starts}
        known = {task_of(name) for name in self.model.entries}
        return {name for name in self.revoked - started - self.moved if ";" not in name and name not in known}

    @precondition(lambda self: self.revoked_before_their_start())
    @rule(queue=QUEUE, delay=DELAY)
    def park_a_revoked_id(self, queue: str, delay: int) -> None:
        id = min(self.revoked_before_their_start())
        if id[0] in self.model.draining:
            return
        self.catch_up()  # else its place may be the one that it had before
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
        before = set(self.model.entries)
        gone = [name for name in entry_names(id) if self.model.revoke(name, replayed)]
        assert answer == bool(gone)
        self.revoked |= before - set(self.model.entries)

    @needs_hand("replace")
    @rule(who=WHO, pick=PICK, group=GROUP, queue=QUEUE, delay=DELAY, replayed=REPLAYED)
    def replace(self, who: str, pick: int, group: str, queue: str, delay: int, replayed: bool) -> None:
        id = self.hand(who, pick).id
        name = self.model.name_of_replacement(id, group)
        if any(task_of(run.id) == id for run in self.model.every() if run.stop == "f"):
            return  # no run of its own
        if id not in self.model.entries or (name in self.used and name not in self.model.entries):
            return  # it would be a new task; or a name that has lived once, and the history tells names apart
        if group in self.model.draining or any(each in self.model.others for each in entry_names(id)):
            return
        with self.replaying(replayed):
            replaced = self.world.replace(id, group, queue, delay=delay)
        assert replaced == self.model.replace(id, group, queue, delay, replayed)
        if name is not None:
            self.used.add(name)
