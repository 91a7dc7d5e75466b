"""Each command: what it prints, as JSON too, its exit code, and what it asks before it destroys."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

import click
import pytest
from celery import Celery

from celery_groupfifo.cli import groupfifo
from celery_groupfifo.gate.gate import _ATTRIBUTE, build_gate
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.groups.workers import Workers
from tests.programs.cli.conftest import Run
from tests.support.shop import Shop
from tests.support.stored import stored

RunJson = Callable[..., Any]


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "ask", lambda self, call, destination=None: {})


def test_all_verbs_of_the_contract_are_there() -> None:
    wanted = "list show explain find pause resume drain purge skip retry revoke move dead-letters redrive stats watch"
    more = "verify doctor drop metrics history workers status discard terminate limit report"
    assert set(f"{wanted} {more}".split()) <= set(groupfifo.commands)
    for command in groupfifo.commands.values():
        assert command.help and any("--json" in param.opts for param in command.params)


def test_help(run: Run) -> None:
    listed = run("--help").stdout
    assert "..." not in listed.partition("Commands:")[2], "a first line that is cut"
    for name, command in groupfifo.commands.items():
        said = run(name, "--help").stdout
        for param in command.params:
            if isinstance(param, click.Argument):
                assert re.search(rf"^Arguments:\n(  .*\n)*?  \[?{str(param.name).upper()}]?  \w", said, re.MULTILINE), (
                    said
                )


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


def test_a_head_that_blocks_its_group_is_shown_before_it_goes(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "t0")
    shop.send("k", "t1")
    shop.world.fail(shop.begin(), "k", owner="celery@host/0a1b2c3d")
    shop.app.backend.store_result("t0", ValueError("boom"), "FAILURE", traceback="Trace\n  a line\x1b\n")
    said = run("show", "k").stdout
    assert "head:       shop.send[t0]\narguments:  ('k', 7)\n" in said and said.count("ValueError") == 1
    assert "Trace\n  a line\\x1b\n" in said
    said = run("find", "t0").stdout
    assert "\nArguments: ('k', 7)\nTrace\n" in said
    found = run_json("find", "t0")["found"]
    assert (found["args"], found["traceback"][:5]) == ("('k', 7)", "Trace")
    for verb in ("skip", "drop"):
        assert "1 task, shop.send[t0] with ('k', 7), the head of group 'k'?" in run(verb, "k", code=1).stderr
    assert "Revoke 1 task, shop.send[t1] with ('k', 7) of group 'k'?" in run("revoke", "t1", code=1).stderr


def test_a_dedup_key_is_named(shop: Shop, run: Run, run_json: RunJson) -> None:
    for id, options in (("a", {"group_dedup_key": "the one"}), ("b", {"group_dedup_for": 5}), ("c", {})):
        shop.send("k", id, **options)
    assert "dedup key:  the one\n" in run("show", "k").stdout
    assert "shop.send[a] (dedup key 'the one')" in run("explain", "k", "--no-workers").stdout
    assert "with the dedup key 'the one'; parked" in run("find", "a", "--no-workers").stdout
    named = [run_json("find", id, "--no-workers")["found"]["dedup_key"] for id in "abc"]
    assert named == ["the one", None, None], "an id is no dedup key"


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
    said = run("find", "a").stdout.splitlines()
    assert "Task shop.send[a] of group 'k' is running on celery@host" in said[0]
    assert "Group 'k' runs shop.send[a] on" in said[1] and "The worker does not answer" in said[1]
    assert "is parked, with 0 tasks before it in line" in run("find", "b").stdout
    assert run_json("find", "b")["found"]["key"] == "k"
    shop.send("alone", "c", queue="lonely")
    said = run("find", "c").stdout.splitlines()
    assert "is released to its queue, and not begun yet; parked" in said[0]
    assert said[1].startswith("Group 'alone' stands still: no worker answers, so none is known to consume")
    assert "Start a worker with -Q lonely" in run_json("find", "c")["sentence"]
    assert "waits for a slot" in run("find", "c", "--no-workers").stdout
    assert "is not at the gate" in run("find", "never", code=1).stderr
    assert run_json("find", "never", code=1) == {"found": None}


def test_stats(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "a")
    assert all(re.fullmatch(r"[a-z ]+: +\d+", line) for line in run("stats").stdout.splitlines())
    assert "groups:         1\n" in run("stats").stdout and "blocked groups: 0\n" in run("stats").stdout
    totals = run_json("stats")["totals"]
    assert totals == {**dict.fromkeys(totals, 0), "tasks_parked": 1} and "runs_finished" in totals


def test_pause_resume_drain(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "a")
    assert run("pause", "k", "--reason", "incident", "--by", "anna").stdout == "Group 'k' is paused.\n"
    assert "was paused already" in run("pause", "k").stdout
    assert run_json("show", "k")["group"]["state"] == "paused"
    assert run("resume", "k").stdout == "Group 'k' goes on.\n"
    assert "was neither paused nor draining: nothing was done" in run("resume", "k", code=1).stderr
    assert run_json("resume", "k", code=1)["done"] is False
    assert run("drain", "k").stdout == "Group 'k' is draining.\n"
    for verb in ("drain", "resume", "retry"):
        assert run(verb, "nothing", code=1).stderr.startswith("Error: Group 'nothing' holds no task: it was never used")
    said = run("pause", "nothing").stdout
    assert said.startswith("Group 'nothing' is paused. It holds no task: is that the key?")
    assert run_json("pause", "nothing")["depth"] == 0 and run_json("pause", "k")["depth"] == 1


def test_limit(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "a")
    assert run("limit", "k", "--rate", "10/s", "--concurrency", "2", "--by", "anna").stdout == (
        "Group 'k' is limited to 10/s and 2 at once.\n"
    )
    assert "limits:     10/s and 2 at once, by anna\n" in run("show", "k").stdout
    assert run("limit", "k", "--rate", "5/m", "--expires-in", "60").stdout == (
        "Group 'k' is limited to 5/m for 1 min 0 s.\n"
    )
    shown = run_json("show", "k")["group"]["limit"]
    assert (shown["rate"], shown["concurrency"]) == ("5/m", None) and shown["until"]
    assert run_json("limit", "k", "--concurrency", "3")["concurrency"] == 3
    assert run("limit", "k", "--none").stdout == "Group 'k' has no limits but those of its tasks.\n"
    assert "has no such limits: nothing was done" in run("limit", "k", "--none", code=1).stderr
    for wrong in ([], ["--none", "--rate", "1/s"]):
        assert "Name --rate, --concurrency or both; or --none" in run("limit", "k", *wrong, code=2).stderr
    assert "rate='fast' does not work: set it to 'starts/unit'" in run("limit", "k", "--rate", "fast", code=1).stderr


def test_purge_says_how_many_and_asks(shop: Shop, run: Run, run_json: RunJson) -> None:
    for n in range(4):
        shop.send("k", f"t{n}")
    shop.begin()
    asked = run("purge", "k", input="n\n", code=1)
    assert "Revoke 3 tasks of group 'k'? Running tasks are not touched. This can't be undone. [y/N]" in asked.stderr
    assert shop.world.depth("k") == 4
    assert asked.stderr.endswith("Error: Nothing was done. --yes acts without asking.\n")
    assert "--yes acts without asking" in run("purge", "k", input="", code=1).stderr, "Ctrl-D"
    said = run("purge", "k", code=1).stderr
    assert said.startswith("Error: Revoke 3 tasks of group 'k'? ")
    assert said.endswith("Nothing was done: nobody can be asked here. --yes says yes.\n")
    refused = run("purge", "k", "--json", input="y\n", code=1)
    assert json.loads(refused.stdout)["kind"] == "Declined" and "--yes says yes" in refused.stderr
    assert shop.world.depth("k") == 4
    assert run("purge", "k", input="y\n").stdout == "3 tasks of group 'k' were revoked.\n"
    assert run_json("purge", "k", "--yes", code=1)["count"] == 0


def test_skip_and_drop_are_guarded_by_the_head(shop: Shop, run: Run, run_json: RunJson) -> None:
    for id in "abcd":
        shop.send("k", id)
    assert "The head of group 'k' is a, not b" in run("skip", "k", "--expected", "b", "--yes", code=1).stderr
    asked = run("skip", "k", input="y\n")
    assert (
        "Take out 1 task, shop.send[a] with ('k', 7), the head of group 'k'? The group goes on with 3 tasks behind it."
        in asked.stderr
    )
    assert run_json("drop", "k", "--yes", "--reason", "poison")["task_id"] == "b"


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
    assert "runs. To end the run: celery -A APP groupfifo terminate b" in run("revoke", "b", "--yes", code=1).stderr


def test_partitions(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.send("k", "a")
    assert "Nothing was done" in run("partitions", "4", code=1).stderr
    assert "Partition groupfifo:0 of the gate holds tasks" in run("partitions", "4", "--yes", code=1).stderr
    run("skip", "k", "--yes")
    assert run_json("partitions", "4", "--yes")["before"] == 1
    assert "has 4 partitions already" in run("partitions", "4", "--yes").stdout
    said = run("list", code=1).stderr
    assert "has groupfifo_partitions = 4, and this process has 1" in said and "Traceback" not in said


def test_partitions_that_grow(shop: Shop, run: Run, run_json: RunJson) -> None:
    shop.app.conf.update(groupfifo_partitions=64, groupfifo_partitions_before=1)
    setattr(shop.app, _ATTRIBUTE, (os.getpid(), {"groupfifo": build_gate(shop.app)}))
    shop.send("k", "a")
    assert "Nothing was done" in run("partitions", "64", code=1).stderr
    assert "grows to groupfifo_partitions = 64, not to 8" in run("partitions", "8", "--yes", code=2).stderr
    said = run("partitions", "64", "--yes", code=1).stderr
    assert said.startswith("1 groups still hold something in their old partitions: 'k'. They leave when they have run")
    assert run_json("partitions", "64", "--yes", code=1)["groups"] == ["k"]
    assert run_json("show", "k")["group"]["depth"] == 1
    run("skip", "k", "--yes")
    assert run("partitions", "64", "--yes").stdout.startswith("The gate has 64 partitions now, and every group")
    assert "has 64 partitions already" in run("partitions", "64", "--yes").stdout
    run("pause", "k")
    assert run_json("show", "k")["group"]["state"] == "paused"


def test_terminate(shop: Shop, run: Run, run_json: RunJson, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.send("k", "a")
    assert "is not at the gate" in run("terminate", "x", code=1).stderr
    assert "does not run, it is waiting: revoke it" in run("terminate", "a", code=1).stderr
    shop.begin()
    asked = run("terminate", "a", input="n\n", code=1).stderr
    assert (
        "Terminate the run of shop.send[a] with ('k', 7) of group 'k'? [y/N]" in asked and "Nothing was done" in asked
    )
    assert "Worker celery@host does not answer" in run("terminate", "a", "--yes", code=1).stderr
    assert shop.groups.actions() == []
    answers = {"stats": {"celery@host": {}}, "_request": {"celery@host": {"ok": "terminate: a"}}}

    class Inspect:
        def __getattr__(self, name: str) -> object:
            return lambda *args, **more: answers[name]

    monkeypatch.setattr(Workers, "ask", lambda self, call, destination=None: dict(call(Inspect())))
    said = run("terminate", "a", "--yes", "--reason", "hangs", "--by", "anna").stdout
    assert said == "Worker celery@host ends task a; group 'k' goes on when its run is over.\n"
    shop.world.tick(1)
    assert run_json("terminate", "a", "--yes")["key"] == "k"
    assert [(each.what, each.by) for each in shop.groups.actions()][1] == ("terminate", "anna")


def test_history(shop: Shop, run: Run, run_json: RunJson) -> None:
    assert run("history").stderr == "No operator has acted.\n"
    shop.send("k", "a")
    run("pause", "k", "--reason", "incident", "--by", "anna")
    shop.world.tick(1000)
    run("pause", "other", "--by", "ben")
    head, first, second = run("history").stdout.splitlines()
    assert head.split() == ["WHEN", "BY", "WHAT", "KEY", "REASON", "MORE"]
    assert first.split()[3:6] == ["ben", "pause", "other"] and second.split()[3:] == ["anna", "pause", "k", "incident"]
    assert [each["by"] for each in run_json("history", "k")] == ["anna"]
    assert [each["by"] for each in run_json("history", "--limit", "1")] == ["ben"]


def test_workers(shop: Shop, run: Run, run_json: RunJson, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No worker answers" in run("workers", code=1).stderr
    for key in "ab":
        shop.send(key, key)
    shop.begin()
    shop.begin("celery@gone/11111111")
    shop.world.tick(12_000)
    pool = {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 8}
    known = {"owner": "celery@host/0a1b2c3d", "version": "0.1.0"}
    stats = {"celery@host": {"pool": pool, "groupfifo": known}, "celery@plain": {"pool": pool}}
    monkeypatch.setattr(Workers, "stats", lambda self: stats)
    monkeypatch.setattr(Workers, "queues", lambda self: {name: ["celery"] for name in stats})
    gone, host, plain = (line.split() for line in run("workers").stdout.splitlines()[1:])
    assert gone == ["celery@gone", "silent", "-", "-", "1", "12.0s", "ago", "-", "-"]
    assert host == ["celery@host", "yes", "prefork", "8", "1", "12.0s", "ago", "0.1.0", "celery"]
    assert plain[:5] == ["celery@plain", "knows", "no", "groups", "prefork"]
    assert [each["answers"] for each in run_json("workers")] == [False, True, True]


def test_status(shop: Shop, run: Run, run_json: RunJson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "queues", lambda self: {"celery@host": ["celery"]})
    monkeypatch.setattr(
        Workers, "stats", lambda self: {"celery@host": {"groupfifo": {"owner": "celery@host/0a1b2c3d"}}}
    )
    said = run("status").stdout
    assert said.count("ok  ") == 7 and "!!" not in said
    for key in ("blocked", "held", "runs", "waiting"):
        shop.send(key, key)
    shop.world.fail(shop.begin(), "blocked", owner="celery@host/0a1b2c3d")
    shop.world.hold(shop.begin(), 3_600_000, "held", "celery")
    shop.begin("celery@gone/11111111")
    shop.send("lonely", "lonely", queue="lonely")
    shop.groups.pause("waiting")
    shop.world.tick(100_000)
    said = run("status", "--longer", "60", code=1).stdout
    assert "!!  blocked: 1 group blocked by the failure of a head: blocked." in said
    assert "!!  held: 1 group held for longer than 1 min 0 s, up to 1 min 40 s: held." in said
    assert "!!  waiting: 2 groups waiting for longer than 1 min 0 s" in said and "ok  dead_letters" in said
    assert "!!  consumers: Heads wait in queues that no answering worker consumes: lonely." in said
    assert "!!  silent: Workers that hold leases and do not answer: celery@gone (1 run, lease not renewed" in said
    found = {check["name"]: check["found"] for check in run_json("status", "--longer", "60", code=1)}
    assert found["blocked"] == ["blocked"] and found["silent"] == ["celery@gone"] and found["consumers"] == ["lonely"]
    assert sorted(found["waiting"]) == ["lonely", "runs"], "a paused group waits because somebody wants it"
    assert "ok  held" in run("status", code=1).stdout


def test_a_list_by_key_has_as_many_as_its_limit_says(shop: Shop, run: Run, run_json: RunJson) -> None:
    for n in range(30):
        shop.send(f"k{n:02}", f"t{n}")
    seen: list[str] = []
    cursor: list[str] = []
    sizes: list[int] = []
    while True:
        page = run_json("list", "--sort", "key", "--limit", "7", *cursor)
        seen += [group["key"] for group in page["groups"]]
        sizes.append(len(page["groups"]))
        if page["cursor"] is None:
            break
        cursor = ["--cursor", page["cursor"]]
    assert sizes == [7, 7, 7, 7, 2] and seen == [f"k{n:02}" for n in range(30)]


def test_a_misspelt_command_names_the_nearest(run: Run) -> None:
    assert "No such command 'pasue'. Did you mean pause" in run("pasue", "k", code=2).stderr
    assert "Did you mean" not in run("xyzzy", code=2).stderr


def test_verify(shop: Shop, run: Run, run_json: RunJson) -> None:
    assert run("verify").stdout == "The stored state has no inconsistency.\n"
    shop.send("k", "a")
    text = stored(shop.world.redis.hget(shop.world.keys.groups, "k"))
    shop.world.redis.hset(shop.world.keys.groups, "k", text.replace(b"- 0 0", b"- 0 5"))
    found = run("verify", code=1).stdout
    assert "empty: group 'k': It counts 5 empty places in its line, which has 0." in found
    assert run_json("verify", code=1)[0]["repaired"] is False
    assert "Repair 1 breach? Nothing was done" in run("verify", "--repair", code=1).stderr
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
    counts = "1 group, 0 paused, 0 blocked; 1 task: 0 parked, 1 waiting, 0 running, 0 held"
    assert said.count(counts) == 2 and "waiting" in said
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
    if name == "limit":
        words.append("--none")
    if name == "partitions":
        words = ["4"]
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
    some = "They are cut off their groups and never start"
    assert said.startswith("Error: ")
    assert (some if words[0] == "purge" else "taken out of the gate, but the result backend does not know") in said
    assert "no route" in said and shop.world.depth("k") == (2 if words[0] == "purge" else 1)
    assert [action.what for action in shop.groups.actions()] == [words[0]]


#: What a terminal obeys: a colour, a new title, the same in one character, a line; and a letter that is none of these.
EVIL = "\x1b[31mü\x1b]0;title\x07\x9b2J\x7f\nb"


def test_nothing_that_a_terminal_obeys_is_printed(shop: Shop, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """By any command, in its output and its errors, as JSON, too; and in no log."""
    caplog.set_level("INFO")
    for n in range(6):
        shop.send(EVIL, f"{n}{EVIL}")
    ticket = shop.begin()
    shop.world.fail(ticket, EVIL, owner="celery@host/0a1b2c3d")
    shop.groups.drop(EVIL, expected=f"0{EVIL}", reason=EVIL, by=EVIL)
    shop.begin()
    text = stored(shop.world.redis.hget(shop.world.keys.groups, quote(EVIL)))
    shop.world.redis.hset(shop.world.keys.groups, quote(EVIL), text.replace(b"- 0 0", b"- 0 5"))  # a breach
    words = {"key": [EVIL], "id": [f"3{EVIL}"], "old": [EVIL], "new": [f"x{EVIL}"], "number": ["1"]}
    seen = []
    order = sorted(groupfifo.commands, key=lambda name: (name == "purge", name))
    for name in order:
        command = groupfifo.commands[name]
        arguments = [word for each in command.params if each.param_type_name == "argument" for word in words[each.name]]
        options = {option for each in command.params for option in each.opts}
        more = ["--yes"] if "--yes" in options else []
        more += ["--by", EVIL] if "--by" in options else []
        more += {"watch": ["--times", "1"], "limit": ["--rate", "1/s"]}.get(name, [])
        for json_ in ([], ["--json"]):
            result = run(name, *arguments, *more, *json_, code=None)
            seen.append((name, result.exit_code))
            for line in (result.stdout + result.stderr).split("\n"):
                assert line.isprintable(), (name, json_, line)
            if json_:
                json.loads(result.stdout)
    for arguments in (["find", EVIL, EVIL], ["list", "--state", EVIL], ["list", f"--{EVIL}"], [EVIL]):
        assert all(line.isprintable() for line in run(*arguments, code=2).stderr.split("\n")), arguments
    assert "ü" in run("list").stdout and r"\x1b[31mü\x1b]0;title\x07\x9b2J\x7f\nb" in run("history").stdout
    assert {name for name, code in seen if code == 0} >= {"list", "show", "explain", "find", "history", "dead-letters"}
    for record in caplog.records:
        assert record.name.split(".")[0] != "celery_groupfifo" or record.getMessage().isprintable(), record.getMessage()


def test_metrics(run: Run, run_json: RunJson) -> None:
    said = run("metrics").stdout
    assert "groupfifo_up 1.0" in said and 'groupfifo_tasks{state="parked"} ' in said
    assert "groupfifo_up 1.0" in run_json("metrics")["metrics"]
    assert "not HOST:PORT" in run("metrics", "--listen", "here", code=2).stderr
