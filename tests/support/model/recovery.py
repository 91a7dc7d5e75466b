"""The steps of time and sweeps in the model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tests.support.model.producers import Producers
from tests.support.model.state import KINDS, MARKED, Flight
from tests.support.model.workers import Workers


class Recovery(Producers, Workers):
    """Sweeps, and tickets that are released again."""

    def sweep(self, lists: Collection[str], replayed: bool = False) -> int:
        """Returns how many were reclaimed."""
        last, since = self.pulse or (-self.ttl, 0)
        if abs(self.now - last) > self.ttl / 2:
            since = self.now
        self.pulse = (self.now, since)
        reclaimed, named = 0, []
        for when, member, group, id in sorted(self.due(), key=_in_order):
            run, kind = self.run_of(id), member[0]
            if when > self.now:
                continue
            if kind == "w" and self.now - since < self.ttl:
                self.leases[id] = since + self.ttl
            elif kind == "t":
                del self.forgets[group]
                if group not in self.marked:
                    del self.counted[group]
            elif kind == "m":
                del self.marks[group]
            elif kind in "wv":
                self.leases.pop(id, None) if kind == "w" else None
                self.reclaims[id] = self.now + self.claim
                named.append(("v", "", id))
            elif kind in "ela":
                {"e": self.later, "l": self.limits_end, "a": self.advances}[kind][id or group] = self.now + self.claim
                named.append((kind, group, id))
            elif kind == "d":
                self.cut[int(id)].when = self.now + self.claim
                named.append((kind, group, id))
            elif kind == "i":
                self._forget(group, id)
            elif kind == "f":
                self._look_at_row(group, lists)
            elif run and kind == "b":
                run.ends = self.now + self.claim
                named.append((kind, group, id))
            elif run and kind == "h" and run.state == "held":
                run.due = run.look = None
                self._resume(run, lists)
        if replayed:  # their names are lost: whoever sweeps after the claim moves them
            return 0
        for kind, group, id in named:
            if kind == "v":
                reclaimed += self._reclaim(id, lists)
            elif kind == "d":
                self._cancel(int(id), group)
        for kind, group, id in named:
            self._move_due(kind, group, id, lists)
        return reclaimed

    def _move_due(self, kind: str, group: str, id: str, lists: Collection[str]) -> None:
        if kind == "e" and id in self.later:
            for each in self._before(id, group):
                del self.later[each]
                self._note_order(each, group)
                self._join(each, group)
            self._advance(group, lists)
        elif kind == "a" and self.advances.pop(group, None) is not None:
            self._trim(group)
            self._advance(group, lists)
        elif kind == "l" and self.limits_end.pop(group, None) is not None:
            self.limited.pop(group, None)
            self._look_again(group, lists)
            self._advance(group, lists)
        elif kind == "b":
            self._withdraw(id)
            self._advance(group, lists)

    def _look_again(self, group: str, lists: Collection[str]) -> None:
        """The rate of a group has changed."""
        for run in self.flights(group)[::-1]:
            if run.state == "held" and run.stop == "l":
                run.due, run.stop = None, "-"
                self._resume(run, lists)

    def _cancel(self, fence: int, group: str) -> None:
        for each in list(self.cut[fence].ids):
            self._withdraw(each)
        del self.cut[fence]
        self._advance(group, ())

    def advance(self, members: Sequence[str], lists: Collection[str], replayed: bool = False) -> None:
        """A worker lets others go out, as it was invited to."""
        if replayed:
            self._let_go(members, lists, delivered=False)
        self._let_go(members, lists)

    def _let_go(self, members: Sequence[str], lists: Collection[str], delivered: bool = True) -> None:
        self.freed = None
        for member in members:
            kind, _, name = member.partition(" ")
            if kind == "f" and self.looks.get(name, self.now + 1) <= self.now:
                self._next_turns(name, lists, again=True, delivered=delivered)
            elif kind == "f":
                for _, _, id in sorted(self.out.get(name, ())):
                    run = self.run_of(id)
                    if run and run.state == "released" and run.queue not in lists:
                        self._deliver(run, ())
            elif self.advances.pop(name, None) is not None:
                self._trim(name)
                self._advance(name, lists, delivered)
            else:
                self._again(name, lists)

    def _look_at_row(self, of: str, lists: Collection[str]) -> None:
        """A sweep forgets tickets that are on their way no more."""
        kept = []
        for each in self.out.get(of, ()):
            run = self.run_of(each[2])
            if run and (run.state, run.release) == ("released", each[0]):
                kept.append(each)
        self.out[of] = kept
        self._next_turns(of, lists, again=True)

    def _before(self, id: str, group: str) -> list[str]:
        """An entry whose time has come, and before it those in their windows that have lower values."""
        if id not in self.orders:
            return [id]
        mine = [each for each in self.orders if self.entries[each][0] == group and self.orders[each] <= self.orders[id]]
        return sorted(mine, key=self.orders.__getitem__)

    def _note_order(self, id: str, group: str) -> None:
        if id in self.orders:
            value, _, window = self.orders.pop(id)
            if value < self.marks.get(group, (value, 0))[0]:
                self.late += 1
            else:
                self.marks[group] = (value, self.now + MARKED * window)

    def _reclaim(self, owner: str, lists: Collection[str]) -> int:
        del self.reclaims[owner]
        reclaimed = 0
        if owner not in self.leases:  # else it was renewed
            for id in self.runs.pop(owner, {}).values():
                run = self.run_of(id)
                if run and run.state == "running" and run.owner == owner:
                    self._count(run)
                    run.lost += 1
                    self._leave(run, 1)
                    reclaimed += 1
                    self._resume(run, lists)
        return reclaimed

    def rerelease(self) -> int:
        """Heads that are released, and whose ticket can't be in its list any more, go out again."""
        lost, found = [], set()
        before = self.now * 1000 - self.grace * 1000
        for run in sorted(self.every(), key=lambda run: (run.queue, run.release)):
            if run.state != "released" or run.release >= before or run.queue in found:
                continue
            overtaken = run.release < self.begins.get(run.queue, 0)
            if not overtaken and (run.id, run.release) in self.lists.get(run.queue, []):
                found.add(run.queue)  # it is still there, and so are the younger ones behind it
            else:
                lost.append(run)
        for run in lost:
            self._go(run, [run.queue])
        return len(lost)

    def due(self) -> list[tuple[int, str, str, str]]:
        """When, the member's name (it decides among equals), group and id."""
        groups = {id: self.entries[id][0] for id in self.later}
        due = [(when, f"e {groups[id]} {id}", groups[id], id) for id, when in self.later.items()]
        due += [(cut.when, f"d {cut.group} {fence}", cut.group, str(fence)) for fence, cut in self.cut.items()]
        for group, runs in self.flight.items():
            for run in runs:
                for kind, when in (("h", self.held_until(run)), ("b", run.ends if run.stop == "b" else None)):
                    if when is not None:
                        due.append((when, f"{kind} {group} {run.id}", group, run.id))
        due += [(when, f"i {group} {id}", group, id) for (group, id), when in self.identity_forgets.items()]
        due += [(when, f"w {owner}", "", owner) for owner, when in self.leases.items()]
        due += [(when, f"v {owner}", "", owner) for owner, when in self.reclaims.items()]
        due += [(when, f"t {group}", group, "") for group, when in self.forgets.items()]
        due += [(when, f"m {group}", group, "") for group, (_, when) in self.marks.items()]
        due += [(when, f"a {group}", group, "") for group, when in self.advances.items()]
        due += [(when, f"l {group}", group, "") for group, when in self.limits_end.items()]
        due += [(when, f"f {of}", of, "") for of, when in self.looks.items()]
        return due

    @staticmethod
    def held_until(run: Flight) -> int | None:
        """The time at which a sweep looks at a held entry."""
        if run.state != "held":
            return None
        return run.look if run.stop in "sh" else run.due if run.stop in "-l" else None

    def _forget(self, group: str, identity: str) -> None:
        """A sweep looks at an identity whose time may be over."""
        place = group, identity
        _, until = self.kept.get(place, ("", 0))
        if until > self.now:
            self.identity_forgets[place] = until
        else:
            del self.identity_forgets[place]
            self.kept.pop(place, None)


def _in_order(due: tuple[int, str, str, str]) -> Any:
    kind = due[1][0]
    return KINDS.index(kind) if kind in KINDS else len(KINDS), due
