"""Each command: what it prints, as JSON too, its exit code, and what it asks before it destroys."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo.cli import groupfifo
from celery_groupfifo.gate.gate import _ATTRIBUTE, build_gate
from celery_groupfifo.groups.workers import Workers
from tests.cli.conftest import Run
from tests.groups.conftest import Shop

RunJson = Callable[..., Any]


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "ask", lambda self, call, destination=None: {})


def test_all_verbs_of_the_contract_are_there() -> None:
    wanted = "list show explain find pause resume drain purge skip retry revoke move dead-letters redrive stats watch"
    assert set(wanted.split()) | {"verify", "doctor", "drop", "metrics"} <= set(groupfifo.commands)
    for command in groupfifo.commands.values():
        assert command.help and any("--json" in param.opts for param in command.params)


def test_list(shop: Shop, run: Run, run_json: RunJson) -> None:
    assert run("list").stderr == "No group holds a task.\n"
    for n in range(3):
        shop.send(f"k{n}", f"t{n}")
    shop.send("k1", "more")
    head, first, *_ = run("list").stdout.splitlines()
    assert head.split() == ["KEY", "STATE", "DEPTH", "AGE", "HEAD", "WORKER", "REASON"]
    assert first.split()[:3] == ["k1", "waiting", "2"]
    page = run_json("list", "--limit", "2")
    assert page["groups"][0]["key"] == "k1" and page["cursor"] == "2"
    assert len(run_json("list", "--limit", "2", "--cursor", page["cursor"])["groups"]) == 1
    assert run("list", "--limit", "2").stderr == "More: --cursor 2\n"
    assert run_json("list", "--state", "paused") == {"groups": [], "cursor": None}


def test_show(shop: Shop, run: Run, run_json: RunJson) -> None:
    for n in range(3):
        shop.send("k", f"t{n}")
    shop.begin()
    said = run("show", "k").stdout
    assert "running:    shop.send[t0] on celery@host since 2027-" in said
    assert "t1" in said and "('k', 7)" in said
    assert [task["task_id"] for task in run_json("show", "k", "--limit", "1", "--offset", "1")["tasks"]] == ["t2"]


def test_explain(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "a")
    shop.groups.pause("k", by="anna")
    assert "is paused by anna" in run("explain", "k").stdout
    assert run_json("explain", "k", "--no-workers")["state"] == "paused"
    assert "is empty" in run("explain", "nothing", code=1).stdout


def test_find(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "a")
    shop.send("k", "b")
    shop.begin()
    assert "Task shop.send[a] of group 'k' is running on celery@host" in run("find", "a").stdout
    assert "is parked, with 0 tasks before it in line" in run("find", "b").stdout
    assert run_json("find", "b")["found"]["key"] == "k"
    assert "is not at the gate" in run("find", "never", code=1).stderr
    assert run_json("find", "never", code=1) == {"found": None}


def test_stats(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "a")
    assert "groups:        1" in run("stats").stdout
    assert run_json("stats")["totals"] == {"tasks_parked": 1}


def test_pause_resume_drain(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "a")
    assert run("pause", "k", "--reason", "incident", "--by", "anna").stdout == "Group 'k' is paused.\n"
    assert "was paused already" in run("pause", "k").stdout
    assert run_json("show", "k")["group"]["state"] == "paused"
    assert run("resume", "k").stdout == "Group 'k' goes on.\n"
    assert "was neither paused nor draining: nothing was done" in run("resume", "k", code=1).stderr
    assert run_json("resume", "k", code=1)["done"] is False
    assert run("drain", "k").stdout == "Group 'k' is draining.\n"
    assert "nothing to drain" in run("drain", "nothing", code=1).stderr


def test_purge_says_how_many_and_asks(shop: Shop, run: Run, run_json: RunJson) -> None:
    for n in range(4):
        shop.send("k", f"t{n}")
    shop.begin()
    asked = run("purge", "k", input="n\n", code=1)
    assert "Revoke 3 tasks of group 'k'? Running tasks are not touched. This can't be undone. [y/N]" in asked.stderr
    assert shop.world.depth("k") == 4
    run("purge", "k", code=1)  # nobody to ask
    assert shop.world.depth("k") == 4
    assert run("purge", "k", input="y\n").stdout == "3 tasks of group 'k' were revoked.\n"
    assert run_json("purge", "k", "--yes", code=1)["count"] == 0


def test_skip_and_drop_are_guarded_by_the_head(shop: Shop, run: Run, run_json: RunJson) -> None:
    for id in "abcd":
        shop.send("k", id)
    assert "The head of group 'k' is a, not b" in run("skip", "k", "--expected", "b", "--yes", code=1).stderr
    asked = run("skip", "k", input="y\n")
    assert (
        "Revoke 1 task, shop.send[a], the head of group 'k'? The group goes on with 3 tasks behind it." in asked.stderr
    )
    assert run_json("drop", "k", "--yes", "--reason", "poison")["task_id"] == "b"
    assert "dropped: poison" in run("dead-letters").stdout
    assert run_json("dead-letters", "k")[0]["id"] == "b"
    assert run("redrive", "b", "--to", "head").stdout == "Task b is at the head of group 'k'.\n"
    assert "no dead letter of task b" in run("redrive", "b", code=1).stderr
    assert run("dead-letters").stderr == "There are no dead letters.\n"


def test_retry_and_move_and_revoke(shop: Shop, run: Run, run_json: RunJson) -> None:
    for id in "abc":
        shop.send("k", id)
    assert "holds no head that waits" in run("retry", "k", code=1).stderr
    ticket = shop.begin()
    shop.world.hold(ticket, 60_000, "k", "celery")
    assert run("retry", "k").stdout == "The head of group 'k' was released.\n"
    assert run_json("move", "k", "new", "--yes")["count"] == 2
    assert "Move up to 1 task from group 'new' to 'k'?" in run("move", "new", "k", input="n\n", code=1).stderr
    assert run_json("revoke", "c", "--yes")["done"] is True
    assert "is not at the gate" in run("revoke", "c", "--yes", code=1).stderr
    assert [shop.begin().id, shop.begin().id] == ["a", "b"]
    assert "runs: end it" in run("revoke", "b", "--yes", code=1).stderr


def test_verify(shop: Shop, run: Run, run_json: RunJson) -> None:
    assert run("verify").stdout == "The stored state has no inconsistency.\n"
    shop.send("k", "a")
    shop.world.redis.zadd(shop.world.keys.depth, {"k": 5})
    found = run("verify", code=1).stdout
    assert "depth: group 'k': Its depth is 5, but it has 1 entries." in found
    assert run_json("verify", code=1)[0]["repaired"] is False
    run("verify", "--repair", code=1)
    assert run("verify", "--repair", "--yes", code=1).stdout.count("repaired: ") == 1
    assert run("verify").stdout == "The stored state has no inconsistency.\n"


def test_doctor(shop: Shop, run: Run, run_json: RunJson) -> None:
    said = run("doctor", code=1).stdout
    assert "!!  workers: No worker answers." in said and "    remedy: Start a worker" in said
    checks = {check["name"]: check for check in run_json("doctor", code=1)}
    assert checks["version"]["ok"] and not checks["persistence"]["ok"]


def test_watch(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "a")
    said = run("watch", "--times", "2", "--interval", "0.1").stdout
    assert said.count("1 group, 0 paused; 1 task: 0 parked, 1 waiting, 0 running, 0 held") == 2 and "waiting" in said
    assert run_json("watch", "--times", "1")["groups"][0]["key"] == "k"


@pytest.mark.parametrize(
    "words", [["list", "--sort", "x"], ["list", "--limit", "0"], ["show"], ["nonsense"], ["redrive", "a", "--to", "x"]]
)
def test_wrong_usage_is_two(run: Run, words: list[str]) -> None:
    run(*words, code=2)


@pytest.mark.parametrize("words", [["show", "nothing"], ["purge", "nothing", "--yes"], ["skip", "", "--yes"]])
def test_what_is_wrong_is_a_sentence(run: Run, run_json: RunJson, words: list[str]) -> None:
    said = run(*words, code=1)
    assert said.stderr.startswith("Error: ") and said.stdout == ""
    assert run_json(*words, code=1)["error"]


@pytest.mark.parametrize("name", sorted(set(groupfifo.commands) - {"metrics"}))  # that one says groupfifo_up 0
def test_redis_away_is_a_sentence(shop: Shop, run: Run, name: str) -> None:
    nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    setattr(shop.app, _ATTRIBUTE, (os.getpid(), {"groupfifo": build_gate(nowhere)}))
    command = groupfifo.commands[name]
    words = ["x" for param in command.params if param.param_type_name == "argument"]
    yes = ["--yes"] if any("--yes" in param.opts for param in command.params) else []
    if name == "move":
        words = ["x", "y"]
    said = run(name, *words, *yes, code=1)
    assert said.stderr.startswith("Error: The gate's Redis at redis://"), said.stderr


@pytest.mark.parametrize("words", [["revoke", "b"], ["skip", "k"], ["purge", "k"]])
def test_a_result_backend_that_is_away_is_a_sentence(
    shop: Shop, run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    def away(*args: object, **options: object) -> None:
        raise ConnectionError("no route")

    shop.send("k", "a")
    shop.send("k", "b")
    monkeypatch.setattr(shop.task.backend, "mark_as_revoked", away)
    said = run(*words, "--yes", code=1).stderr
    assert said.startswith("Error: ") and "taken out of the gate, but the result backend does not know" in said
    assert "no route" in said and shop.world.depth("k") == (0 if words[0] == "purge" else 1)
    assert [action.what for action in shop.groups.actions()] == [words[0]]


def test_a_key_that_is_no_text_for_a_terminal(shop: Shop, run: Run) -> None:
    shop.send("a\x1b[31m\nb", "t")
    said = run("list").stdout
    assert "\x1b" not in said and r"a\x1b[31m\nb" in said
    assert run("explain", "a\x1b[31m\nb").stdout.count("\n") == 1


def test_metrics(run: Run, run_json: RunJson) -> None:
    said = run("metrics").stdout
    assert "groupfifo_up 1.0" in said and 'groupfifo_tasks{state="parked"} ' in said
    assert "groupfifo_up 1.0" in run_json("metrics")["metrics"]
    assert "not HOST:PORT" in run("metrics", "--listen", "here", code=2).stderr
