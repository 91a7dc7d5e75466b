"""The figures of the benchmark of tenants, from histories."""

from __future__ import annotations

import pytest

from benchmarks.processes import BenchmarkError
from benchmarks.producer import SMALL
from benchmarks.recording import END, START, Event
from benchmarks.scenarios.tenants import turns


def history(text: str) -> list[Event]:
    """A run of each letter: `b` of the big tenant, each in a group of its own, `s` of the small one."""
    events, small = [], 0
    for at, letter in enumerate(text):
        group, number = (SMALL, small) if letter == "s" else (at, 0)
        small += letter == "s"
        events += [Event(at, group, number, START), Event(at, group, number, END)]
    return events


@pytest.mark.parametrize(
    ("text", "most", "mean"),
    [("bsbsbsb", 1, 1.0), ("bbbbsbsb", 4, 2.5), ("sbbbsb", 3, 1.5), ("bsbbsss", 1, 1.0)],
    ids=["in turn", "late at first", "late in between", "those behind the last one of the other tenant do not count"],
)
def test_what_starts_between_two_of_the_small_tenant(text: str, most: int, mean: float) -> None:
    assert turns(history(text)) == {"most": most, "mean": mean, "violations": 0}


def test_a_start_while_another_one_ran_counts() -> None:
    small, beside = Event(0, SMALL, 0, START), Event(0, 1, 0, START)
    ends = Event(0, SMALL, 0, END)
    events = [small, beside, ends, Event(0, 2, 0, START), Event(0, SMALL, 1, START), Event(0, 3, 0, START)]
    assert turns(events)["most"] == 1, "only the one behind the end had to be before it"


def test_a_run_in_which_the_small_tenant_had_no_turn_has_no_figures() -> None:
    with pytest.raises(BenchmarkError, match="no turn"):
        turns(history("bbbs"))
