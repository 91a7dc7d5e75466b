"""Reads what the tasks of app.py wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass
class Run:
    """One start of a task, and its end, if it came to one."""

    key: str | None
    number: int
    fence: int
    attempt: int
    lost: int
    id: str
    pid: int
    worker: str
    began: float
    last_sign: float
    ended: bool = False


class History:
    """All runs so far, in the order of their starts."""

    def __init__(self, text: str) -> None:
        self.runs: list[Run] = []
        known: dict[tuple[str, int], Run] = {}
        for event in map(json.loads, text.splitlines()):
            kind, at = event.pop("event"), event.pop("at")
            place = event["id"], event["fence"]
            if kind == "start":
                assert place not in known or not event["fence"], f"a second start under one fence: {event}"
                known[place] = Run(**event, began=at, last_sign=at)
                self.runs.append(known[place])
            else:
                known[place].last_sign = at
                known[place].ended = kind == "end"

    @classmethod
    def read(cls, path: Path) -> History:
        """The history in a file; a line that is being written is left out."""
        text = path.read_text() if path.exists() else ""
        return cls(text[: text.rfind("\n") + 1])

    def group(self, key: str | None) -> list[Run]:
        return [run for run in self.runs if run.key == key]

    def numbers(self, key: str | None) -> list[int]:
        return [run.number for run in self.group(key)]

    def assert_in_line(self, key: str) -> None:
        """The runs of a group do not overlap, and their fences grow. A run without an end lasted to its last sign."""
        for earlier, later in pairwise(self.group(key)):
            assert earlier.fence < later.fence, f"{later} has no higher fence than {earlier}"
            assert earlier.last_sign <= later.began, f"{later} began before the end of {earlier}"

    def assert_all_in_line(self) -> None:
        """So it is in all groups."""
        for key in {run.key for run in self.runs if run.key is not None}:
            self.assert_in_line(key)

    def most_at_once(self, key: str | None = None) -> int:
        """Return the largest number of runs, of a group or of all, under way at one moment."""
        runs = self.runs if key is None else self.group(key)
        moments = [(run.began, 1) for run in runs] + [(run.last_sign, -1) for run in runs]
        now = most = 0
        for _, change in sorted(moments):
            now += change
            most = max(most, now)
        return most
