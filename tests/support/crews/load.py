"""Many groups at once, and what has to be true of them afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from celery_groupfifo import park_many
from tests.support.crews.history import History
from tests.support.crews.workers import Crew
from tests.support.waiting import until


class Load:
    """Tasks of a few milliseconds, spread over groups.

    Args:
        crew: Whose app sends.
        groups: How many.
        each: Tasks of a group.
        seconds: That a task takes.
        prefix: Of the groups' names.
    """

    def __init__(self, crew: Crew, groups: int, each: int, seconds: float = 0.005, prefix: str = "load") -> None:
        self.crew, self.each, self.seconds = crew, each, seconds
        self.keys = [f"{prefix}-{number}" for number in range(groups)]
        self.total = groups * each

    def send(self) -> Load:
        """Send all of it, the groups in turn."""
        act = self.crew.task("act")
        numbers = ((key, number) for number in range(self.each) for key in self.keys)
        self.crew.keep(park_many(act.si(key, number, "sleep", seconds=self.seconds) for key, number in numbers))
        return self

    def progress(self, runs: int) -> int:
        """Wait until so many more runs have begun, or all have; returns how many have now."""
        goal = min(len(self.crew.history.runs) + runs, self.total)
        until(lambda: len(self.crew.history.runs) >= goal, lambda: str(self.crew.left_over()))
        return len(self.crew.history.runs)

    def finish(self) -> History:
        """Wait until nothing is left at the gate."""
        until(lambda: not self.crew.left_over(), lambda: f"{len(self.crew.history.runs)}: {self.crew.left_over()}")
        return self.crew.history

    def check(self, history: History, repeats: Iterable[str] = ()) -> None:
        """Nothing lost, nothing out of order, nothing at once, and nothing repeated but in these groups."""
        excused = set(repeats)
        for key in self.keys:
            history.assert_in_line(key)
            numbers = history.numbers(key)
            firsts = list(dict.fromkeys(numbers))
            assert firsts == list(range(self.each)), f"{key}: lost or out of order: {numbers}"
            if key not in excused:
                again = [number for number, times in Counter(numbers).items() if times > 1]
                assert not again, f"{key}: repeated {again}"
