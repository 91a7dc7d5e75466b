"""Releases with different versions of the stored state at work on one gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest

from celery_groupfifo.errors import UnsupportedState
from tests.support.crews.workers import Crew, Worker
from tests.support.releases import AFTER, MUCH_LATER, NEXT, WORD, Sender, made
from tests.support.waiting import until

#: In the line of an entry.
WORDS = f" {WORD}\n".encode()
KEYS = ("a", "b", "c")


def worker(crew: Crew, name: str, root: Path) -> Worker:
    """Start a worker of a release."""
    return crew.another(name, pool="threads", slots=2, root=root).start().ready()


def goes_on(crew: Crew, by: str) -> None:
    """Return when a worker has made some runs."""
    until(lambda: sum(run.worker == f"{by}@test" for run in crew.history.runs) >= 5, lambda: str(crew.left_over()))


@pytest.mark.timeout(300)  # it starts six processes, one after the other
def test_a_change_in_two_releases_rolls_up_and_back(make_crew: Callable[..., Crew], tmp_path: Path) -> None:
    """In order at each step, with a producer that never stops. What the change leaves out has an error that says so."""
    crew = make_crew("threads", slots=2).ready()
    following, after = made(tmp_path / "next", NEXT), made(tmp_path / "after", AFTER)
    for key in KEYS:
        crew.tell(key)
    with Sender(following, crew.conf, crew.directory, KEYS) as sender:  # before and after the change
        goes_on(crew, "one")
        two = worker(crew, "two", following)
        goes_on(crew, "two")
        crew.send("old", 1)
        crew.worker.send(SIGTERM)
        assert crew.worker.wait() == 0, "both releases were at work on version 1"

        three = worker(crew, "three", after)
        assert crew.redis.get("{groupfifo:0}:stamp") == b"2 2 1 0.3.0"
        goes_on(crew, "three")
        with pytest.raises(UnsupportedState, match=r"version 2, which celery-groupfifo 0\.3\.0 has written"):
            crew.send("old", 2)

        with Sender(after, crew.conf, crew.directory, ["new"]) as last:  # the release before runs what it parks
            until(lambda: any(WORDS in text for text in crew.redis.hvals("{groupfifo:0}:entries.2")))
            three.send(SIGTERM)
            crew.tell("new")
            assert three.wait() == 0
            many, late = sender.end(), last.end()
    for key, number in (*((key, many) for key in KEYS), ("new", late), ("old", 1)):
        crew.wait_for_runs(key, list(range(1, number + 1)))
        fences = [run.fence for run in crew.history.group(key)]
        assert fences == sorted(set(fences))
    assert two.alive and "Traceback" not in two.log


def test_a_worker_that_runs_stops_when_a_release_was_left_out(make_crew: Callable[..., Crew], tmp_path: Path) -> None:
    """Its task is begun again by the new one, and in order; what it still returns is refused."""
    crew = make_crew("threads", slots=2, groupfifo_lease_ttl=3).ready()
    crew.send("a", 1, "wait", name="word")
    for number in (2, 3):
        crew.send("a", number)
    until(lambda: crew.history.numbers("a") == [1])
    new = worker(crew, "new", made(tmp_path / "after", AFTER))
    crew.worker.logs("The worker stops: The gate at redis")
    crew.tell("word")
    assert crew.worker.wait() != 0
    crew.wait_for_runs("a", [1, 1, 2, 3])
    assert crew.worker.start().wait() != 0
    assert "The worker does not start: The gate at redis" in crew.worker.log
    assert new.alive


def test_state_that_is_too_old_stops_nothing_but_the_new_worker(make_crew: Callable[..., Crew], tmp_path: Path) -> None:
    crew = make_crew("threads", slots=2).ready()
    crew.send("a", 1)
    refused = crew.another("later", root=made(tmp_path / "later", MUCH_LATER)).start()
    assert refused.wait() != 0
    assert "holds state of version 1, which celery-groupfifo 0.1.0 has written" in refused.log
    assert "Run a release first that reads version 1 and writes a newer one" in refused.log
    crew.send("a", 2)
    crew.wait_for("a", [1, 2])
