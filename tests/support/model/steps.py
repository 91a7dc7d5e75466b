"""The parts of which the operations of the model are made."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.support.model.state import LEFT, LOOK, OWN, STALE, Flight, Pair, Rate, State


class Steps(State):
    """The steps that several operations have in common."""

    # -- lines -------------------------------------------------------------

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

    def _leave_line(self, id: str, group: str) -> None:
        """An entry leaves its line. Its place is empty from now on; what was sent behind it still stands there."""
        if id not in self.line.get(group, ()):
            return
        self.line[group].remove(id)
        places, self.number = self.places[group], self.number + 1
        empty = places[places.index(id)] = f"{id} {self.number}"
        for fence, last in self.followed.items():
            if last == id:
                self.followed[fence] = empty

    def _trim(self, group: str) -> None:
        """The first places of a line go, up to one that holds an entry."""
        places, line = self.places.get(group, []), self.line.get(group, [])
        self.places[group] = places[places.index(line[0]) :] if line else []

    def _forget_place(self, id: str) -> None:
        """A parked entry leaves, wherever it waits."""
        self.later.pop(id, None)
        for cut in self.cut.values():
            cut.ids = [each for each in cut.ids if each != id]
        self._leave_line(id, self.entries[id][0])

    def _head(self, group: str) -> Flight | None:
        """The next head of a group, if one may go under way; the caller releases or begins it."""
        mine = self.flight.setdefault(group, [])
        if mine and group not in self.paused and all(run.stop == "f" for run in mine):
            mine[0].stop = "-"
            return mine[0]
        room = group not in self.paused and (not mine or group in self.company)
        if not room or any(run.state == "released" or run.stop != "-" for run in mine):
            return None
        line = self.line.get(group, [])
        while line and self.is_left_behind(line[0]):
            self._end(self._first(group))
        if not line or (mine and self.together_of(group, line[0]) <= len(mine)):
            return None
        id = self._first(group)
        mine.append(Flight(id, self.entries[id][1]))
        return mine[-1]

    def _advance(self, group: str, lists: Collection[str], delivered: bool = True) -> None:
        run = self._head(group)
        if run:
            self._go(run, lists, delivered)
        else:
            self._close(group)

    def _close(self, group: str) -> None:
        """There is no next head. With the last entry of a group its marks end, and it drains no more."""
        if self.of_group(group):
            return
        self.draining.discard(group)
        if group in self.paused or group in self.limited or self.is_cut(group):
            return
        for marks in (self.probing, self.company, self.fair, self.shared):
            marks.discard(group)
        if group in self.marked:
            self.marked.remove(group)
            self.forgets[group] = self.now + self.counted[group][1][1]

    def _remove(self, run: Flight) -> None:
        self.flight[self.entries[run.id][0]].remove(run)

    def _end(self, id: str, ran: bool = False) -> str:
        """An entry leaves. An identity counts for its time when a run of its last entry was the end."""
        self.ended += 1
        self.gone[id] = (*self.entries[id], self.said[id], self.etas.get(id))
        group = self.entries.pop(id)[0]
        identity, after = self.claims.pop(id, ("", 0))
        if identity and ran and after and not self.holders(group, identity):
            self.kept[group, identity] = (id, self.now + after)
            self.identity_forgets[group, identity] = self.now + after
        if id not in self.stands:
            self.others.pop(id, None)
        for known in (self.said, self.etas, self.orders, self.stands):
            known.pop(id, None)
        return group

    # -- several keys --------------------------------------------------------

    def _awaits(self, run: Flight) -> bool:
        """Hold a stand-in, and a task whose stand-ins are not all the heads of their groups."""
        if run.id in self.stands:
            task = self.run_of(self.stands[run.id])
            if task and task.state == "held" and task.stop == "s":
                task.look = self.now
        elif all(self._stands_first(run.id, at) for at in range(len(self.others.get(run.id, ())))):
            return False
        run.state, run.due, run.stop, run.since, run.owner = "held", None, "s", self.now, "-"
        run.queue = self.entries[run.id][1]
        return True

    def _stands_first(self, id: str, at: int) -> bool:
        name = f"{id};k{at + 1}"
        there = self.run_of(name)
        return there.stop == "s" if there else name not in self.entries

    def _leave_places(self, id: str, by: str | None = None) -> None:
        """A task ends or is taken out: its stand-ins go. One that may be cut off its line stays behind."""
        for at, group in enumerate(self.others.pop(id, ())):
            name = f"{id};k{at + 1}"
            if group == LEFT[0]:
                continue
            run = self.run_of(name)
            if run:
                self.flight[group].remove(run)
            if name in self.entries and (run or name == by or not self.is_cut(group)):
                self._forget_place(name)
                self._end(name)
            self.advances[group] = self.now

    # -- rates and tenants -----------------------------------------------------

    def _go(self, run: Flight, lists: Collection[str], delivered: bool = True) -> None:
        """Release an entry, unless the limits of its group hold it back, or others of its tenant come first."""
        if not self._hold_back(run) and not self._take_turn(run):
            self._release(run)
            self._deliver(run, lists, delivered)

    def _hold_back(self, run: Flight) -> bool:
        group = self.entries[run.id][0]
        if len(self.flights(group)) == 1:
            several = self.together_of(group, run.id) > 1
            (self.company.add if several else self.company.discard)(group)
        eta = self.etas.get(run.id, 0)
        due = max(self._rate_allows(run), eta if eta > self.now else 0)
        if due:
            run.state, run.owner, run.queue, run.stop = "held", "-", self.entries[run.id][1], "l"
            run.due, run.since = due, self.now
        return due > 0 or (group in self.shared and self._awaits(run))

    def _rate_allows(self, run: Flight) -> int:
        """Return when its group's rate lets an entry start; 0: now."""
        group = self.entries[run.id][0]
        rate = self.rate_of(group, run.id)
        if rate is None:
            return 0
        self.marked.add(group)
        begins, kept = self.counted.get(group, ([], (0, 0)))
        if rate[0] > kept[0] or rate[1] > kept[1]:
            self._keep(group, begins, (max(rate[0], kept[0]), max(rate[1], kept[1])))
        beside = [each for each in self.flights(group) if each is not run and each.state != "held" and each.stop != "f"]
        begins = begins + [each.since if each.state == "running" else self.now for each in beside]
        within = sorted(ms for ms in begins if self.now - rate[1] <= ms <= self.now)
        return within[-rate[0]] + rate[1] + 1 if len(within) >= rate[0] else 0

    def _count(self, run: Flight) -> None:
        """A run is over, or lost. It counts in each of its groups."""
        if run.state != "running" or run.stop == "f":
            return
        for group in [self.entries[run.id][0], *self.others.get(run.id, ())]:
            if group in self.marked:
                begins, kept = self.counted.get(group, ([], (0, 0)))
                self._keep(group, [*begins, run.since], kept)

    def _keep(self, group: str, begins: list[int], rate: Rate) -> None:
        last = sorted(begins)[max(len(begins) - rate[0], 0) :]
        self.counted[group] = ([ms for ms in last if self.now - rate[1] <= ms <= self.now], rate)

    def _row_of(self, run: Flight, queue: str) -> str | None:
        tenant = self.said[run.id].tenant
        return tenant and f"{queue} {tenant[1]}"

    def _take_turn(self, run: Flight) -> bool:
        """Returns whether a head waits for its turn. One that was on its way, or ran without an outcome, keeps it."""
        group, queue = self.entries[run.id]
        tenant = self.said[run.id].tenant
        if tenant is None:
            return False
        self.fair.add(group)
        keeps = run.state == "released" or (run.state == "running" and run.due is None)
        self._leave_row(run)
        of = f"{queue} {tenant[1]}"
        row = self.row.setdefault(of, [])
        if keeps or not (row or len(self.out.get(of, ())) >= tenant[0]):
            return False
        if not row:
            self._look_later(of)
        run.release, run.state, run.stop, run.due, run.since = self._draw(), "held", "t", None, self.now
        run.queue, run.owner, run.fence = queue, "-", 0
        row.append((run.release, group, run.id))
        return True

    def _look_later(self, of: str) -> None:
        self.looks[of] = (self.now // LOOK + 1) * LOOK

    def _leave_row(self, run: Flight) -> str | None:
        """A ticket counts no more for its tenant, and a head waits no more. Returns the row."""
        of = self._row_of(run, run.queue)
        if of is not None:
            mine = (run.release, self.entries[run.id][0], run.id)
            for there in (self.out, self.row):
                there[of] = [each for each in there.get(of, ()) if each != mine]
        return of

    def _leave_turn(self, run: Flight) -> None:
        of = self._leave_row(run)
        if of in self.looks:
            self.freed = of

    def _look_now(self) -> None:
        if self.freed is not None:
            self.looks[self.freed] = self.now

    def _next_turns(self, of: str, lists: Collection[str], again: bool = False, delivered: bool = True) -> None:
        """Let heads of a tenant go out, the first ones in its row, while its weight allows it."""
        row = sorted(self.row.get(of, ()))
        for each in row:
            number, _, id = each
            run = self.run_of(id)
            if run is None or (run.stop, run.release) != ("t", number):
                self.row[of].remove(each)
                continue
            weight, _ = self.said[id].tenant or (0, "")
            if len(self.out.get(of, ())) >= weight:
                break
            run.state, run.stop = "released", "-"
            self._go(run, lists, delivered)
            self.row[of] = [there for there in self.row[of] if there != each]
            if run.state == "released" and len(self.out[of]) >= weight:
                break
        if not self.row.get(of):
            self.looks.pop(of, None)
        elif again:
            self._look_later(of)

    # -- tickets -------------------------------------------------------------

    def _draw(self) -> int:
        self.drawn = max(self.drawn + 1, self.now * 1000)
        return self.drawn

    def _release(self, run: Flight, drawn: int | None = None) -> None:
        """Release an entry; a number that its step has drawn as a fence serves for it, too."""
        run.state, run.release, run.fence, run.owner, run.due = "released", drawn or self._draw(), 0, "-", None
        run.queue, run.stop, run.since = self.entries[run.id][1], "-", self.now
        of = self._row_of(run, run.queue)
        if of is not None:
            self.out.setdefault(of, []).append((run.release, self.entries[run.id][0], run.id))

    def _deliver(self, run: Flight, lists: Collection[str], delivered: bool = True) -> None:
        """The script pushes it on one of its `lists`, to the front where a worker was lost; else its caller does."""
        if run.queue in lists and run.lost:
            self.lists.setdefault(run.queue, []).insert(0, (run.id, run.release))
        elif run.queue in lists or delivered:
            self.push(run.queue, (run.id, run.release))

    def _again(self, group: str, lists: Collection[str]) -> None:
        """A repeated call asks for the tickets that the first one may have asked for."""
        for run in self.flights(group):
            if run.state == "released" and run.queue not in lists:
                self._deliver(run, ())

    def _resume(self, run: Flight, lists: Collection[str], delivered: bool = True) -> None:
        """An entry under way goes on: when its continuation is due, and nothing stops it."""
        if self.is_left_behind(run.id):
            self._remove(run)
            self.advances[self._end(run.id)] = self.now
        elif run.stop in "pb" or (run.due is not None and run.due > self.now):
            run.state, run.owner, run.since = "held", "-", self.now
        elif self.blocked(self.entries[run.id][0]):
            run.state, run.owner, run.since, run.stop, run.due = "held", "-", self.now, "h", None
        else:
            self._go(run, lists, delivered)

    def _call_in(self, run: Flight) -> None:
        """A group halts: an entry that does not run is neither on its way nor due."""
        if run.state == "released" or run.stop == "t":
            self._leave_turn(run)
            self._look_now()
        if run.state == "released":
            run.state, run.since = "held", self.now
        task = self.run_of(self.stands.get(run.id, ""))
        if task and task.state == "released":
            task.state, task.stop, task.since = "held", "s", self.now
        run.look = None

    def _start(self, run: Flight, owner: str, lane: str, noted: bool = True) -> None:
        if run.state == "released":
            self._leave_turn(run)
        self.begun.add(run.id)
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
                run = self.run_of(id)
                if run and run.release == release and run.state == "released":
                    self._start(run, owner, lane, noted=release % 10 == 0)
                    return id, run.fence
                dropped += 1
            if own and own.queue == queue:
                return OWN
        return None

    # -- the broker --------------------------------------------------------

    def push(self, queue: str, ticket: Pair) -> None:
        """A message comes to a queue."""
        self.lists.setdefault(queue, []).append(ticket)

    def pop(self, queue: str) -> Pair | None:
        """A consumer takes the next one."""
        return self.lists[queue].pop(0) if self.lists.get(queue) else None

    def purge_queue(self, queue: str) -> None:
        """All messages of a queue are lost."""
        self.lists.pop(queue, None)
