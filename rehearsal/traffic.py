"""The traffic: producers that send tasks of hot and cold groups, at once or later, alone or in bursts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from math import cos, pi
from typing import Any
from uuid import UUID

from celery_groupfifo.gate.model import Entry, Number
from celery_groupfifo.gate.parks import park_call, read_park, script_of
from rehearsal.kinds import fair_text, limits_of, limits_text, others_of, tenant_of
from rehearsal.stage import Stage, entry_of

#: Share of the tasks by the way in which they are sent; the others are plain.
LATER, RESERVED, DOUBLED, REVOKED = 0.2, 0.01, 0.01, 0.003
#: Seconds until an ETA, at most.
LATEST, SOON = 6 * 3600, 120
#: A burst comes with one in so many sends, and has so many tasks at most, all of one of the hot groups.
BURSTS, LARGEST, HOT = 400, 400, 300
#: Times in a day when tasks of many groups are sent that are due at the same moment, as a campaign's are.
CAMPAIGNS = 4
#: Exponent of the shares of groups: of 100,000 the first one gets 0.4 % of all tasks.
SKEW = 0.6
#: Tasks whose ids may be sent again.
RECENT = 2_000


@dataclass(slots=True)
class Tally:
    """The number of tasks sent so far, and the time of the last one."""

    sent: int = 0
    campaigns: int = 0


class Traffic:
    """The producers of the day.

    Args:
        stage: Of the rehearsal.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage, self._chance = stage, stage.chance
        self._numbers: deque[Number] = deque()
        self._recent: deque[tuple[str, str]] = deque(maxlen=RECENT)
        self._busy: set[str] = set()
        self.tally = Tally()
        stage.agenda.after(0.001, self._next)
        for part in range(CAMPAIGNS):
            stage.agenda.after(stage.plan.seconds * (part + 0.3) / CAMPAIGNS, self._campaign)

    @property
    def over(self) -> bool:
        """Return whether the day is over."""
        return self._stage.agenda.seconds >= self._stage.plan.seconds

    # -- events ------------------------------------------------------------

    def _next(self) -> None:
        if self.over:
            return
        plan, chance = self._stage.plan, self._chance
        draw = chance.random()
        if draw < 1 / BURSTS:
            self._burst()
        elif draw < 1 / BURSTS + DOUBLED and self._recent:
            self._double()
        elif draw < 1 / BURSTS + DOUBLED + REVOKED and self._recent:
            self._revoke()
        else:
            self._send()
        share = 1 / (1 + LARGEST / 2 / BURSTS)  # of the sends in the tasks
        campaigns = 0.75
        rate = plan.rate * share * campaigns * (1 - 0.7 * cos(2 * pi * self._stage.agenda.seconds / plan.seconds))
        self._stage.agenda.after(chance.expovariate(max(rate, 1e-6)), self._next)

    def _group(self, among: int | None = None) -> str:
        many = among or self._stage.plan.groups
        return f"c{int(many * self._chance.random() ** (1 / (1 - SKEW))):06d}"

    def _id(self) -> str:
        self.tally.sent += 1
        return str(UUID(int=self.tally.sent))

    def _send(self) -> None:
        draw, group = self._chance.random(), self._group()
        delay, reserves, others = 0, False, tuple[str, ...]()
        if draw < LATER:
            delay = int(1000 * self._chance.uniform(1, min(LATEST, self._stage.plan.seconds / 4)))
        elif draw < LATER + RESERVED:
            delay, reserves = int(1000 * self._chance.uniform(1, SOON)), True
        else:
            others = others_of(group, self._stage.plan.groups, self._chance)
        self._park(_entry(self._id(), group, delay, reserves, others))

    def _campaign(self) -> None:
        """Send a task to each of many groups, all due at one moment."""
        plan = self._stage.plan
        due = self._stage.agenda.seconds + plan.seconds / CAMPAIGNS / 2
        many = int(plan.rate * plan.seconds * 0.25 / CAMPAIGNS)
        self.tally.campaigns += 1
        for _ in range(many):
            self._stage.agenda.after(self._chance.uniform(0, plan.seconds / CAMPAIGNS / 4), partial(self._invite, due))

    def _invite(self, due: float) -> None:
        group = f"c{self._chance.randrange(self._stage.plan.groups):06d}"
        delay = max(int((due - self._stage.agenda.seconds) * 1000), 1)
        self._park(_entry(self._id(), group, delay))

    def _burst(self) -> None:
        """Send many tasks of one group in one call."""
        group = self._group(min(HOT, self._stage.plan.groups))
        entries = [_entry(self._id(), group) for _ in range(self._chance.randint(1, LARGEST))]
        gate = self._stage.gate
        for entry, answer in zip(
            entries, self._stage.directly(lambda: gate.park_all(entries, gate.numbers_of(entries))), strict=True
        ):
            self._accepted(entry, answer, False)

    def _double(self) -> None:
        """Send a task again under an id that may be at the gate."""
        id, group = self._recent[self._chance.randrange(len(self._recent))]
        if id not in self._busy:
            self._park(_entry(id, group), again=True)

    def _revoke(self) -> None:
        id, group = self._recent[self._chance.randrange(len(self._recent))]
        if id not in self._busy:
            found = self._stage.directly(lambda: self._stage.gate.revoke(id))
            self._stage.judge.revoked(id, group, found is not None)

    # -- a call ------------------------------------------------------------

    def _park(self, entry: Entry, again: bool = False) -> None:
        number = self._numbers.popleft() if self._numbers else Number(f"p{self.tally.sent:x}", 1)
        self._busy.add(entry.id)
        self._call(entry, number, again, False)

    def _call(self, entry: Entry, number: Number, again: bool, known: bool) -> None:
        """Make the call of a park, until it is answered.

        Args:
            entry: To park.
            number: Of the park.
            again: It has the id of another task.
            known: The judge has been told already: the answer to the first call was lost.
        """
        stage = self._stage
        lost = stage.faulty and self._chance.random() < stage.plan.lost
        repeat = partial(stage.agenda.after, self._chance.uniform(0.2, 8))
        if lost and self._chance.random() < 0.5:
            repeat(partial(self._call, entry, number, again, known))
            return
        call = stage.keys, *park_call(stage.keys, entry, number, False)

        def hear(reply: Any) -> None:
            answer, _ = read_park(reply, entry)
            if not known:
                self._accepted(entry, answer, again)
            elif answer is not True:
                stage.judge.breach("lost", entry.key, entry.id, f"its repeated call was answered by {answer!r}")
            if lost:  # a call that was refused has done nothing, and is a new one
                repeat(partial(self._call, entry, number, again, known or answer is True))
                return
            self._busy.discard(entry.id)
            self._numbers.append(Number(number.producer, number.value + 1))

        stage.send(script_of(entry), call, hear)

    def _accepted(self, entry: Entry, answer: object, again: bool) -> None:
        judge = self._stage.judge
        if again:
            judge.doubled(entry.id, entry.key, answer is True)
        if answer is True:
            due = judge.ms + entry.delay if entry.delay else 0
            aside = bool(due) and not entry.reserves
            task = judge.accepted(entry.id, entry.key, limits_of(entry.key), due, aside, entry.others)
            task.tenant = tenant_of(entry.key)
            self._recent.append((entry.id, entry.key))
        elif not again:
            judge.breach("lost", entry.key, entry.id, f"its first call was refused: {answer!r}")


def _entry(id: str, group: str, delay: int = 0, reserves: bool = False, others: tuple[str, ...] = ()) -> Entry:
    """Return an entry as a call of its kind of group brings it."""
    entry = entry_of(id, group, delay, limits_text(group), reserves)
    entry.fair, entry.others = fair_text(group), others
    return entry
