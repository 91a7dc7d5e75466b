"""Judge what must hold after any faults; a breach is an AssertionError that names every offender."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from celery_groupfifo.testing.checker import check, summary
from celery_groupfifo.testing.history import Event
from celery_groupfifo.testing.summary import Summary
from celery_groupfifo.testing.timeline import FAILED, OK, RecordedRun, Span, Timeline
from tests.support.stages.effects import Effect, out_of_order
from tests.support.stages.stage import Stage

#: A run that ended well may be repeated when its worker was struck before the gate had heard: within this time.
UNTOLD_SECONDS = 3.0
#: While a worker has no connection to its broker, Celery does not hear from its pool: two attempts, 2 s and 4 s apart.
RECONNECT_SECONDS = 7.0
BREAKING = (
    *("restart_redis", "kill_clients", "cut", "stall_redis", "lose_replies"),
    *("gate_hangs", "gate_refuses", "gate_swallows", "broker_hangs", "broker_hangs_up"),
)
#: Taken from the checker's verdict as they are. Overlaps with a frozen holder are no offence.
NAMED = ("overlap", "order", "lost", "fence")


def assert_sound(stage: Stage) -> Summary:
    """Order, exclusion, no loss, no repeat without a cause, growing fences, guarded effects, nothing left over."""
    events = stage.events
    found = problems(events, stage.effects.all())
    assert not found, "\n".join(f"{name}: {offenders[:5]}" for name, offenders in found.items())
    assert not stage.left(), stage.left()
    return summary(events)


def problems(events: list[Event], effects: dict[str, list[Effect]]) -> dict[str, list[object]]:
    """Return the offenders in a history and in the effects of its runs, by the kind of offence."""
    timeline, verdict = Timeline.of(events), check(events)
    found: dict[str, list[object]] = {name: list(getattr(verdict, name)) for name in NAMED}
    found |= {
        "repeats without a cause": _repeats(timeline, _cuts(events)),
        "a second start under one fence": _doubles(events),
        "effects out of order": out_of_order(effects),
        "frozen holders that were not told": _untold(timeline, events),
    }
    return {name: offenders for name, offenders in found.items() if offenders}


def _doubles(events: Iterable[Event]) -> list[object]:
    starts = Counter((event["group"], event["fence"]) for event in events if event["ev"] == "start")
    return [place for place, many in starts.items() if many > 1]


def _cuts(events: Iterable[Event]) -> list[Span]:
    """Return the times at which workers may have lost their connection."""
    return [Span(each["began"], each["t"]) for each in events if each["ev"] == "fault" and each["name"] in BREAKING]


def _repeats(timeline: Timeline, cuts: list[Span]) -> list[object]:
    """Further runs of what had ended well, unless a fault hit it before the gate heard; and runs for no reason."""
    return [f"{again} repeats {run}" for run, again in timeline.repeats() if not _excused(timeline, run, again, cuts)]


def _excused(timeline: Timeline, run: RecordedRun, again: RecordedRun, cuts: list[Span]) -> bool:
    if run.outcome not in (OK, FAILED):
        return timeline.reason(run, again) is not None
    cut_off = any(cut.first <= run.end <= cut.last + RECONNECT_SECONDS for cut in cuts)
    untold = RECONNECT_SECONDS if cut_off else UNTOLD_SECONDS
    return any(_close(run, span, untold) for span in _faults(timeline, run))


def _faults(timeline: Timeline, run: RecordedRun) -> list[Span]:
    kill = timeline.kills.get(run.pid)
    return [*([kill] if kill else []), *timeline.pauses.get(run.pid, ())]


def _close(run: RecordedRun, span: Span, untold: float) -> bool:
    return span.first - untold <= run.end and run.start <= span.last


def _untold(timeline: Timeline, events: Iterable[Event]) -> list[object]:
    """Runs of thawed processes that another run overtook, and whose worker did not say `group_lease_lost`."""
    told = {(event["group"], event["fence"]) for event in events if event["ev"] == "lease_lost"}
    return [
        str(run)
        for runs in timeline.runs.values()
        for run in runs
        if timeline.zombie(run) and not timeline.killed(run) and (run.group, run.fence) not in told
    ]
