"""Celery's own lines in a worker's log: those of an ordered run name its group and fence, all others are as ever."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.crews.workers import Crew
from tests.support.databases import Database
from tests.support.waiting import until

#: Deeds, and Celery's lines about them, behind the name and the id of the task.
LINES: dict[str, list[str]] = {
    "succeed": [" received", r" succeeded in \S+s: \d+"],
    "fail": [" received", r" raised unexpected: ValueError\('as told'\)"],
    "ignore": [" received", " ignored"],
    "reject": [" received", " reject requeue=False: as told"],
    "retry": [" received", r" retry: Retry in 0.1s", " received", r" succeeded in \S+s: \d+"],
}


@pytest.fixture(scope="module", params=["prefork", "threads"])
def log(request: pytest.FixtureRequest, redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The log of a worker, and the tasks it is about: by deed and task, their ids and fences."""
    directory = tmp_path_factory.mktemp(request.param)
    crew = Crew(directory, Database.LOG.of(redis_server.url), Database.RESULTS.of(redis_server.url), request.param)
    crew.redis.flushdb()
    crew.worker.start().ready()
    try:
        sent = {}
        for deed in LINES:
            for task in ("ordered", "plain", "keyed"):
                more: dict[str, Any] = {"group_key": f"50% of {deed}"} if task == "keyed" else {}
                args = (f"50% of {deed}", 1, deed) if task == "ordered" else (1, deed)
                name = "worker.act" if task == "ordered" else "worker.plain"
                result = crew.app.tasks[name].apply_async(args, **more)
                crew.keep([result])
                sent[deed, task] = result.id
        lines = {key: len(LINES[key[0]]) for key in sent}

        def done() -> bool:
            text = crew.worker.log
            return all(len(lines_of(text, id)) >= lines[key] for key, id in sent.items()) and not crew.left_over()

        until(done, lambda: crew.worker.log[-5000:])
        yield crew.worker.log, sent, crew.history
    finally:
        crew.close()


def lines_of(text: str, id: str) -> list[str]:
    """The lines about a task, from its name on."""
    return [line.partition("] Task ")[2] or line for line in text.splitlines() if f"[{id}]" in line]


@pytest.mark.parametrize("deed", LINES)
@pytest.mark.parametrize("task", ["ordered", "keyed"])
def test_each_line_of_an_ordered_run_names_its_group(log: Any, deed: str, task: str) -> None:
    text, sent, history = log
    id = sent[deed, task]
    fences = [run.fence for run in history.runs if run.id == id]
    name = "worker.act" if task == "ordered" else "worker.plain"
    found = lines_of(text, id)
    assert len(found) == len(LINES[deed]), "no line more than Celery has"
    for line, rest in zip(found, LINES[deed], strict=True):
        assert re.fullmatch(rf"{name}\[{id}\]{rest} \(group '50% of {deed}', fence (\d+)\)", line), found
    named = [int(re.findall(r"fence (\d+)\)", line)[0]) for line in found]
    assert sorted(set(named)) == fences and named == sorted(named)


@pytest.mark.parametrize("deed", LINES)
def test_those_of_a_plain_one_are_as_ever(log: Any, deed: str) -> None:
    text, sent, _ = log
    id = sent[deed, "plain"]
    found = lines_of(text, id)
    assert len(found) == len(LINES[deed])
    for rest in set(LINES[deed]):  # each process writes for itself: not always in the order of what happened
        lines = [line for line in found if re.fullmatch(rf"worker.plain\[{id}\]{rest}", line)]
        assert len(lines) == LINES[deed].count(rest), found


def test_a_time_limit_names_it_too(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew()
    crew.worker.start().ready()
    result = crew.send(key, 1, "sleep", seconds=20, time_limit=1)
    crew.state(result, "FAILURE")
    (run,) = crew.history.group(key)
    said = f" exceeded for worker.act[{result.id}] (group {key!r}, fence {run.fence})"
    until(lambda: said in crew.worker.log, lambda: crew.worker.log[-3000:])
    said = f"raised error: TimeLimitExceeded(1) (task {result.id}, group {key!r}, fence {run.fence})"
    until(lambda: said in crew.worker.log, lambda: crew.worker.log[-3000:])


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_no_line_about_an_ordered_run_gives_orders_to_a_terminal(make_crew: Callable[..., Crew], pool: str) -> None:
    """Whatever is in its id, its group, its name and its error."""
    crew, evil = make_crew(pool), "\x1b]0;title\x07\x9b2J"
    crew.worker.start().ready()
    for number, deed in enumerate(LINES):
        crew.send(f"{number}{evil}", number, deed, task_id=f"{number}{evil}")
    last = crew.send(evil, 9, "fail", message=evil, task_id=f"9{evil}")
    crew.state(last, "FAILURE")
    until(lambda: r"ValueError: \x1b]0;title\x07\x9b2J" in crew.worker.log, lambda: crew.worker.log[-3000:])
    until(lambda: not crew.left_over())
    wrong = [line for line in crew.worker.log.split("\n") if not line.isprintable()]
    assert wrong == []
    assert r"worker.act[1\x1b]0;title\x07\x9b2J] raised unexpected" in crew.worker.log
