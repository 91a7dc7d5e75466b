"""The verdict on a history with a failover to a replica that lacked the last writes."""

from __future__ import annotations

from dataclasses import dataclass

from celery_groupfifo.testing.checker import check
from celery_groupfifo.testing.history import Event

#: A task may have ended at the gate so long after its own last word; a machine that is busy needs it.
UNTOLD_SECONDS = 2.0


@dataclass(frozen=True)
class Gap:
    """The writes that are lost: from the last one that the replica got to the end of the old master.

    Attributes:
        first: When it began, by the history's clock.
        last: When it ended.
        first_fence: Fences from this one on belong to starts that are lost.
        last_fence: Up to this one.
    """

    first: float
    last: float
    first_fence: int
    last_fence: int

    def has_lost(self, event: Event) -> bool:
        """Return whether an event is of a start that the replica did not have."""
        return event["ev"] in ("start", "end") and self.first_fence <= event["fence"] <= self.last_fence


def assert_bounded(events: list[Event], gap: Gap) -> list[tuple[str, int]]:
    """Nothing but the gap is lost, and what is not lost is in order. Returns the lost tasks."""
    assert not check(events).fence, "fences grow over all starts, also those that are lost"
    kept = [event for event in events if not gap.has_lost(event)]
    ended = {(event["group"], event["seq"]) for event in kept if event["ev"] == "end" and event["ok"]}
    sent = {(event["group"], event["seq"]): event["t"] for event in events if event["ev"] == "sent"}
    lost = sorted(set(sent) - ended)
    # The old master may have answered one send whose sender was not let run at once.
    last = min((moment for moment in sent.values() if moment > gap.last), default=gap.last)
    outside = [task for task in lost if not gap.first <= sent[task] <= last]
    assert not outside, f"parked before the gap, or after it: {outside}"
    verdict = check([event for event in kept if event["ev"] != "sent" or (event["group"], event["seq"]) not in lost])
    assert not (verdict.order or verdict.overlap or verdict.lost), (verdict.order, verdict.overlap, verdict.lost)
    _assert_repeats(kept, gap)
    _assert_told(events, gap)
    return lost


def _assert_repeats(kept: list[Event], gap: Gap) -> None:
    """A task is repeated only when its end may be in the gap."""
    over: dict[tuple[str, int], float] = {}
    for event in sorted(kept, key=lambda each: float(each["t"])):
        if event["ev"] in ("start", "end"):
            task = event["group"], event["seq"]
            if event["ev"] == "start" and task in over:
                assert over[task] > gap.first - UNTOLD_SECONDS, f"{task} had ended long before"
            if event["ev"] == "end" and event["ok"]:
                over[task] = event["t"]


def _assert_told(events: list[Event], gap: Gap) -> None:
    """No lost start is made in a group that has started a task at the new master before."""
    back: dict[str, float] = {}
    for event in events:
        if event["ev"] == "start" and event["fence"] > gap.last_fence:
            back[event["group"]] = min(back.get(event["group"], event["t"]), event["t"])
    late = [
        each
        for each in events
        if each["ev"] == "start" and gap.has_lost(each) and each["t"] > back.get(each["group"], each["t"])
    ]
    assert not late, late
