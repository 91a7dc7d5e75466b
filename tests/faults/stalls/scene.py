"""A scene is acted once, with several pools at a time, and judged by many tests: what it leaves for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.history import Event
from tests.support.stages.app import CELERYS_POLICY
from tests.support.stages.fleet import Worker
from tests.support.stages.stage import Stage
from tests.support.stages.verdict import problems
from tests.support.waiting import HUNG

#: Seconds; the shortest that leaves a busy machine room.
LEASE = 3.0
#: A worker starts a second sooner when it does not ask who else is there.
QUICK = ("--without-mingle", "--without-gossip")


@contextmanager
def opened(directory: Path, broker: bool = False, backend: bool = False, **conf: Any) -> Iterator[Stage]:
    """A stage with servers of its own.

    Args:
        directory: For everything.
        broker: The broker is another server than the gate's.
        backend: So is the result backend.
        conf: Settings of the app, and options of the stage.
    """
    conf = {"groupfifo_lease_ttl": LEASE, "task_publish_retry_policy": CELERYS_POLICY, **conf}
    others: dict[str, Any] = {
        "broker": embedded.start() if broker else None,
        "backend": embedded.start(appendonly=False) if backend else None,
    }
    stage = Stage(directory, embedded.start(), **others, **conf)
    try:
        yield stage
    finally:
        for node in (stage.gate, stage.broker, stage.backend):
            node.go_on()
        stage.close()


class Scene:
    """The events on a stage.

    Attributes:
        facts: What the scene has measured itself.
    """

    def __init__(self, stage: Stage, **facts: Any) -> None:
        self.facts = facts
        self.events = stage.events
        self.left = dict(stage.left())
        self._effects = stage.effects.all()

    @classmethod
    def ended(cls, stage: Stage, within: float = HUNG, **facts: Any) -> Scene:
        """Wait until all that was sent has ended for good; who is late by `within` seconds counts as stuck."""
        with suppress(AssertionError):  # for the tests to say
            stage.drained(within)
        return cls(stage, **facts)

    def of(self, kind: str, *prefixes: str, **fields: Any) -> list[Event]:
        """The events of a kind, of the groups whose names begin so, with these fields."""
        return [
            event
            for event in self.events
            if event["ev"] == kind
            and (not prefixes or str(event.get("group", "")).startswith(prefixes))
            and all(event.get(name) == value for name, value in fields.items())
        ]

    def order(self, group: str) -> list[int]:
        """The numbers of a group's runs, in the order of their starts."""
        return [event["seq"] for event in self.of("start") if event["group"] == group]

    def assert_sound(self, *prefixes: str) -> None:
        """Order, exclusion, nothing lost, no repeat without a cause, growing fences, guarded effects."""
        mine = [event for event in self.events if str(event.get("group", prefixes[0])).startswith(prefixes)]
        effects = {group: written for group, written in self._effects.items() if group.startswith(prefixes)}
        found = problems(mine, effects)
        assert self.of("sent", *prefixes), f"nothing was sent to {prefixes}"
        assert not found, "\n".join(f"{name}: {offenders[:5]}" for name, offenders in found.items())

    def assert_first_runs(self, *prefixes: str) -> None:
        """Nobody counts as lost, and no lease was."""
        lost = [event for event in self.of("start", *prefixes) if event["lost"]]
        assert not lost, f"started again as lost: {lost[:5]}"
        told = self.of("lease_lost", *prefixes)
        assert not told, f"lost their leases: {told[:5]}"

    def assert_nothing_left(self) -> None:
        """The gate holds nothing of any group."""
        assert not self.left, self.left


def has_connected_anew(worker: Worker) -> bool:
    """Return whether a worker that had lost its broker has one again."""
    return worker.log.count("Connected to redis") > 1


def begun(stage: Stage) -> int:
    """Return the number of tasks with a lease."""
    return sum(b"\nr " in state for state in stage.redis.hvals("{groupfifo:0}:groups"))


def rest(until: float) -> None:
    """Let a fault last until then, by the history's clock: its own length, no waiting for anything."""
    time.sleep(max(until - time.monotonic(), 0.0))
