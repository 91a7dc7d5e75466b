"""A run whose lease is lost while it goes on."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from tests.support.crews.history import Run
from tests.support.crews.workers import Crew
from tests.support.waiting import until


def lives(run: Run) -> bool:
    """Return whether the process of a run is there; a zombie is not."""
    try:
        return bool(psutil.Process(run.pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("says", ["warn", "terminate"])
def test_what_the_setting_says_happens_to_it(make_crew: Callable[..., Crew], says: str) -> None:
    """The gate gives the task to another run; the old one is told of, or ended, and its result is refused."""
    crew = make_crew("prefork", 2, groupfifo_lease_ttl=2, groupfifo_on_lease_lost=says).ready()
    result = crew.send("k", 1, "wait", name="go-on")
    crew.send("k", 2)
    until(lambda: crew.history.group("k"), lambda: crew.worker.log)
    (old,) = crew.history.group("k")
    gate_of(crew.app).surrender([(Ticket("groupfifo:0", 0, 0, 0, old.id, quote("k"), old.fence), False)])
    until(lambda: len(crew.history.group("k")) == 2, lambda: crew.worker.log)
    until(lambda: "has lost its lease" in crew.worker.log, lambda: crew.worker.log)
    if says == "terminate":
        until(lambda: not lives(old), lambda: crew.worker.log)
    else:
        assert lives(old)
    crew.tell("go-on")
    crew.state(result, "SUCCESS")
    until(lambda: len(crew.history.group("k")) == 3 and not crew.left_over(), lambda: str(crew.left_over()))
    assert crew.history.numbers("k") == [1, 1, 2]
    assert [run.fence for run in crew.history.group("k")] == sorted(run.fence for run in crew.history.group("k"))
    crew.all_slots()
