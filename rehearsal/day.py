"""The whole day: its parts, from the first task to the end of the last one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

from rehearsal.crew import Crew
from rehearsal.faults import Faults
from rehearsal.judge import Judge
from rehearsal.plan import Plan
from rehearsal.runs import Runs
from rehearsal.samples import Sample, Samples
from rehearsal.stage import QUEUE, Stage
from rehearsal.sweeps import Sweeps
from rehearsal.traffic import Traffic

#: Virtual microseconds: calls that come within them are on their way together.
STEP_US = 1_000_000
#: Breaches after which a run ends: it has shown enough.
ENOUGH = 100
#: Steps between two looks whether anything still happens after the traffic.
LOOKS = 100


@dataclass(frozen=True)
class Outcome:
    """The outcome of a rehearsal.

    Attributes:
        judge: With all breaches.
        samples: The readings.
        left: Keys and members that nothing explains: of groups without tasks.
        seconds: Virtual, with the rest after the traffic.
    """

    judge: Judge
    samples: list[Sample]
    left: dict[str, Any]
    seconds: float


def rehearse(plan: Plan, url: str, say: Callable[[Sample], None] | None = None, enough: int = ENOUGH) -> Outcome:
    """Rehearse a day.

    Args:
        plan: Of the day.
        url: Of an empty database, on a server that nobody else uses: its counters are reset.
        say: Called with each reading.
        enough: Breaches after which it ends.

    Returns:
        The outcome.

    Raises:
        GroupFifoError: A script has failed.
    """
    with redis.Redis.from_url(url) as client:
        stage = Stage(plan, url)
        try:
            return _rehearse(stage, client, say or (lambda _: None), enough)
        finally:
            stage.close()


def _rehearse(stage: Stage, client: redis.Redis, say: Callable[[Sample], None], enough: int) -> Outcome:
    plan, agenda, judge = stage.plan, stage.agenda, stage.judge
    runs = Runs(stage, lambda worker: faults.kill(worker))
    crew = Crew(stage, runs.receive)
    faults = Faults(stage, crew)
    Sweeps(stage, crew)
    traffic, samples = Traffic(stage), Samples(stage, crew, client)
    pause = plan.seconds / plan.samples
    next_sample, looks = pause, 0
    # The agenda never ends by itself: workers send heartbeats, and sweep.
    while agenda.run_for(STEP_US) and len(judge.breaches) < enough:
        crew.collect()
        stage.wire.flush()
        if agenda.seconds >= next_sample:
            say(samples.take())
            next_sample += pause
        if traffic.over:
            stage.faulty = False
            if not judge.alive or (looks % LOOKS == 0 and not judge.waits(int(plan.patience * 1000))):
                break
        looks += 1
    if len(judge.breaches) < enough:
        judge.unfinished()
    say(samples.take())
    ended = agenda.seconds
    left = {} if judge.breaches else _left(stage, client)
    return Outcome(judge, samples.taken, left, ended)


def _left(stage: Stage, client: redis.Redis) -> dict[str, Any]:
    """Return the keys of groups that are left, when what counts for a time after the end had that time.

    Workers go on with their heartbeats and sweeps meanwhile.
    """
    until = stage.agenda.seconds + 3 * stage.plan.lease + 3600
    while stage.agenda.seconds < until:
        stage.agenda.run_for(STEP_US)
        stage.wire.flush()
    keys = stage.keys
    found: dict[str, Any] = {}
    for key in (keys.entries, keys.groups, keys.flags, keys.on_the_way, keys.crowd, keys.paused, QUEUE):
        if client.exists(key):
            found[key] = client.type(key)
    found |= {str(key): client.type(key) for key in client.scan_iter(match=f"*{{{keys.tag}}}:[wdf]:*", count=1000)}
    due = [member for member, _ in client.zscan_iter(keys.due, count=1000) if member[:2] not in (b"w ", b"v ")]
    begins = [name for name in client.hkeys(keys.begins) if name != QUEUE.encode()]
    return found | ({"due": due} if due else {}) | ({"begins": begins} if begins else {})
