"""The steps of workers in the model."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.support.model.state import OWN, Cut, Flight, Pair
from tests.support.model.steps import Steps


class Workers(Steps):
    """Begins, ends, and what goes back."""

    def begin(self, id: str, release: int, owner: str, lane: str) -> tuple[int, list[str]]:
        """Returns the fence, and what the worker is to advance. 0: the ticket is stale."""
        self.freed = None
        run = self.run_of(id)
        if run is None or run.release != release or run.state != "released":
            return 0, []
        self._start(run, owner, lane)
        self.leases[owner] = self.now + self.ttl
        self._look_now()
        group = self.entries[id][0]
        self._invite(group)
        invited = [f"a {group}"] * (group in self.company) + [f"f {self.freed}"] * (self.freed is not None)
        return run.fence, invited

    def _invite(self, group: str) -> bool:
        """Another entry of the group may start beside the one that has begun: somebody looks for it."""
        if group in self.company:
            self.advances[group] = self.now
        return group in self.company

    def gather(self, id: str, fence: int, most: int) -> list[str]:
        """Returns the entries that follow the run."""
        run = self.holding(id, fence)
        if run is None:
            return []
        group = self.entries[id][0]
        mine, line = self.flights(group), self.line.get(group, [])
        again = [each.id for each in mine if each.stop == "f" and each.state == "running" and each.fence == fence]
        strangers = [each for each in mine if each is not run and each.stop != "f"]
        if again or run.lost or strangers or group in self.paused | self.company or self.blocked(group):
            return again
        found: list[Flight] = []
        for each in [each for each in mine if each is not run]:
            if len(found) == most or each.lost or not self._fits(each.id, run):
                most = len(found)
                break
            found.append(each)
        while len(found) < most and line and self._fits(line[0], run):
            name = self._first(group)
            found.append(Flight(name, self.entries[name][1]))
            mine.append(found[-1])
        self.begun.update(each.id for each in found)
        for each in found:
            each.state, each.stop, each.owner, each.since = "running", "f", run.owner, self.now
            each.fence, each.release = fence, run.release
        return [each.id for each in found]

    def _fits(self, id: str, run: Flight) -> bool:
        group, queue = self.entries[id]
        alone = self.together_of(group, id) == 1 and id not in self.stands and id not in self.others
        return queue == run.queue and alone and self.etas.get(id, 0) <= self.now

    def settle(self, id: str, fence: int, ended: Collection[str]) -> bool:
        """Followers end; the others go back to the front of their line."""
        if self.holding(id, fence) is None:
            return False
        group = self.entries[id][0]
        for each in [each for each in self.followers(group) if each.fence == fence][::-1]:
            self.flight[group].remove(each)
            if each.id in ended:
                self._end(each.id, ran=True)
            else:
                self.line.setdefault(group, []).insert(0, each.id)
                self.places.setdefault(group, []).insert(0, each.id)
        return True

    def _leave(self, run: Flight, lost: int) -> None:
        """A run is over without an outcome: its followers wait."""
        for each in self.followers(self.entries[run.id][0]):
            if each.fence == run.fence:
                each.state, each.owner, each.since = "held", "-", self.now
                each.fence, each.lost = 0, each.lost + lost

    def finish(
        self,
        id: str,
        fence: int,
        owner: str,
        lane: str,
        take: str,
        lists: Sequence[str],
        replayed: bool = False,
        continuation: tuple[str, int] | None = None,
        rejoins: bool = False,
    ) -> tuple[bool, Pair | None, int | None]:
        """Returns whether it was stale, id and fence of what was taken, and when the continuation is due (ms from now).

        A continuation has a queue and a delay; one that rejoins its line gives up its place.
        """
        self.freed = None
        run = self.holding(id, fence)
        if run is None:
            return True, None, None
        group = self.entries[id][0]
        self.leases[owner] = self.now + self.ttl
        head, taken, due = None, None, None
        self._count(run)
        self.runs.setdefault(owner, {})[lane] = "-"
        if continuation is not None:
            queue, delay = continuation
            self.entries[id] = (self.entries[id][0], queue)
            run.due = self.now + delay
        if run.due is not None:
            due = max(run.due - self.now, 0)
        if due is None or (continuation and rejoins):
            self.flight[group].remove(run)
            if due is None:
                self.probing.discard(group)
                self._leave_places(id)
                self._end(id, ran=True)
            elif due:
                self.later[id] = self.now + due
            else:
                self._join(id, group)
            head = self._head(group)
            if head is None:
                self._close(group)
            elif self._hold_back(head) or self._take_turn(head):
                head = None
        else:
            self._resume(run, lists, not replayed)
        if take == "lists":
            taken = self._take(lists, owner, lane, head)
        own = head is not None and (taken == OWN or (take == "own" and self._may_begin(head)))
        if head and own:
            self._start(head, owner, lane, noted=False)
            head.release = head.fence
            taken = (head.id, head.fence)
        elif head:
            self._release(head, taken and taken[1])
            self._deliver(head, lists, not replayed)
        if self.freed is not None:
            self._next_turns(self.freed, lists)
        if taken is not None:
            self._invite(self.entries[taken[0]][0])
        if replayed:
            self._again(group, lists)
        return False, taken, due

    def _may_begin(self, head: Flight) -> bool:
        """Without the broker: one with a tenant lets others that are on their way have their turns."""
        waiting = any(run.state == "released" and run.queue == head.queue for run in self.every())
        return self.said[head.id].tenant is None or not waiting

    def fail(
        self,
        id: str,
        fence: int,
        owner: str,
        lane: str,
        policy: str,
        lists: Sequence[str],
        replayed: bool = False,
        lasts: int = 0,
        breaker: tuple[int, int, int] = (0, 0, 0),
    ) -> tuple[bool, bool, int | None]:
        """A run has failed for good. Returns whether it was stale, whether its group halts, and as `finish` when.

        A block may last for so many ms. A breaker: failures, the window and the pause in ms.
        """
        run = self.holding(id, fence)
        if run is None:
            return True, False, None
        if lane not in self.runs.setdefault(owner, {}):
            self.leases[owner] = self.now + self.ttl
        self.runs[owner][lane] = "-"
        self._count(run)
        if run.due is not None:
            due = max(run.due - self.now, 0)
            self._resume(run, lists, not replayed)
            if replayed:
                self._again(self.entries[id][0], lists)
            return False, False, due
        group = self.entries[id][0]
        opened = self._opens(group, *breaker)
        if policy == "cancel_rest" and self.line.get(group):
            self.cut[fence] = Cut(group, self.now, self.line.pop(group))
            del self.places[group]
        if policy == "block" or opened:
            lasts = breaker[2] if opened else lasts
            run.state, run.owner, run.stop, run.since = "held", "-", "b", self.now
            run.due = run.ends = self.now + lasts if lasts else None
            self._halt_others(group)
            return False, True, None
        self.flight[group].remove(run)
        self._leave_places(id)
        self._end(id, ran=True)
        self._advance(group, lists, not replayed)
        if replayed:
            self._again(group, lists)
        return False, False, None

    def _halt_others(self, group: str) -> None:
        """A group is blocked: of what does not run, only retries that wait for their time go on waiting."""
        self.freed = None
        for run in self.flights(group):
            if run.state == "released" or run.stop in "ts":
                self._call_in(run)
                run.stop = "h"

    def _opens(self, group: str, most: int, window: int, _: int) -> bool:
        """Count a final failure; returns whether it opens the group's breaker."""
        if not most or group in self.probing:
            return bool(most)
        times = [*(each for each in self.failures.get(group, ()) if each > self.now - window), self.now]
        self.failures[group] = times
        if len(times) >= most:
            del self.failures[group]
            self.probing.add(group)
        return len(times) >= most

    def renew(self, owner: str, tickets: Collection[tuple[str, int, str]], replayed: bool = False) -> set[str]:
        """Id, fence and lane of each. Returns what the worker has lost; what it has forgotten goes back."""
        self.leases[owner] = self.now + self.ttl
        named = {lane for _, _, lane in tickets}
        lost = {id for id, fence, _ in tickets if self.holding(id, fence) is None}
        runs = [(lane, self.run_of(id)) for lane, id in self.runs.get(owner, {}).items() if lane not in named]
        mine = [run for lane, run in runs if run and run.state == "running" and (run.owner, run.lane) == (owner, lane)]
        for run in [run for run in mine if self.now - run.since >= self.ttl]:
            self.surrender(run.id, run.fence, True, (), replayed)
        return lost

    def surrender(self, id: str, fence: int, lost: bool, lists: Collection[str], replayed: bool = False) -> None:
        """A worker gives a run back."""
        run = self.holding(id, fence)
        if run is not None:
            if lost:
                self._count(run)
            run.lost += lost
            self._leave(run, lost)
            self._resume(run, lists, not replayed)
        now = self.run_of(id) if run is None or replayed else None  # it looks like a call that is repeated
        if now and now.state == "released" and now.queue not in lists:
            self._deliver(now, ())
