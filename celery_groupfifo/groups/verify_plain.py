"""A short look at a group, a part of `verify`: most groups are alike, and all is well with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from celery_groupfifo.gate.keys import Quoted
from celery_groupfifo.gate.records import StoredGroup
from celery_groupfifo.groups.state import Line, StoredState


def unusual_lines(state: StoredState, beside: Iterable[Quoted]) -> Iterator[tuple[Quoted, Line]]:
    """Yield the lines of groups that need a longer look.

    Args:
        state: Of the partition.
        beside: Groups that need one for what else was found.
    """
    some = {Quoted(flag.partition(" ")[2]) for flag in state.flags} | state.paused | set(beside)
    for group, line in state.lines.items():
        stored = state.stored.get(group)
        if stored is None or group in some or not _is_plain(state, group, stored, line):
            yield group, line


def _is_plain(state: StoredState, group: Quoted, stored: StoredGroup, line: Line) -> bool:
    """Return whether a group without flags is as most are: all is well, and its one entry under way is released.

    Nothing else is looked at then. What the checks of verify.py ask of such a group is asked here.
    """
    if stored.flags or stored.unreadable or stored.aside or len(stored.flights) != 1 or state.cut_off:
        return False
    (flight,) = stored.flights
    return (
        (flight.state, flight.stop) == ("released", "-")
        and state.flying.get(flight.id, "").endswith(f" {group}")
        and flight.id not in state.delayed
        and f"{flight.queue} {flight.release} {group}" in state.on_the_way
        and not line.twice
        and stored.empty == line.empty
        and not state.counts[group]
    )


__all__ = ["unusual_lines"]
