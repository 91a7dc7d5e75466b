"""A canvas as one element of its group's line: `group_hold_until="chain"`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import chain, chord, group

from celery_groupfifo import GroupDraining, Groups
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until

HELD = {"group_hold_until": "chain"}


def steps(crew: Crew, key: str, *numbers: int) -> Any:
    """A chain of runs."""
    return chain(crew.task("act").si(key, number) for number in numbers)


def in_line(crew: Crew, key: str, canvas: Any, runs: list[int], **options: Any) -> Any:
    """Send a canvas in front of task 99, while task 0 runs; see what runs in which order."""
    go_on = crew.line_up(key)
    result = canvas.apply_async(**options)
    crew.keep([result])
    crew.send(key, 99)
    go_on()
    crew.wait_for(key, [0, *runs])
    return result


def three(crew: Crew, key: str, **options: Any) -> list[int]:
    """Send three chains, and return the runs."""
    go_on = crew.line_up(key)
    for first in (10, 20, 30):
        crew.keep([steps(crew, key, first, first + 1, first + 2).apply_async(**options)])
    go_on()
    until(lambda: len(crew.history.group(key)) == 10 and not crew.left_over())
    crew.history.assert_in_line(key)
    return crew.history.numbers(key)[1:]


def test_chains_do_not_interleave(crew: Crew, key: str) -> None:
    assert three(crew, key, **HELD) == [10, 11, 12, 20, 21, 22, 30, 31, 32]


@on("prefork")
def test_chains_interleave_without_the_option(crew: Crew, key: str) -> None:
    assert three(crew, key) == [10, 20, 30, 11, 21, 31, 12, 22, 32]


Build = Callable[[Crew, str], Any]


def _act(crew: Crew, key: str, number: int, deed: str = "succeed", **more: Any) -> Any:
    return crew.task("act").si(key, number, deed, **more)


def _body(crew: Crew, key: str, number: int) -> Any:
    return crew.task("gather").s(key, number)


CANVAS: dict[str, tuple[Build, list[int]]] = {
    "chord": (
        lambda crew, key: chain(
            _act(crew, key, 1),
            group(_act(crew, key, 2), _act(crew, key, 3), _act(crew, key, 4)),
            _body(crew, key, 5),
            _act(crew, key, 6),
        ),
        [1, 2, 3, 4, 5, 6, 99],
    ),
    "group at the end": (
        lambda crew, key: chain(_act(crew, key, 1), group(_act(crew, key, n) for n in (2, 3, 4))),
        [1, 2, 3, 4, 99],
    ),
    "chains in a chord": (
        lambda crew, key: chain(
            _act(crew, key, 1),
            chord(
                [steps(crew, key, 2, 3), steps(crew, key, 4, 5)],
                chain(_body(crew, key, 6), _act(crew, key, 7)),
            ),
            _act(crew, key, 8),
        ),
        [1, 2, 3, 4, 5, 6, 7, 8, 99],
    ),
    "chord in a chord": (
        lambda crew, key: chain(
            _act(crew, key, 1),
            chord(
                [
                    chain(_act(crew, key, 2), chord([_act(crew, key, 3), _act(crew, key, 4)], _body(crew, key, 5))),
                    _act(crew, key, 6),
                ],
                _body(crew, key, 7),
            ),
        ),
        [1, 2, 3, 4, 5, 6, 7, 99],
    ),
    "a step that waits for its countdown": (
        lambda crew, key: chain(_act(crew, key, 1), _act(crew, key, 2).set(countdown=0.4), _act(crew, key, 3)),
        [1, 2, 3, 99],
    ),
    "a retry, also of a task whose retries go to the tail": (
        lambda crew, key: chain(
            _act(crew, key, 1), crew.task("released").si(key, 2, "retry", delay=0.3), _act(crew, key, 3)
        ),
        [1, 2, 2, 3, 99],
    ),
    "replaced by a task": (
        lambda crew, key: chain(
            _act(crew, key, 1), _act(crew, key, 2, "replace", by=_act(crew, key, 3)), _act(crew, key, 4)
        ),
        [1, 2, 3, 4, 99],
    ),
    "replaced by a chain": (
        lambda crew, key: chain(_act(crew, key, 1, "replace", by=steps(crew, key, 2, 3)), _act(crew, key, 4)),
        [1, 2, 3, 4, 99],
    ),
    "replaced by a group": (
        lambda crew, key: chain(
            _act(crew, key, 1, "replace", by=group(_act(crew, key, 2), _act(crew, key, 3))), _act(crew, key, 4)
        ),
        [1, 2, 3, 99, 4],  # what collects the results is a plain task
    ),
    "replaced by a chord": (
        lambda crew, key: chain(
            _act(crew, key, 1, "replace", by=chord([_act(crew, key, 2), _act(crew, key, 3)], _body(crew, key, 4))),
            _act(crew, key, 5),
        ),
        [1, 2, 3, 4, 5, 99],
    ),
}


LEAVING: dict[str, tuple[Build, list[int]]] = {
    "a step that fails": (
        lambda crew, key: chain(_act(crew, key, 1), _act(crew, key, 2, "fail"), _act(crew, key, 3)),
        [1, 2, 99],
    ),
    "a step that joins the tail": (
        lambda crew, key: chain(
            _act(crew, key, 1), _act(crew, key, 2).set(group_hold_until="task"), _act(crew, key, 3)
        ),
        [1, 99, 2, 3],
    ),
    "a plain step": (
        lambda crew, key: chain(_act(crew, key, 1), crew.task("plain").si(77), _act(crew, key, 3)),
        [1, 99, 3],
    ),
    "a step of another group": (
        lambda crew, key: chain(_act(crew, key, 1), _act(crew, f"{key}-other", 2), _act(crew, key, 3)),
        [1, 99, 3],
    ),
    "callbacks": (
        lambda crew, key: chain(_act(crew, key, 1), _act(crew, key, 2).on_error(_act(crew, key, 4))).set(
            link=_act(crew, key, 3)
        ),
        [1, 2, 99, 3],
    ),
    "an error's callback": (
        lambda crew, key: chain(_act(crew, key, 1), _act(crew, key, 2, "fail").on_error(_act(crew, key, 3))),
        [1, 2, 99, 3],
    ),
    "what its body sends": (
        lambda crew, key: chain(_act(crew, key, 1, "send", other=key), _act(crew, key, 3)),
        [1, 3, 99, 2],
    ),
}


@on("prefork")
@pytest.mark.parametrize("form", [*CANVAS, *LEAVING])
def test_every_part_stands_directly_behind_the_run_that_sends_it(crew: Crew, key: str, form: str) -> None:
    build, runs = (CANVAS | LEAVING)[form]
    in_line(crew, key, build(crew, key), runs, **HELD)


@on("prefork")
def test_a_revoked_step_is_the_last_one(crew: Crew, key: str) -> None:
    go_on = crew.line_up(key)
    result = chain(_act(crew, key, 1, "wait", name=key), _act(crew, key, 2), _act(crew, key, 3)).apply_async(**HELD)
    crew.keep([result])
    crew.send(key, 99)
    go_on()
    until(lambda: len(crew.history.group(key)) == 2)
    crew.app.control.revoke(result.parent.id)
    until(lambda: "revoked" in crew.worker.log)
    crew.tell(key)
    crew.wait_for(key, [0, 1, 99])
    crew.state(result.parent, "REVOKED")


@on("prefork")
def test_a_step_that_blocks_and_is_retried(crew: Crew, key: str) -> None:
    groups, go_on = Groups(crew.app), crew.line_up(key)
    stumble = crew.task("blocking").si(key, 2, "stumble", name=f"{key}-on")
    crew.keep([chain(_act(crew, key, 1), stumble, _act(crew, key, 3)).apply_async(**HELD)])
    crew.send(key, 99)
    go_on()
    until(lambda: (found := groups.get(key)) is not None and found.state == "blocked")
    crew.tell(f"{key}-on")
    groups.retry(key)
    crew.wait_for(key, [0, 1, 2, 2, 3, 99])


@on("prefork")
def test_a_group_that_drains_ends_the_canvas_that_has_begun(crew: Crew, key: str) -> None:
    groups, go_on = Groups(crew.app), crew.line_up(key)
    crew.keep([steps(crew, key, 1, 2, 3).apply_async(**HELD, group_max_depth=1)])
    groups.drain(key)
    with pytest.raises(GroupDraining):
        crew.send(key, 99)
    go_on()
    crew.wait_for(key, [0, 1, 2, 3])


@on("prefork")
def test_a_step_that_is_lost_after_it_has_sent_the_next_one(crew: Crew, key: str) -> None:
    in_line(crew, key, chain(_act(crew, key, 1, "die_late"), steps(crew, key, 2, 3)), [1, 1, 2, 3, 99], **HELD)


def test_a_worker_is_killed_within_the_second_of_three(make_crew: Callable[..., Crew]) -> None:
    crew, key = make_crew(slots=2, groupfifo_lease_ttl=2.0).ready(), "k"
    crew.another("two", slots=2).start().ready()
    go_on = crew.line_up(key)
    for first in (10, 20, 30):
        act = [
            _act(crew, key, first),
            _act(crew, key, first + 1, "wait", name=f"on-{first}"),
            _act(crew, key, first + 2),
        ]
        crew.keep([chain(act).apply_async(**HELD)])
    for name in ("on-10", "on-30"):
        crew.tell(name)
    go_on()
    until(lambda: 21 in crew.history.numbers(key))
    victim = crew.history.group(key)[-1].worker
    next(worker for worker in crew.workers if f"{worker.name}@test" == victim).kill()
    crew.tell("on-20")
    crew.wait_for(key, [0, 10, 11, 12, 20, 21, 21, 22, 30, 31, 32])
