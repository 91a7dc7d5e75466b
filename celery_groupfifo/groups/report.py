"""The report of observe mode: how often order and exclusion were broken, in all and by group."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from celery_groupfifo.errors import WrongState
from celery_groupfifo.gate.keys import Keys, unquote
from celery_groupfifo.gate.observations import KINDS
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Check, moment

#: Groups that one command reads.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Example:
    """A run that broke the order or the exclusion of its group.

    Attributes:
        task_id: Of the task that started.
        task: Its name.
        other_id: Of the task that was running, or had started before it; empty: none.
        other_task: Its name.
        when: The start.
    """

    task_id: str
    task: str
    other_id: str
    other_task: str
    when: datetime


@dataclass(frozen=True, slots=True)
class Observed:
    """The observations of one group.

    Attributes:
        key: Of the group.
        since: The first of them.
        runs: Runs that have started, retries too.
        overlaps: Those that started while another task of the group was running.
        overtaken: Those that started after a task that was sent later.
        late_retries: Retries, and messages that came again, that started after a task that was sent later.
        not_counted: Runs whose place was not known, so that nothing is said of their order.
        first: The first example of each kind, by its name.
        last: The last one.
    """

    key: str
    since: datetime
    runs: int = 0
    overlaps: int = 0
    overtaken: int = 0
    late_retries: int = 0
    not_counted: int = 0
    first: dict[str, Example] = field(default_factory=dict)
    last: dict[str, Example] = field(default_factory=dict)

    @property
    def breaches(self) -> int:
        """Return how often order or exclusion was broken."""
        return self.overlaps + self.overtaken + self.late_retries


@dataclass(frozen=True, slots=True)
class Report:
    """The observations of a gate.

    Attributes:
        since: The first of them; None: nothing was observed.
        observed_groups: Groups that are kept: those seen last, at most 10,000 in a partition, for a week.
        broken_groups: Those of them whose order or exclusion was broken.
        runs, overlaps, overtaken, late_retries: Of all groups, also those that are not kept any more; see `Observed`.
        not_counted: Runs of all groups of which nothing, or not all, is known: the gate did not answer.
        groups: The groups with the most breaches first.
    """

    since: datetime | None = None
    observed_groups: int = 0
    broken_groups: int = 0
    runs: int = 0
    overlaps: int = 0
    overtaken: int = 0
    late_retries: int = 0
    not_counted: int = 0
    groups: list[Observed] = field(default_factory=list)


def report(reader: Reader, limit: int) -> Report:
    """Return the report, see `Groups.report`."""
    totals: dict[str, int] = {}
    since: list[int] = []
    every: list[Observed] = []
    for keys in reader.partitions:
        counts = {name.decode(): int(value) for name, value in reader.one("hgetall", keys.observed[2]).items()}
        since += [counts.pop("since")] if "since" in counts else []
        totals = {name: totals.get(name, 0) + counts.get(name, 0) for name in KINDS}
        every += _groups(reader, keys)
    every.sort(key=lambda group: (-group.breaches, -group.runs, group.key))
    broken = sum(bool(group.breaches) for group in every)
    return Report(moment(min(since)) if since else None, len(every), broken, **totals, groups=every[:limit])


def _groups(reader: Reader, keys: Keys) -> list[Observed]:
    found: dict[str, Observed] = {}
    for page in reader.scan("hscan", keys.observed[0], CHUNK):
        for name, text in page:
            state = json.loads(text)
            if state["counts"]:
                found[name] = _group(unquote(name), state)
    return list(found.values())


def _group(key: str, state: dict[str, Any]) -> Observed:
    counts = {name: int(state["counts"].get(name, 0)) for name in KINDS}
    first, last = ({kind: _example(said) for kind, said in state[end].items()} for end in ("first", "last"))
    return Observed(key, moment(state["since"]), **counts, first=first, last=last)


def _example(said: dict[str, Any]) -> Example:
    words = {name: unquote(said.get(name, "")) for name in ("id", "task", "other", "other_task")}
    return Example(words["id"], words["task"], words["other"], words["other_task"], moment(said["at"]))


def mode_check(reader: Reader) -> list[Check]:
    """Say that the mode is observe; nothing in the other one."""
    if not reader.gate.settings.observes:
        return []
    said = "groupfifo_mode is 'observe': tasks run as in plain Celery, and the gate only counts. `groupfifo report` has"
    return [Check("mode", True, f"{said} the counts.")]


def refuse(verb: str) -> NoReturn:
    """Refuse an action in observe mode.

    Raises:
        WrongState: Always.
    """
    raise WrongState(
        "groupfifo_mode is 'observe': tasks run as in plain Celery and do not wait at the gate, so there is nothing to "
        f"{verb}. `groupfifo report` has the counts; 'order' lets the gate decide."
    )


class Refusing:
    """The operator of observe mode: each action is refused."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: refuse(name)
