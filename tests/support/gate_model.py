"""The gate as a plain data structure: what the scripts are held to, operation by operation.

Time is an integer of milliseconds that the caller moves. Every operation may be `replayed`: its reply was lost
and the very same call was made again, so the caller knows only what the second reply said. A ticket that the first
one gave it to publish never reached the broker; the second one gives it again, and a copy of one that had reached it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

Pair = tuple[str, int]
"""A ticket: id and number of the release. A message of somebody else has the number 0."""

Rate = tuple[int, int]
"""Starts, and the window in ms."""

#: Stands for the group's own next head.
OWN: Pair = ("", -1)

#: Kinds of what is due, in the order in which a sweep moves them; others follow.
KINDS = "whe"
#: Windows for which the mark of a group is kept.
MARKED = 10
#: Names that the entries of one task may have.
NAMES = 8
#: Stale tickets that one finish drops on its way to the next one.
STALE = 20


@dataclass
class Flight:
    """The one entry of a group that is in flight: released, running or held."""

    id: str
    queue: str
    state: str = "released"
    release: int = 0
    fence: int = 0
    lost: int = 0
    owner: str = "-"
    lane: str = ""
    since: int = 0
    due: int | None = None
    on_the_way_at: int = 0
    blocks: bool = False
    ends: int | None = None
    held_back: bool = False


@dataclass
class Follower:
    """An entry in the batch of a run: with its fence, or 0 when that run was lost and it waits behind its entry."""

    id: str
    fence: int
    release: int
    lost: int = 0


@dataclass
class Cut:
    """The part that a failed run has cut off its group's line: it is cancelled when a sweep comes by."""

    group: str
    when: int
    ids: list[str]


