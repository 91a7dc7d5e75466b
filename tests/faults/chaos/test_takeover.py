"""A worker that is lost, or only slow: who holds a group, and when it moves on."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.stages.app import LEASE_TTL
from tests.support.stages.stage import QUEUE, RECOVERY, Stage
from tests.support.stages.verdict import assert_sound
from tests.support.waiting import until

#: A group of a lost worker moves on before this on the slowest machine. Without the sweep it is never, and when it
#: counts as lost on its way a minute; the gate's part is measured to the millisecond in gate/test_sweep.py.
MOVED_ON = 4 * RECOVERY


def test_a_killed_workers_group_moves_on_within_a_lease_and_a_sweep(stage: Stage) -> None:
    stage.start(2, slots=1)
    for seq in (1, 2):
        stage.send("g", seq, "wait", name="go")
    until(lambda: stage.watch.starts("g"))
    stage.worker_of(stage.watch.starts("g")[0]).kill()
    took = until(lambda: len(stage.watch.starts("g")) == 2, stage.describe)
    assert took <= MOVED_ON, took
    (stage.directory / "go").touch()
    stage.drained()
    assert [each["lost"] for each in stage.watch.starts("g")] == [0, 1, 0]
    assert_sound(stage)


def test_the_children_of_a_killed_worker_do_not_run_on(stage: Stage) -> None:
    first, second = stage.start(2, slots=2)
    for group in ("a", "b"):
        stage.send(group, 1, "wait", name="go")
    until(lambda: len(stage.watch.look().open) == 2)
    victim = stage.worker_of(stage.watch.starts("a")[0])
    assert len(victim.children()) == 2
    victim.kill_main()
    assert not (stage.directory / "go").exists(), "its children are gone, though nothing has ended their tasks"
    until(lambda: len(stage.watch.starts("a")) == 2, stage.describe)
    (stage.directory / "go").touch()
    stage.drained()
    assert first.alive + second.alive == 1
    assert_sound(stage)


def test_a_frozen_workers_late_completion_is_refused_and_its_successor_undisturbed(stage: Stage) -> None:
    stage.start(2, slots=1)
    stage.send("g", 1, "wait", name="go")
    stage.send("g", 2)
    until(lambda: stage.watch.starts("g"))
    early = stage.watch.starts("g")[0]
    frozen = stage.worker_of(early)
    frozen.freeze(LEASE_TTL + RECOVERY)
    until(lambda: len(stage.watch.starts("g")) == 2, stage.describe)
    late = stage.watch.starts("g")[1]
    assert late["worker"] != early["worker"] and late["fence"] > early["fence"]
    (stage.directory / "go-on").touch()
    frozen.thaw()
    until(lambda: stage.watch.look().told, "group_lease_lost was not sent")
    assert [each["fence"] for each in stage.watch.told] == [early["fence"]]
    assert len(stage.watch.starts("g")) == 2, "the successor runs, undisturbed"
    (stage.directory / "go").touch()
    stage.drained()
    ends = {each["fence"]: each for each in stage.events if each["ev"] == "end" and each["group"] == "g"}
    until(lambda: early["fence"] in {e["fence"] for e in stage.events if e["ev"] == "end"}, "the frozen run ended")
    assert ends[late["fence"]]["ok"]
    assert [each["seq"] for each in stage.watch.starts("g")] == [1, 1, 2], "no third run of what both had run"
    assert_sound(stage)
    refused = [each for each in stage.events if each["ev"] == "end" and each["fence"] == early["fence"]]
    assert [each["reason"] for each in refused] == ["refused"], "the store has seen the successor's fence"


def test_what_waited_in_a_frozen_worker_does_not_start_after_its_thaw(stage: Stage) -> None:
    frozen = stage.start(1, slots=1)[0]
    stage.send("a", 1, "wait", name="go")
    stage.send("b", 1)
    until(lambda: stage.redis.hlen("{groupfifo:0}:groups") == 2 and not stage.redis.llen(QUEUE))
    until(lambda: stage.watch.starts("a"))
    rescue = stage.start(1, slots=2)[0]
    frozen.freeze(LEASE_TTL + RECOVERY)
    until(lambda: ("b", 1) in stage.watch.look().done, stage.describe)
    (stage.directory / "go").touch()
    until(lambda: ("a", 1) in stage.watch.look().done, stage.describe)
    frozen.thaw()
    stage.send("c", 1)
    stage.drained()
    until(lambda: len([each for each in stage.events if each["ev"] == "end" and each["group"] == "a"]) == 2)
    assert [each["worker"] for each in stage.watch.starts("b")] == [rescue.hostname], "never a start after the end"
    assert_sound(stage)


def test_a_busy_task_of_many_leases_keeps_its_lease(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(groupfifo_lease_ttl=2.0, groupfifo_sweep_interval=0.5)
    stage.start(2, slots=1)
    for group in ("a", "b"):
        stage.send(group, 1, "burn", seconds=9)
        stage.send(group, 2)
    stage.drained()
    assert [len(stage.watch.starts(group)) for group in ("a", "b")] == [2, 2]
    assert not stage.watch.told, "a lease was lost"
    assert_sound(stage)


def test_what_waits_in_a_workers_buffer_keeps_its_lease(stage: Stage) -> None:
    full = stage.start(1, slots=1)[0]
    stage.send("a", 1, "wait", name="go")
    stage.send("b", 1)
    until(lambda: stage.redis.hlen("{groupfifo:0}:groups") == 2 and not stage.redis.llen(QUEUE), stage.describe)
    stage.start(1, slots=1)  # would take it, if it could
    waited = time.monotonic()
    until(lambda: time.monotonic() > waited + LEASE_TTL + RECOVERY)
    (stage.directory / "go").touch()
    stage.drained()
    assert [(each["worker"], each["lost"]) for each in stage.watch.starts("b")] == [(full.hostname, 0)]
    assert not stage.watch.told
    assert_sound(stage)


def test_a_task_beyond_its_time_limit_lets_its_group_go_on(stage: Stage) -> None:
    stage.start(1, slots=1)
    stage.send("g", 1, "linger", seconds=60.0, time_limit=1)
    stage.send("g", 2)
    until(lambda: ("g", 2) in stage.watch.look().done, stage.describe, 40)  # 90 s is what it would take by itself
    until(lambda: not stage.left(), stage.describe)
    assert [each["seq"] for each in stage.watch.starts("g")] == [1, 2]


def test_a_terminated_run_holds_its_group_until_it_is_gone(stage: Stage) -> None:
    stage.start(1, slots=2)
    stubborn = stage.send("g", 1, "linger", seconds=1.0)
    stage.send("g", 2)
    until(lambda: stage.watch.starts("g"))
    stage.app.control.revoke(stubborn.id, terminate=True)
    until(lambda: ("g", 2) in stage.watch.look().done, stage.describe)
    until(lambda: not stage.left(), stage.describe)
    runs = {(each["seq"], each["ev"]): each["t"] for each in stage.events if each.get("group") == "g"}
    assert runs[1, "end"] < runs[2, "start"], "acknowledged is not over"


def test_a_task_that_kills_its_process_each_time_fails_for_good_and_its_group_goes_on(
    make_stage: Callable[..., Stage],
) -> None:
    stage = make_stage(results=True, groupfifo_max_lost=3, task_ignore_result=False)
    stage.start(2, slots=1)
    poison = stage.send("g", 1, "die", times=99)
    stage.send("g", 2)
    until(lambda: ("g", 2) in stage.watch.look().done, stage.describe)
    runs = stage.watch.starts("g")
    assert [(each["seq"], each["lost"]) for each in runs] == [(1, 0), (1, 1), (1, 2), (2, 0)], "max_lost=3: three runs"
    until(lambda: poison.state == "FAILURE", lambda: poison.state)
    assert "3 workers were lost" in str(poison.result)
    until(lambda: not stage.left(), stage.describe)
