"""The steps of operators in the model."""

from __future__ import annotations

from tests.support.model.recovery import Recovery
from tests.support.model.state import Rate


class Operators(Recovery):
    """The verbs of `Groups`."""

    def pause(self, group: str) -> bool:
        """Returns whether it was not paused."""
        self.freed, new = None, group not in self.paused
        self.paused.add(group)
        for run in self.flights(group):
            self._call_in(run)
            run.due = None if run.stop == "l" else run.due
            run.stop = run.stop if run.stop in "bf" else "p"
        return new

    def resume(self, group: str) -> bool:
        """Returns whether it was paused or draining."""
        if group not in self.paused | self.draining:
            return False
        self.paused.discard(group)
        self.draining.discard(group)
        for run in self.flights(group)[::-1]:
            if run.stop == "p":
                run.stop = "-"
                if run.state != "running":
                    self._resume(run, ())
        self._advance(group, ())
        return True

    def drain(self, group: str) -> bool:
        """Returns whether there is anything to drain."""
        if self.of_group(group):
            self.draining.add(group)
        return group in self.draining

    def retry(self, group: str) -> bool | None:
        """Held and blocking heads go out. Returns whether there are any; None: the group is paused."""
        held = [run for run in self.flights(group) if run.state == "held"]
        stopped = [run for run in held if run.stop == "p" or group in self.paused]
        mine = [run for run in held if run not in stopped and run.stop not in "fs"]
        failed = [run for run in mine if run.stop == "b"]
        for run in failed:
            run.stop, run.lost, run.ends = "-", 0, None
        for run in mine[::-1]:
            if run.stop == "l":
                self.etas.pop(run.id, None)
            if run.stop == "t":
                self._leave_row(run)
                run.state = "released"
            run.due, run.stop = None, "-"
            self._resume(run, ())
        return True if mine else None if stopped else False

    def skip(self, group: str, id: str) -> str:
        """Take out the head, if it is this one and does not run."""
        self.freed = None
        names = [run.id for run in self.flights(group)] or self.line.get(group, [])[:1]
        mine = [name for name in names if name.partition(";")[0] == id]
        if not names:
            return "empty"
        if not mine:
            return "changed"
        run = self.run_of(mine[-1])
        task = self.run_of(self.stands.get(mine[-1], ""))
        if (run and run.state == "running") or (run and task and task.state == "running"):
            return "runs"
        self._withdraw(mine[-1])
        self._advance(group, ())
        return "done"

    def purge(self, group: str) -> list[str]:
        """Take out what is in line or under way and does not run. Returns the entries."""
        self.freed = None
        gone = [self._withdraw(id) for id in list(self.line.get(group, ()))]
        for run in self.flights(group)[::-1]:
            task = self.run_of(self.stands.get(run.id, ""))
            if run in self.flights(group) and run.state != "running" and not (task and task.state == "running"):
                gone.append(self._withdraw(run.id))
        self._advance(group, ())
        return gone

    def move(self, old: str, new: str) -> int | None:
        """Move a line to the end of another one. Returns how many; None: the other one drains."""
        if not self.places.get(old):
            return 0
        if new in self.draining:
            return None
        moved = list(self.line.get(old, ()))
        for id in moved:
            self._first(old)
            self.entries[id] = (new, self.entries[id][1])
            identity, after = self.claims.pop(id, ("", 0))
            if identity and not self.holders(new, identity) and self.kept.get((new, identity), ("", 0))[1] <= self.now:
                self.claims[id] = (identity, after)
                self.kept.pop((new, identity), None)
            self._join(id, new)
        self._advance(old, ())
        self._advance(new, ())
        return len(moved)

    def redrive(self, id: str, to_head: bool) -> bool | None:
        """A dead letter is an entry again. Returns False when there is one of this id; None: its group drains."""
        group, queue, said, eta = self.gone[id]
        if id in self.entries:
            return False
        if group in self.draining:
            return None
        self.entries[id], self.said[id] = (group, queue), said
        self.accepted += 1
        if eta is not None:
            self.etas[id] = eta
        for places in (self.line.setdefault(group, []), self.places.setdefault(group, [])):
            places.insert(0 if to_head else len(places), id)
        self._advance(group, ())
        return True

    def limit(self, group: str, rate: Rate | None, together: int | None, lasts: int = 0) -> bool:
        """Set limits, or take them away. Returns whether there were any to take away."""
        if rate or together:
            self.limited[group] = (rate, together)
        elif self.limited.pop(group, None) is None:
            return False
        if rate and group not in self.marked:
            self.marked.add(group)
            begins, kept = self.counted.get(group, ([], (0, 0)))
            self._keep(group, begins, (max(rate[0], kept[0]), max(rate[1], kept[1])))
        self.limits_end.pop(group, None)
        if (rate or together) and lasts:
            self.limits_end[group] = self.now + lasts
        self._look_again(group, ())
        self._advance(group, ())
        return True
