"""The steps of producers in the model."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.model.state import LEFT, NAMES, Said
from tests.support.model.steps import Steps

NOTHING = Said()


class Producers(Steps):
    """Parks of any kind."""

    def park(
        self,
        id: str,
        group: str,
        queue: str,
        delay: int = 0,
        replayed: bool = False,
        said: Said = NOTHING,
        reserves: bool = False,
        order: int | None = None,
    ) -> bool | None:
        """One that reserves its place waits there for its ETA. With an order value, the delay is its window.

        Returns False for a duplicate, and None where the group drains.
        """
        if id in self.entries or self.holders(group, f";{id}"):
            return False
        if group in self.draining:
            return None
        if reserves and delay:
            self.etas[id], delay = self.now + delay, 0
        self._accept(id, group, queue, delay, replayed, said, order)
        return True

    def _accept(
        self,
        id: str,
        group: str,
        queue: str,
        delay: int = 0,
        replayed: bool = False,
        said: Said = NOTHING,
        order: int | None = None,
    ) -> None:
        self._enter(id, group, queue, said)
        if delay:
            self.later[id] = self.now + delay
            if order is not None:
                self.orders[id] = (order, self._draw(), delay)
        else:
            self._join(id, group)
            if not self.flights(group) or group in self.company:
                self._advance(group, [queue])
        if replayed:
            self._again(group, [queue])

    def _enter(self, id: str, group: str, queue: str, said: Said = NOTHING) -> None:
        self.entries[id], self.said[id] = (group, queue), said
        self.accepted += 1
        if id in self.joined.get(group, ()):  # it was revoked there
            self.joined[group].remove(id)

    def park_several(
        self, id: str, groups: Sequence[str], queue: str, most: int | None = None, replayed: bool = False
    ) -> bool | str | None:
        """Park a task with several keys. Returns False for a duplicate.

        None: a group drains; "full": one is full. Of several such groups the first one counts.
        """
        if id in self.entries:
            return False
        for group in groups:
            if group in self.draining:
                return None
            if most is not None and self.line.get(group) and self._parked(group) >= most:
                return "full"
        for at, group in enumerate(groups):
            name = f"{id};k{at}" if at else id
            self._enter(name, group, queue)
            if at:
                self.stands[name] = id
            self._join(name, group)
            self.shared.add(group)
        self.others[id] = list(groups[1:])
        for group in reversed(groups):
            if not self.flights(group) or group in self.company:
                self._advance(group, [queue])
        if replayed:
            self._again(groups[0], [queue])
        return True

    def _parked(self, group: str) -> int:
        return sum(self.run_of(id) is None for id in self.of_group(group))

    def insert(self, id: str, run: str, fence: int, queue: str, delay: int = 0, said: Said = NOTHING) -> bool:
        """Park a part behind a run, and behind what that has sent before. Returns whether it stands in line."""
        leader = self.run_of(run)
        if leader is None or (id in self.entries and self.run_of(id) is not None):
            return False
        group = self.entries[run][0]
        if id in self.entries and self.entries[id][0] != group:
            return False
        if id not in self.entries:
            self.entries[id], self.said[id] = (group, queue), said
            self.accepted += 1
            if delay:
                self.etas[id] = self.now + delay
            line, places = self.line.setdefault(group, []), self.places.setdefault(group, [])
            last = self.followed.get(fence)
            places.insert(places.index(last) + 1 if last in places else 0, id)
            at = [each for each in places if each in line or each == id].index(id)
            line.insert(at, id)
            joined = self.joined.setdefault(group, [])
            if id in joined:  # it was revoked there
                joined.remove(id)
            behind = [each for each in line[at + 1 :] if each not in self.begun]  # others have come back
            joined.insert(joined.index(behind[0]) if behind else len(joined), id)
        self.followed[fence] = id
        return True

    def park_bounded(
        self, id: str, group: str, queue: str, most: int, drops: bool, delay: int = 0, replayed: bool = False
    ) -> tuple[bool | None, str | None]:
        """Park in a group of `most` parked ones. Returns whether it was, and the id of the one that made room."""
        line, dropped = self.line.get(group, []), None
        if group in self.draining:
            return None, None
        if id not in self.entries and self._parked(group) >= most:
            if not (drops and line) or line[0] in self.others or line[0] in self.stands:
                return False, None
            dropped = self._first(group)
            self._end(dropped)
        return bool(self.park(id, group, queue, delay, replayed)), dropped

    def exchange(self, id: str, group: str, queue: str) -> bool:
        """A parked entry gets a new message, and with it a queue. Returns whether it is parked, in this group.

        Beside a run of the task it is the one that `latest` has parked.
        """
        name = [id, *self.holders(group, f";{id}")][-1]
        if self.run_of(name) or self.entries[name][0] != group or name in self.others:
            return False
        self.entries[name], self.said[name] = (group, queue), NOTHING
        return True

    def park_identified(
        self,
        id: str,
        group: str,
        queue: str,
        identity: str,
        after: int,
        policy: str,
        delay: int = 0,
        replayed: bool = False,
        order: int | None = None,
    ) -> tuple[str, str | None]:
        """Park a new id, unless it is a duplicate. Returns what became of it, and of which other one."""
        holders = self.holders(group, identity)
        ended, until = self.kept.get((group, identity), ("", 0))
        if policy == "keep_latest":
            holders = [each for each in holders[-1:] if not self.run_of(each)]
        elif not holders and until > self.now:
            return ("raised" if policy == "replace" else "duplicate"), ended
        if holders and policy == "return_existing":
            return "duplicate", holders[-1]
        if holders and self.run_of(holders[-1]):
            return "raised", holders[-1]
        if holders and self._rename(holders[-1], id, group, queue):
            self._claim(id, group, identity, after)
            return "replaced", holders[-1]
        for old in holders:  # it is cut off its line
            del self.claims[old]
        if group in self.draining:
            return "draining", None
        self._claim(id, group, identity, after)
        self._accept(id, group, queue, delay, replayed, order=order)
        return "parked", None

    def latest(self, id: str, group: str, queue: str, replayed: bool = False) -> tuple[str, str | None]:
        """Park a new call of a task: beside the one that is under way, or with the message of the parked one."""
        known = self.holders(group, f";{id}")
        if known and self.run_of(known[-1]) is None:
            self.entries[known[-1]], self.said[known[-1]] = (group, queue), NOTHING
            return "exchanged", None
        name = self._free_name(id, group)
        if name is None:
            if self.run_of(id) is None and self.entries[id][0] == group and id not in self.others:
                self.entries[id], self.said[id] = (group, queue), NOTHING
                return "exchanged", None
            return "raised", None
        if group in self.draining:
            return "draining", None
        if name != id:
            self._claim(name, group, f";{id}", 0)
        self._accept(name, group, queue, 0, replayed)
        return "parked", name

    def _free_name(self, id: str, group: str) -> str | None:
        name = id
        for _ in range(NAMES):
            if name not in self.entries:
                return name
            if name == id and (self.run_of(id) is None or self.entries[id][0] != group):
                return None
            name += ";r"
        return None

    def _claim(self, id: str, group: str, identity: str, after: int) -> None:
        self.claims[id] = (identity, after)
        self.kept.pop((group, identity), None)

    def _rename(self, old: str, new: str, group: str, queue: str) -> bool:
        """A new entry has the place of a parked one, or its ETA. Returns whether it has one."""
        if old in self.later:
            self.later[new] = self.later.pop(old)
            if old in self.orders:
                self.orders[new] = self.orders.pop(old)
        elif old in self.line.get(group, ()):
            for places in (self.line[group], self.places[group], self.joined[group]):
                places[places.index(old)] = new
        else:
            return False
        self.entries[new], self.said[new] = (group, queue), NOTHING
        if old in self.etas:
            self.etas[new] = self.etas[old]
        self.accepted += 1
        self._end(old)
        return True

    def replace(self, id: str, group: str, queue: str, delay: int, replayed: bool = False) -> bool | None:
        """A task that runs gives its id to what goes on for it: in its place, or in the line of another group."""
        name = self.name_of_replacement(id, group)
        if name is None:
            return False
        run = self.run_of(name)
        if run is None:
            return self.park(name, group, queue, delay, replayed)
        self.entries[name] = (group, queue)
        run.due = self.now + delay
        return True

    def name_of_replacement(self, id: str, group: str) -> str | None:
        """The name of the entry that goes on for a run."""
        run, name = self.run_of(id), id
        if run is None or run.state != "running":
            return None
        for _ in range(NAMES):
            run = self.run_of(name)
            if name not in self.entries or (run and run.state == "running" and self.entries[name][0] == group):
                return name
            name += ";r"
        return None

    def revoke(self, id: str, replayed: bool = False) -> bool:
        """Take out an entry that does not run."""
        run = self.run_of(id)
        if id not in self.entries or (run and (run.state == "running" or run.stop == "b")):
            return False
        group = self.entries[id][0]
        stands = id in self.line.get(group, ())
        self._withdraw(id)
        if stands:
            self._trim(group)
        self._advance(group, (), not replayed)
        if replayed:
            self._again(group, ())
        return True

    def _withdraw(self, id: str) -> str:
        """Take out an entry, and through a stand-in its task. Returns the entry of the task."""
        name = id
        if self.is_left_behind(id):
            self._forget_place(id)
            self._end(id)
            return id
        if id in self.stands:
            name = self.stands[id]
        group, run = self.entries[name][0], self.run_of(name)
        if run is not None:
            self._leave_turn(run)
            self._look_now()
            self.flight[group].remove(run)
        self._leave_places(name, id)
        if name != id:
            self.advances[group] = self.now
        if name != id and run is None and self.is_cut(group):
            self.others[name] = LEFT  # its own place may be cut off
            return name
        self._forget_place(name)
        self._end(name, ran=run is not None and run.stop == "b")
        if run is not None and run.stop == "b" and not self.blocked(group):
            for other in self.flights(group):
                other.look = self.now if other.stop == "h" else other.look
        return name
