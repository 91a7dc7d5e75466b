"""Reads what the tasks of tests/e2e/tasks.py wrote, and answers questions about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass
class Run:
    """One start of a task, and its end, if it came to one."""

    group: str
    number: int
    fence: int
    attempt: int
    lost: int
    worker: str
    began: float
    ended: float | None = None


class History:
    """The runs of one test, in the order of their starts."""

    def __init__(self, text: str) -> None:
        self.runs: list[Run] = []
        by_fence: dict[tuple[str, int], Run] = {}
        for event in map(json.loads, text.splitlines()):
            place = event["group"], event["fence"]
            if event.pop("event") == "start":
                assert place not in by_fence, f"a second start under one fence: {place}"
                at = event.pop("time")
                by_fence[place] = Run(**event, began=at)
                self.runs.append(by_fence[place])
            else:
                by_fence[place].ended = event["time"]

    @classmethod
    def of(cls, worker: Any) -> History:
        """The history in the volume of a worker's node; all workers of a test share one."""
        code, output = worker.container.exec_run(["cat", "/app/history"])
        return cls(output.decode() if code == 0 else "")

    def group(self, key: str) -> list[Run]:
        return [run for run in self.runs if run.group == key]

    def numbers(self, key: str) -> list[int]:
        return [run.number for run in self.group(key)]

    def assert_one_at_a_time(self) -> None:
        """No two runs of a group overlap, and the fence grows with each; unfinished ones are not judged."""
        for key in {run.group for run in self.runs}:
            for earlier, later in pairwise(self.group(key)):
                assert earlier.fence < later.fence, f"fence of {later} is not above that of {earlier}"
                assert earlier.ended is None or earlier.ended <= later.began, f"{earlier} overlaps {later}"

    def most_at_once(self) -> int:
        """The largest number of runs under way at one moment."""
        moments = [(run.began, 1) for run in self.runs]
        moments += [(run.ended, -1) for run in self.runs if run.ended is not None]
        running = most = 0
        for _, change in sorted(moments):
            running += change
            most = max(most, running)
        return most
