"""The judge: it knows what was sent to the gate and what the gate answered, and names each breach.

It never asks the gate, and takes nothing from its state. Calls are told in the order in which Redis made them, also
those whose answers the virtual processes never got.

* **order**: a task first starts when every task before it in its group has ended for good. One with an ETA takes its
  place when it is due, and a retry that gave up its place takes a new one.
* **overlap**: of a group only so many runs are begun at once as it may have. A run counts until its end is accepted; it
  is replaced by another run of its task only when its worker has given it back, or the lease of the worker is over.
* **fence**: it grows with each start of a group.
* **early**: nothing starts before its ETA, the end of its countdown, of a block or of a pause, nor beyond the rate. Of
  a group with several tasks at once, those that are out when it is blocked go on: one ticket at most.
* **ended**: no task starts or ends once it has ended; a duplicate is parked only then.
* A task with **several keys** has a place, and keeps these rules, in each of its groups.
* **refused**: the end of a run is refused if and only if the run was replaced; a run is said to be lost only then.
* **turns**: in the queue are no more first tickets of a tenant than its weight.
* **lost**: at the end, a task that has not ended.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from rehearsal.lines import Holder, Known, Limits, Line

#: Milliseconds after an ETA within which its task has joined its line for sure, and between two sweeps of workers that
#: are there.
JOINED_WITHIN, GAP = 60_000, 5_000


class Breach(NamedTuple):
    """One thing that must not happen: rule, group, task, sentence, and virtual time (ms)."""

    rule: str
    group: str
    id: str
    note: str
    ms: int


class Judge:
    """The judge of one run.

    Args:
        ttl_ms: Of leases.

    Attributes:
        breaches: All that were found, the first one first.
        counts: Of what has happened.
        alive: The tasks that have not ended, by id.
    """

    def __init__(self, ttl_ms: int) -> None:
        self._ttl = ttl_ms
        self.breaches: list[Breach] = []
        self.counts: Counter[str] = Counter()
        self.alive: dict[str, Known] = {}
        self._lines: dict[str, Line] = {}
        self._fences: dict[str, int] = {}
        self._leases: dict[str, int] = {}
        self._lapsed: dict[str, int] = {}
        self._starts: dict[str, deque[int]] = {}
        self._paused: set[str] = set()
        self._blocked: dict[str, int] = {}
        self._beside: dict[str, int] = {}
        self._lingers: dict[str, int] = {}
        self._recent: deque[str] = deque(maxlen=1_000)
        self._swept = self._sweeping = self._changed = self.ms = 0

    # -- sending -----------------------------------------------------------

    def accepted(
        self, id: str, group: str, limits: Limits, due: int = 0, aside: bool = False, others: tuple[str, ...] = ()
    ) -> Known:
        """Note a task that the gate has parked.

        Args:
            id: Of the task.
            group: Its key.
            limits: Of the group.
            due: Of its ETA (ms); 0: none.
            aside: True: it takes its place only then.
            others: Its other keys, of groups without limits.
        """
        self.counts["accepted"] += 1
        self.counts["with several keys"] += bool(others)
        task = self.alive[id] = Known(id, group, self.ms, due, aside, others=others)
        for key in task.keys:
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = Line(limits)
            line.alive += 1
            line.place(task)
        self._recent.append(group)
        return task

    def doubled(self, id: str, group: str, parked: bool) -> None:
        """Note the answer to a second call with an id: parked only when the first task has ended."""
        self.counts["duplicates"] += 1
        lives = id in self.alive
        if parked and lives:
            self.breach("ended", group, id, "a duplicate was parked beside the task")
        if not parked and not lives and self._lingers.get(id, 0) < self.ms:
            self.breach("ended", group, id, "its id was refused though its task has ended")

    def revoked(self, id: str, group: str, found: bool) -> None:
        """Note the answer to a revoke."""
        task = self.alive.get(id)
        holder = self._lines[group].running.get(id) if task is not None else None
        if found:
            if task is None:
                self.breach("ended", group, id, "it was revoked though it had ended")
            elif holder is not None and not self._over(holder):
                self.breach("overlap", group, id, "it was revoked while it ran")
            if task is not None:
                self.counts["revoked"] += 1
                self._end(task)
        elif task is not None and holder is None:
            self.breach("lost", group, id, "a revoke did not find it")

    def paused(self, group: str) -> None:
        """Note a pause that was answered: the next ticket of its first task may come beside one that is stale."""
        self._paused.add(group)
        line = self._lines.get(group)
        first = line.next() if line is not None else None
        if first is not None:
            first.copied = True

    def resumed(self, group: str) -> None:
        """Note the call that ends a pause."""
        self._paused.discard(group)

    def copied(self, id: str) -> None:
        """Note that a ticket has come twice."""
        if id in self.alive:
            self.alive[id].copied = True

    def queued(self, ids: Iterable[str]) -> None:
        """Note whose tickets are in the queue: the first ones of tasks that have not started yet are in turn."""
        found = (self.alive[id] for id in ids if id in self.alive)
        mine = [task for task in found if task.tenant is not None and not task.started and not task.copied]
        for tenant, many in Counter(task.tenant for task in mine).items():
            assert tenant is not None
            self.counts["full turns"] += many == tenant.weight
            if many > tenant.weight:
                task = next(task for task in mine if task.tenant == tenant)
                self.breach("turns", task.group, task.id, f"{many} tickets of {tenant} are in the queue")

    # -- workers -----------------------------------------------------------

    def has_several(self, id: str) -> bool:
        """Return whether a task has several keys."""
        return id in self.alive and bool(self.alive[id].others)

    def leased(self, owner: str) -> None:
        """Note that the lease of a worker lasts from now on."""
        if self._leases.get(owner, self.ms + 1) <= self.ms:
            self._lapsed[owner] = self.ms  # what it ran may have been taken back meanwhile
        self._leases[owner] = self.ms + self._ttl

    def left(self, owner: str) -> None:
        """Note that a worker has ended, and has given back all that it had."""
        self._leases.pop(owner, None)

    def any_group(self, chance: Random) -> str | None:
        """Return a group with tasks by chance; None: there is none."""
        for _ in range(20):
            if self._recent:
                group = self._recent[chance.randrange(len(self._recent))]
                if group in self._lines and group not in self._paused:
                    return group
        return None

    def jumped(self, ms: int, living: set[str]) -> None:
        """Note that the clock of Redis has jumped ahead: no living worker may lose its lease by that."""
        for owner in living & self._leases.keys():
            self._leases[owner] += ms

    def swept(self) -> None:
        """Note a sweep."""
        if self.ms - self._swept > GAP:
            self._sweeping = self.ms
        self._swept = self.ms

    def started(self, id: str, group: str, fence: int, owner: str, leases: bool) -> None:
        """Note the answer that begins a run; also one that is repeated.

        Args:
            id: Of the task.
            group: Its key.
            fence: Of the run.
            owner: The worker.
            leases: The call extends the lease of the worker.
        """
        task = self.alive.get(id)
        if task is None or task.group != group:
            self.breach("ended", group, id, f"it starts (fence {fence}) though it is not at the gate")
            return
        holder = self._lines[group].running.get(id)
        if holder is not None and (holder.fence, holder.owner) == (fence, owner):
            return  # the answer to a repeated call
        self.counts["starts"] += 1
        self._changed = self.ms
        if leases or owner not in self._leases:
            self.leased(owner)
        if task.due > self.ms:
            self.breach("early", group, id, f"it starts {task.due - self.ms} ms before it is due")
        if holder is not None:
            self.counts["repeats"] += 1
            if not self._over(holder):
                self.breach("overlap", group, id, f"it starts again (fence {fence}) beside its run {holder}")
        begun = Holder(fence, owner, self.ms)
        for key in task.keys:
            self._starts_in(key, task, begun)
        task.started = True

    def _starts_in(self, group: str, task: Known, begun: Holder) -> None:
        line = self._lines[group]
        self._grows(group, task.id, begun.fence)
        self._in_time(group, task, line.limits.together)
        self._within_rate(group, task.id, line.limits)
        if task.id not in line.running and len(line.running) >= line.limits.together:
            self.breach("overlap", group, task.id, f"it starts (fence {begun.fence}) beside {line.running}")
        if not task.started:
            self._in_turn(group, task, line)
        line.running[task.id] = begun

    def given_back(self, id: str, group: str, fence: int) -> None:
        """Note that a worker has given a run back, or has forgotten it."""
        line = self._lines.get(group)
        holder = line.running.get(id) if line is not None else None
        if holder is not None and holder.fence == fence and not holder.given_up:
            holder.given_up = True
            starts = self._starts.get(group)
            if starts and holder.since in starts:  # the gate counts it no more
                starts.remove(holder.since)

    def ended(
        self, id: str, group: str, fence: int, accepted: bool, extends: bool = False, lingers: int = 0, blocks: int = 0
    ) -> None:
        """Note the answer to the end of a run, the first one.

        Args:
            id: Of the task.
            group: Its key.
            fence: Of the run.
            accepted: False: it was refused.
            extends: The call extends the lease of its worker.
            lingers: Milliseconds for which its id counts although it has ended.
            blocks: Milliseconds for which its group halts.
        """
        if self._closes(id, group, fence, accepted, extends):
            self.counts["ended"] += 1
            self._lingers[id] = self.ms + lingers
            for key in self.alive[id].keys if blocks else ():
                self._blocked[key] = self.ms + blocks
                self._beside.pop(key, None)
            self._end(self.alive[id])

    def retried(self, id: str, group: str, fence: int, accepted: bool, extends: bool, due: int, rejoins: bool) -> None:
        """Note the answer to the end of a run whose task goes on.

        Args:
            id: Of the task.
            group: Its key.
            fence: Of the run.
            accepted: False: it was refused.
            extends: The call extends the lease of its worker.
            due: It goes on then (ms).
            rejoins: It gives up its place.
        """
        if self._closes(id, group, fence, accepted, extends):
            self.counts["retries"] += 1
            task, line = self.alive[id], self._lines[group]
            task.due = due
            if rejoins:
                line.leave(task)
                task.accepted, task.started, task.aside = self.ms, False, due > self.ms
                line.place(task)

    def told(self, id: str, group: str, fence: int) -> None:
        """Note that a worker was told that it has lost a run."""
        self.counts["told"] += 1
        holder = self._holder(id, group)
        if holder is not None and holder.fence == fence and not self._over(holder):
            self.breach("refused", group, id, f"its run {holder} is said to be lost")

    def waits(self, patience_ms: int) -> bool:
        """Return whether something may still happen to the tasks that have not ended.

        Args:
            patience_ms: Time within which something happens to a task that is due, unless it is lost.
        """
        ends = (max(task.due, self._blocked.get(task.group, 0)) for task in self.alive.values())
        last = max([self._changed, *ends])
        return bool(self.alive) and self.ms - last < patience_ms

    def unfinished(self) -> None:
        """Name each task that has not ended, as lost."""
        for task in self.alive.values():
            self.breach("lost", task.group, task.id, f"it has not ended: {task}")

    # -- parts -------------------------------------------------------------

    def breach(self, rule: str, group: str, id: str, note: str) -> None:
        """Note a breach."""
        self.breaches.append(Breach(rule, group, id, note, self.ms))

    def _holder(self, id: str, group: str) -> Holder | None:
        line = self._lines.get(group)
        return line.running.get(id) if line is not None else None

    def _over(self, holder: Holder) -> bool:
        lapsed = self._leases.get(holder.owner, 0) <= self.ms or self._lapsed.get(holder.owner, 0) > holder.since
        return lapsed or holder.given_up

    def _end(self, task: Known) -> None:
        task.ended = True
        del self.alive[task.id]
        for key in task.keys:
            line = self._lines[key]
            line.running.pop(task.id, None)
            line.aside.pop(task.id, None)
            line.alive -= 1
            if not line.alive:
                del self._lines[key]

    def _closes(self, id: str, group: str, fence: int, accepted: bool, extends: bool) -> bool:
        holder = self._holder(id, group)
        runs = holder is not None and holder.fence == fence
        if holder is not None and runs and accepted:
            if extends:
                self.leased(holder.owner)
            for key in self.alive[id].keys:
                del self._lines[key].running[id]
            return True
        if accepted:
            self.breach("refused", group, id, f"the end of its old run (fence {fence}) was accepted, beside {holder}")
        elif holder is not None and runs and not self._over(holder):
            self.breach("refused", group, id, f"the end of its run {holder} was refused")
        else:
            self.counts["refused"] += 1
        return False

    def _grows(self, group: str, id: str, fence: int) -> None:
        last = self._fences.get(group, 0)
        if fence <= last:
            self.breach("fence", group, id, f"it starts with fence {fence} after {last}")
        self._fences[group] = max(last, fence)

    def _in_time(self, group: str, task: Known, together: int) -> None:
        if group in self._paused:
            self.breach("early", group, task.id, "it starts in a paused group")
        if self._blocked.get(group, 0) > self.ms and not (together > 1 and self._was_out(task)):
            self.breach("early", group, task.id, "it starts in a blocked group")

    def _was_out(self, task: Known) -> bool:
        """Return whether a task may have been under way when its group was blocked: one of several at once."""
        if not task.started:
            self._beside[task.group] = self._beside.get(task.group, 0) + 1
        return task.started or self._beside[task.group] == 1

    def _within_rate(self, group: str, id: str, limits: Limits) -> None:
        if not limits.starts:
            return
        starts = self._starts.setdefault(group, deque())
        if len(starts) >= limits.starts and self.ms - starts[-limits.starts] < limits.window:
            self.breach("early", group, id, f"{limits.starts} others started within {limits.window} ms before it")
        starts.append(self.ms)
        while len(starts) > limits.starts:
            starts.popleft()

    def _in_turn(self, group: str, task: Known, line: Line) -> None:
        before = line.next()
        if task.aside:
            if before is not None and before.accepted < task.due:
                self.breach("order", group, task.id, f"it starts before {before}")
            del line.aside[task.id]
            task.aside = False
            line.placed.appendleft(task)
        elif before is not task:
            self.breach("order", group, task.id, f"it starts before {before}")
        for other in line.aside.values():
            if max(other.due, self._sweeping) + JOINED_WITHIN < task.accepted:
                self.breach("order", group, task.id, f"it starts before {other}, due before it was sent")