@dataclass
class GateModel:
    """All groups, the broker's lists, and the clock.

    Attributes:
        lists: Tickets of each queue, the next one to be served first.
        entries: id -> group, queue; everything accepted and not ended.
        line: Parked ids of each group, in order.
        places: The same with the places of revoked ones, which are empty.
        followed: By the run: the place of the last part that it has sent.
        later: When a delayed entry joins its line.
        cut: By the fence of the failed run.
        leases: When that of each worker ends.
        reclaims: When a sweep takes back the heads of a lost worker.
        runs: Of each worker: what was begun last in each of its lanes.
        failures: Times of the last final failures of each group.
        probing: Groups whose breaker has opened since their last good end.
        joined: Ids of each group in the order they joined.
        claims: Identity of an entry, and how long it counts after the end of its last run.
        kept: By group and identity: an entry that has ended, and until when its identity counts.
        identity_forgets: By group and identity: when a sweep looks at it.
        rates: Of entries.
        etas: Of entries that wait for theirs at their place.
        counted: Begins of each group with a rate that are over, and for which rate they are kept.
        marked: Groups whose begins are counted.
        followers: Of each group, what follows its run, or waits behind it, in order.
        forgets: When what was counted of a group that has ended is forgotten.
        orders: Of entries that wait in their windows: the value, the number that was drawn, and the window.
        marks: The highest value of each group that has joined, and when it is forgotten.
        late: How many have joined after one with a higher value.
    """

    now: int
    ttl: int
    grace: int
    claim: int
    drawn: int = 0
    number: int = 0
    pulse: tuple[int, int] | None = None
    entries: dict[str, tuple[str, str]] = field(default_factory=dict)
    line: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    followed: dict[int, str] = field(default_factory=dict)
    later: dict[str, int] = field(default_factory=dict)
    flight: dict[str, Flight] = field(default_factory=dict)
    lists: dict[str, list[Pair]] = field(default_factory=dict)
    begins: dict[str, int] = field(default_factory=dict)
    cut: dict[int, Cut] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)
    reclaims: dict[str, int] = field(default_factory=dict)
    runs: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: dict[str, list[int]] = field(default_factory=dict)
    probing: set[str] = field(default_factory=set)
    joined: dict[str, list[str]] = field(default_factory=dict)
    claims: dict[str, tuple[str, int]] = field(default_factory=dict)
    kept: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    identity_forgets: dict[tuple[str, str], int] = field(default_factory=dict)
    rates: dict[str, Rate] = field(default_factory=dict)
    etas: dict[str, int] = field(default_factory=dict)
    counted: dict[str, tuple[list[int], Rate]] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    forgets: dict[str, int] = field(default_factory=dict)
    orders: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    late: int = 0
    followers: dict[str, list[Follower]] = field(default_factory=dict)
    accepted: int = 0
    ended: int = 0

    # -- producers ---------------------------------------------------------

    def park(
        self,
        id: str,
        group: str,
        queue: str,
        delay: int = 0,
        replayed: bool = False,
        rate: Rate | None = None,
        reserves: bool = False,
        order: int | None = None,
    ) -> bool:
        """One that reserves its place waits there for its ETA. With an order value, the delay is its window."""
        if id in self.entries or self.holders(group, f";{id}"):
            return False
        if reserves and delay:
            self.etas[id], delay = self.now + delay, 0
        self._accept(id, group, queue, delay, replayed, rate, order)
        return True

    def _accept(
        self,
        id: str,
        group: str,
        queue: str,
        delay: int = 0,
        replayed: bool = False,
        rate: Rate | None = None,
        order: int | None = None,
    ) -> None:
        self.entries[id] = (group, queue)
        if rate is not None:
            self.rates[id] = rate
        self.accepted += 1
        if id in self.joined.get(group, ()):  # it was revoked there
            self.joined[group].remove(id)
        if delay:
            self.later[id] = self.now + delay
            if order is not None:
                self.orders[id] = (order, self._draw(), delay)
        else:
            self._join(id, group)
            self._advance(group, [queue])
        if replayed:
            self._again(group, [queue])

    def insert(self, id: str, run: str, fence: int, queue: str, delay: int = 0, rate: Rate | None = None) -> bool:
        """Park a part behind a run, and behind what that has sent before. Returns whether it stands in line."""
        leader = self._run(run)
        if leader is None or (id in self.entries and self._run(id) is not None):
            return False
        group = self.entries[run][0]
        if id in self.entries and self.entries[id][0] != group:
            return False
        if id not in self.entries:
            self.entries[id] = (group, queue)
            self.accepted += 1
            if rate is not None:
                self.rates[id] = rate
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
            joined.insert(joined.index(line[at + 1]) if line[at + 1 :] else len(joined), id)
        self.followed[fence] = id
        return True

    def park_bounded(
        self, id: str, group: str, queue: str, most: int, drops: bool, delay: int = 0, replayed: bool = False
    ) -> tuple[bool, str | None]:
        """Park in a group of `most` parked ones. Returns whether it was, and the id of the one that made room."""
        line, dropped = self.line.get(group, []), None
        parked = [each for each, (of, _) in self.entries.items() if of == group and not self._under_way(each)]
        if id not in self.entries and len(parked) >= most:
            if not (drops and line):
                return False, None
            dropped = self._first(group)
            self._end(dropped)
        return self.park(id, group, queue, delay, replayed), dropped

    def exchange(self, id: str, group: str, queue: str) -> bool:
        """A parked entry gets a new message, and with it a queue. Returns whether it is parked, in this group.

        Beside a run of the task it is the one that `latest` has parked.
        """
        name = [id, *self.holders(group, f";{id}")][-1]
        if self._under_way(name) or self.entries[name][0] != group:
            return False
        self.entries[name] = (group, queue)
        self.rates.pop(name, None)
        return True

    def holders(self, group: str, identity: str) -> list[str]:
        """The entries that have an identity, the newest last."""
        mine = [id for id, (known, _) in self.claims.items() if known == identity]
        return [id for id in mine if self.entries[id][0] == group]

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
            holders = [each for each in holders[-1:] if not self._under_way(each)]
        elif not holders and until > self.now:
            return ("raised" if policy == "replace" else "duplicate"), ended
        if holders and policy == "return_existing":
            return "duplicate", holders[-1]
        if holders and self._under_way(holders[-1]):
            return "raised", holders[-1]
        if holders and self._rename(holders[-1], id, group, queue):
            self._claim(id, group, identity, after)
            return "replaced", holders[-1]
        for old in holders:  # it is cut off its line
            del self.claims[old]
        self._accept(id, group, queue, delay, replayed, order=order)
        self._claim(id, group, identity, after)
        return "parked", None

    def latest(self, id: str, group: str, queue: str, replayed: bool = False) -> tuple[str, str | None]:
        """Park a known id beside its run, or exchange its parked entry. Returns which of both, and the entry."""
        parked = [each for each in self.holders(group, f";{id}")[-1:] if not self._under_way(each)]
        name = self._free_name(id, group)
        if not parked and name is None and self.entries[id][0] == group and not self._under_way(id):
            parked = [id]
        if parked:
            self.entries[parked[0]] = (group, queue)
            self.rates.pop(parked[0], None)
            return "exchanged", parked[0]
        if name is None:
            return "raised", None
        self._accept(name, group, queue, 0, replayed)
        if name != id:
            self._claim(name, group, f";{id}", 0)
        return "parked", name

    def _free_name(self, id: str, group: str) -> str | None:
        name = id
        for _ in range(NAMES):
            if name not in self.entries:
                return name
            if name == id and (not self._under_way(id) or self.entries[id][0] != group):
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
        self.entries[new] = (group, queue)
        if old in self.etas:
            self.etas[new] = self.etas[old]
        self.accepted += 1
        self._end(old)
        return True

    def revoke(self, id: str, replayed: bool = False) -> bool:
        run = self._run(id)
        follower = self._follower(id)
        if id not in self.entries or (run and (run.state == "running" or run.blocks)):
            return False
        if follower is not None and follower.fence:
            return False
        group = self._end(id)
        if follower is not None:
            self.followers[group].remove(follower)
        elif run is None:
            self.later.pop(id, None)
            for cut in self.cut.values():
                cut.ids = [each for each in cut.ids if each != id]
            if id in self.line.get(group, ()):
                self.line[group].remove(id)
                self._empty(id, group)
        else:
            del self.flight[group]
            self._advance(group, (), not replayed)
        if replayed:
            self._again(group, ())
        return True

    # -- workers -----------------------------------------------------------

    def begin(self, id: str, release: int, owner: str, lane: str) -> int:
        """Returns the fence; 0: the ticket is stale."""
        run = self._run(id)
        if run is None or run.release != release or run.state != "released":
            return 0
        self._start(run, owner, lane)
        self.leases[owner] = self.now + self.ttl
        return run.fence

    def gather(self, id: str, fence: int, most: int) -> list[str]:
        """Returns the entries that follow the run."""
        run = self._holding(id, fence)
        group = self.entries[id][0] if run else ""
        mine, line = self.followers.setdefault(group, []), self.line.get(group, [])
        again = [each.id for each in mine if each.fence == fence]
        if run is None or again or run.lost:
            return again if run else []
        found: list[Follower] = []
        for each in mine:
            if len(found) == most or each.lost or not self._fits(each.id, run):
                most = len(found)
                break
            found.append(each)
        while len(found) < most and line and self._fits(line[0], run):
            found.append(Follower(line.pop(0), fence, run.release))
            mine.append(found[-1])
        for each in found:
            each.fence, each.release = fence, run.release
        return [each.id for each in found]

    def _fits(self, id: str, run: Flight) -> bool:
        return self.entries[id][1] == run.queue and self.etas.get(id, 0) <= self.now

    def settle(self, id: str, fence: int, ended: Collection[str]) -> bool:
        if self._holding(id, fence) is None:
            return False
        group = self.entries[id][0]
        for each in [each for each in self.followers.get(group, ()) if each.fence == fence][::-1]:
            self.followers[group].remove(each)
            if each.id in ended:
                self._end(each.id, ran=True)
            else:
                self.line.setdefault(group, []).insert(0, each.id)
        return True

    def _leave(self, run: Flight, lost: int) -> None:
        """A run is over without an outcome: its followers wait."""
        for each in self.followers.get(self.entries[run.id][0], ()):
            if each.fence == run.fence:
                each.fence, each.lost = 0, each.lost + lost

    def _follower(self, id: str) -> Follower | None:
        mine = self.followers.get(self.entries[id][0], ()) if id in self.entries else ()
        return next((each for each in mine if each.id == id), None)

    def _under_way(self, id: str) -> bool:
        return self._run(id) is not None or self._follower(id) is not None

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
        run = self._holding(id, fence)
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
            del self.flight[group]
            if due is None:
                self._end(id, ran=True)
                self.probing.discard(group)
            elif due:
                self.later[id] = self.now + due
            else:
                self._join(id, group)
            head = self._head(group)
            if head and self._hold_back(head):
                head = None
        else:
            self._resume(run, lists, not replayed)
        if take == "lists":
            taken = self._take(lists, owner, lane, head)
        if head and (take == "own" or taken == OWN):
            self._start(head, owner, lane, noted=False)
            head.release = head.fence
            taken = (head.id, head.fence)
        elif head:
            self._release(head, taken and taken[1])
            self._deliver(head, lists, not replayed)
        if replayed:
            self._again(group, lists)
        return False, taken, due

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
        run = self._holding(id, fence)
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
            run.state, run.owner, run.blocks = "held", "-", True
            run.due = run.ends = self.now + lasts if lasts else None
            return False, True, None
        del self.flight[group]
        self._end(id, ran=True)
        self._advance(group, lists, not replayed)
        if replayed:
            self._again(group, lists)
        return False, False, None

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

    def retry(self, group: str) -> bool:
        """An operator lets a held or a blocking head go out."""
        run = self.flight.get(group)
        if run is None or run.state != "held":
            return False
        run.lost = 0 if run.blocks else run.lost
        run.blocks = False
        if run.held_back:
            self.etas.pop(run.id, None)
        self._go(run, ())
        return True

    def skip(self, group: str) -> None:
        """An operator takes out the head that does not run."""
        run = self.flight.pop(group)
        self._end(run.id, ran=run.blocks)
        self._advance(group, ())

    def replace(self, id: str, group: str, queue: str, delay: int, replayed: bool = False) -> bool:
        """A task that runs gives its id to what goes on for it: in its place, or in the line of another group."""
        name = self.name_of_replacement(id, group)
        if name is None:
            return False
        run = self._run(name)
        if run is None:
            return self.park(name, group, queue, delay, replayed)
        self.entries[name] = (group, queue)
        run.due = self.now + delay
        return True

    def name_of_replacement(self, id: str, group: str) -> str | None:
        run, name = self._run(id), id
        if run is None or run.state != "running":
            return None
        for _ in range(NAMES):
            run = self._run(name)
            if name not in self.entries or (run and run.state == "running" and self.entries[name][0] == group):
                return name
            name += ";r"
        return None

    def renew(self, owner: str, tickets: Collection[tuple[str, int, str]], replayed: bool = False) -> set[str]:
        """Id, fence and lane of each. Returns what the worker has lost; what it has forgotten goes back."""
        self.leases[owner] = self.now + self.ttl
        named = {lane for _, _, lane in tickets}
        lost = {id for id, fence, _ in tickets if self._holding(id, fence) is None}
        runs = [(lane, self._run(id)) for lane, id in self.runs.get(owner, {}).items() if lane not in named]
        mine = [run for lane, run in runs if run and run.state == "running" and (run.owner, run.lane) == (owner, lane)]
        for run in [run for run in mine if self.now - run.since >= self.ttl]:
            self.surrender(run.id, run.fence, True, (), replayed)
        return lost

    def surrender(self, id: str, fence: int, lost: bool, lists: Collection[str], replayed: bool = False) -> None:
        run = self._holding(id, fence)
        if run is not None:
            run.lost += lost
            self._leave(run, lost)
            self._resume(run, lists, not replayed)
        if (run is None or replayed) and (run := self._run(id)):  # it looks like a call that is repeated
            self._again(self.entries[id][0], lists)

    # -- time --------------------------------------------------------------

    def sweep(self, lists: Collection[str], replayed: bool = False) -> int:
        """Returns how many were reclaimed."""
        last, since = self.pulse or (-self.ttl, 0)
        if abs(self.now - last) > self.ttl / 2:
            since = self.now
        self.pulse = (self.now, since)
        reclaimed, named = 0, []
        for when, member, group, id in sorted(self._due(), key=_in_order):
            run, kind = self.flight.get(group), member[0]
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
            elif kind == "e":
                self.later[id] = self.now + self.claim
                named.append((kind, group, id))
            elif kind == "d":
                self.cut[int(id)].when = self.now + self.claim
                named.append((kind, group, id))
            elif kind == "i":
                self._forget(group, id)
            elif run and kind == "b":
                run.ends = self.now + self.claim
                named.append((kind, group, id))
            elif run and kind == "h":
                run.due = None
                self._resume(run, lists)
        if replayed:  # their names are lost: whoever sweeps after the claim moves them
            return 0
        for kind, _, id in named:
            if kind == "v":
                reclaimed += self._reclaim(id, lists)
            elif kind == "d":
                for each in self.cut.pop(int(id)).ids:
                    self._end(each)
        for kind, group, id in named:
            if kind == "e" and id in self.later:
                for each in self._before(id, group):
                    del self.later[each]
                    self._note_order(each, group)
                    self._join(each, group)
                self._advance(group, lists)
            elif kind == "b":
                self._end(self.flight.pop(group).id, ran=True)
                self._advance(group, lists)
        return reclaimed

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
                run = self._run(id)
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
        for run in sorted(self.flight.values(), key=lambda run: (run.queue, run.release)):
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

    # -- the broker --------------------------------------------------------

    def push(self, queue: str, ticket: Pair) -> None:
        self.lists.setdefault(queue, []).append(ticket)

    def pop(self, queue: str) -> Pair | None:
        return self.lists[queue].pop(0) if self.lists.get(queue) else None

    def purge(self, queue: str) -> None:
        self.lists.pop(queue, None)

    # -- parts -------------------------------------------------------------

    def _run(self, id: str) -> Flight | None:
        run = self.flight.get(self.entries[id][0]) if id in self.entries else None
        return run if run and run.id == id else None

    def _holding(self, id: str, fence: int) -> Flight | None:
        run = self._run(id)
        return run if run and run.state == "running" and run.fence == fence else None

    def _due(self) -> list[tuple[int, str, str, str]]:
        """When, the member's name (it decides among equals), group and id."""
        groups = {id: self.entries[id][0] for id in self.later}
        due = [(when, f"e {groups[id]} {id}", groups[id], id) for id, when in self.later.items()]
        due += [(cut.when, f"d {cut.group} {fence}", cut.group, str(fence)) for fence, cut in self.cut.items()]
        for group, run in self.flight.items():
            if run.state == "held" and not run.blocks:
                due.append((run.due or 0, f"h {group} {run.id}", group, run.id))
            elif run.state == "held" and run.ends is not None:
                due.append((run.ends, f"b {group} {run.id}", group, run.id))
        due += [(when, f"i {group} {id}", group, id) for (group, id), when in self.identity_forgets.items()]
        due += [(when, f"w {owner}", "", owner) for owner, when in self.leases.items()]
        due += [(when, f"v {owner}", "", owner) for owner, when in self.reclaims.items()]
        due += [(when, f"t {group}", group, "") for group, when in self.forgets.items()]
        due += [(when, f"m {group}", group, "") for group, (_, when) in self.marks.items()]
        return due

    def _forget(self, group: str, identity: str) -> None:
        """A sweep looks at an identity whose time may be over."""
        place = group, identity
        _, until = self.kept.get(place, ("", 0))
        if until > self.now:
            self.identity_forgets[place] = until
        else:
            del self.identity_forgets[place]
            self.kept.pop(place, None)

    def _end(self, id: str, ran: bool = False) -> str:
        """An entry leaves. An identity counts for its time when a run of its last entry was the end."""
        self.ended += 1
        group = self.entries.pop(id)[0]
        identity, after = self.claims.pop(id, ("", 0))
        if identity and ran and after and not self.holders(group, identity):
            self.kept[group, identity] = (id, self.now + after)
            self.identity_forgets[group, identity] = self.now + after
        self.rates.pop(id, None)
        self.etas.pop(id, None)
        self.orders.pop(id, None)
        if all(each != group for each, _ in self.entries.values()):
            self.probing.discard(group)
            if group in self.marked:
                self.marked.remove(group)
                self.forgets[group] = self.now + self.counted[group][1][1]
        return group

    def _join(self, id: str, group: str) -> None:
        self.line.setdefault(group, []).append(id)
        self.places.setdefault(group, []).append(id)
        if id not in self.joined.setdefault(group, []):  # else it is a retry
            self.joined[group].append(id)

    def _first(self, group: str) -> str:
        """Take the first id out of a line, and the empty places before it."""
        id = self.line[group].pop(0)
        self.places[group] = self.places[group][self.places[group].index(id) + 1 :]
        return id

    def _empty(self, id: str, group: str) -> None:
        """A place is empty from now on; what has been sent behind it still stands there."""
        places, self.number = self.places[group], self.number + 1
        empty = places[places.index(id)] = f"{id} {self.number}"
        for fence, last in self.followed.items():
            if last == id:
                self.followed[fence] = empty

    def _head(self, group: str) -> Flight | None:
        """The next head of a group, when nothing of it is in flight; the caller releases or begins it."""
        if group in self.flight:
            return None
        if self.followers.get(group):
            first = self.followers[group].pop(0)
            run = Flight(first.id, self.entries[first.id][1], "released", first.release, first.fence, first.lost)
            self.flight[group] = run
            return run
        if not self.line.get(group):
            return None
        id = self._first(group)
        run = self.flight[group] = Flight(id, self.entries[id][1])
        return run

    def _advance(self, group: str, lists: Collection[str], delivered: bool = True) -> None:
        run = self._head(group)
        if run:
            self._go(run, lists, delivered)

    def _go(self, run: Flight, lists: Collection[str], delivered: bool = True) -> None:
        """Release an entry, unless its group's rate holds it back."""
        if not self._hold_back(run):
            self._release(run)
            self._deliver(run, lists, delivered)

    # -- rates -------------------------------------------------------------

    def _hold_back(self, run: Flight) -> bool:
        eta = self.etas.get(run.id, 0)
        due = max(self._rate_allows(run), eta if eta > self.now else 0)
        if due:
            run.state, run.owner, run.queue, run.held_back = "held", "-", self.entries[run.id][1], True
            run.due = due
        return due > 0

    def _rate_allows(self, run: Flight) -> int:
        """Return when its group's rate lets an entry start; 0: now."""
        group, rate = self.entries[run.id][0], self.rates.get(run.id)
        if rate is None:
            return 0
        self.marked.add(group)
        begins, kept = self.counted.get(group, ([], (0, 0)))
        if rate[0] > kept[0] or rate[1] > kept[1]:
            self._keep(group, begins, (max(rate[0], kept[0]), max(rate[1], kept[1])))
        within = sorted(ms for ms in begins if self.now - rate[1] <= ms <= self.now)
        return within[-rate[0]] + rate[1] + 1 if len(within) >= rate[0] else 0

    def _count(self, run: Flight) -> None:
        """A run is over, or lost."""
        group = self.entries[run.id][0]
        if group in self.marked:
            begins, kept = self.counted.get(group, ([], (0, 0)))
            self._keep(group, [*begins, run.since], kept)

    def _keep(self, group: str, begins: list[int], rate: Rate) -> None:
        last = sorted(begins)[max(len(begins) - rate[0], 0) :]
        self.counted[group] = ([ms for ms in last if self.now - rate[1] <= ms <= self.now], rate)

    # -- steps -------------------------------------------------------------

    def _draw(self) -> int:
        self.drawn = max(self.drawn + 1, self.now * 1000)
        return self.drawn

    def _release(self, run: Flight, drawn: int | None = None) -> None:
        """Release an entry; a number that its step has drawn as a fence serves for it, too."""
        run.state, run.release, run.fence, run.owner, run.due = "released", drawn or self._draw(), 0, "-", None
        run.queue, run.held_back = self.entries[run.id][1], False

    def _deliver(self, run: Flight, lists: Collection[str], delivered: bool = True) -> None:
        """The script pushes it on one of its `lists`, to the front where a worker was lost; else its caller does."""
        if run.queue in lists and run.lost:
            self.lists.setdefault(run.queue, []).insert(0, (run.id, run.release))
        elif run.queue in lists or delivered:
            self.push(run.queue, (run.id, run.release))

    def _again(self, group: str, lists: Collection[str]) -> None:
        """A repeated call asks for the tickets that the first one may have asked for."""
        run = self.flight.get(group)
        if run and run.state == "released" and run.queue not in lists:
            self._deliver(run, ())

    def _resume(self, run: Flight, lists: Collection[str], delivered: bool = True) -> None:
        if run.due is not None and run.due > self.now:
            run.state, run.owner = "held", "-"
        else:
            self._go(run, lists, delivered)

    def _start(self, run: Flight, owner: str, lane: str, noted: bool = True) -> None:
        run.state, run.fence, run.owner, run.lane, run.since = "running", self._draw(), owner, lane, self.now
        self.runs.setdefault(owner, {})[lane] = run.id
        if noted and not run.lost:
            self.begins[run.queue] = max(run.release, self.begins.get(run.queue, 0))

    def _take(self, lists: Sequence[str], owner: str, lane: str, own: Flight | None) -> Pair | None:
        """Id and fence of the next one; OWN when the head `own`, not released yet, would be the next."""
        dropped = 0
        for queue in lists:
            while ticket := self.pop(queue):
                id, release = ticket
                if not release or dropped == STALE:
                    self.lists[queue].insert(0, ticket)
                    return None
                run = self._run(id)
                if run and run.release == release and run.state == "released":
                    self._start(run, owner, lane, noted=release % 10 == 0)
                    return id, run.fence
                dropped += 1
            if own and own.queue == queue:
                return OWN
        return None


def _in_order(due: tuple[int, str, str, str]) -> Any:
    kind = due[1][0]
    return KINDS.index(kind) if kind in KINDS else len(KINDS), due
