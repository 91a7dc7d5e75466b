"""Dead letters: what is kept of a task, the way back and the way out, and how long they stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo import GroupDraining, GroupFifoError, Groups, UnknownTask
from celery_groupfifo.errors import DuplicateTask, InvalidGroupKey, InvalidOption
from celery_groupfifo.gate.model import Failure
from celery_groupfifo.groups import End, letters, verify
from celery_groupfifo.groups.letters import DISCARDED
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.settings import Settings, read_settings
from tests.gate.scripted import recorded
from tests.support.shop import Shop
from tests.support.stored import stored
from tests.support.world import World


def ids(shop: Shop, key: str = "k") -> list[str]:
    """The parked tasks of a group."""
    return [task.task_id for task in shop.groups.tasks(key)]


def dead(shop: Shop, **selection: Any) -> list[str]:
    """The ids of dead letters, newest first."""
    return [letter.id for letter in shop.groups.dead_letters(**selection)]


def fail(shop: Shop, id: str, key: str = "k", error: str = "ValueError: boom", traceback: str = "") -> None:
    """A task runs and fails for good, under `dead_letter`."""
    shop.send(key, id)
    ticket = shop.begin()
    assert ticket.id == id
    failure = Failure("dead_letter", "shop.send", error, "w1@host", traceback)
    shop.world.gate.finish(shop.world.finishing(ticket, key, failure=failure))


def drop(shop: Shop, id: str, key: str = "k", reason: str = "") -> None:
    """A task is sent and dropped."""
    shop.send(key, id)
    shop.groups.drop(key, id, reason, by="anna")
    shop.world.redis.delete("celery")


# -- what is kept ------------------------------------------------------------


def test_a_failure_keeps_task_arguments_exception_and_traceback(shop: Shop) -> None:
    traceback = 'Traceback:\n  File "ä.py"\nValueError: boom'
    fail(shop, "a", traceback=traceback)
    (letter,) = shop.groups.dead_letters()
    assert (letter.id, letter.key, letter.task, letter.args, letter.kwargs) == ("a", "k", "shop.send", "('k', 7)", "{}")
    assert (letter.cause, letter.exception, letter.traceback) == ("failed", "ValueError: boom", traceback)
    assert (letter.by, letter.reason, letter.readable, letter.place) == ("w1@host", "", True, 0)
    assert letter.when.timestamp() * 1000 == shop.world.now
    assert letter.why == "ValueError: boom"


def test_arguments_are_shown_as_celery_shows_them(shop: Shop) -> None:
    shop.task.apply_async(("k", 7), task_id="a", argsrepr="('k', '***')", kwargsrepr="{'pin': '***'}")
    shop.groups.drop("k", expected="a")
    (letter,) = shop.groups.dead_letters()
    assert (letter.args, letter.kwargs) == ("('k', '***')", "{'pin': '***'}")


def test_a_dropped_head_that_blocked_its_group_keeps_its_exception(shop: Shop) -> None:
    shop.send("k", "a")
    shop.world.fail(shop.begin(), "k", "block")
    shop.groups.drop("k", expected="a", reason="broken\naddress", by="anna")
    (letter,) = shop.groups.dead_letters()
    assert (letter.cause, letter.reason, letter.by) == ("dropped", "broken\naddress", "anna")
    assert letter.exception == "ValueError: boom"
    assert letter.why == "dropped: broken\naddress (ValueError: boom)"


def test_letters_of_a_page_after_the_other(shop: Shop) -> None:
    for n in range(7):
        drop(shop, f"t{n}", f"k{n}")
    pages: list[list[str]] = []
    cursor = None
    while cursor is not None or not pages:
        page = shop.groups.dead_letters(limit=3, cursor=cursor)
        assert [letter.place for letter in page] == list(range(len(page)))
        pages.append([letter.id for letter in page])
        cursor = page.cursor
    assert pages == [["t6", "t5", "t4"], ["t3", "t2", "t1"], ["t0"]]
    with pytest.raises(InvalidOption, match="cursor='x' does not work"):
        shop.groups.dead_letters(cursor="x")


@pytest.mark.parametrize("change", ["come", "go"])
def test_letters_that_come_and_go_between_two_pages(shop: Shop, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Timeline: the newest ten letters are read, others come or go, also the next one, and the next ten are read."""
    monkeypatch.setattr(letters, "ROWS", 10)
    for n in range(25):
        drop(shop, f"t{n}", f"k{n}")
    run, pending = Reader.run, [3, 14, 20, 24]

    def watched(self: Reader, name: str, *args: Any) -> Any:
        reply = run(self, name, *args)
        if name == "letters" and pending:
            changed, pending[:] = list(pending), []
            for n in changed:
                if change == "come":
                    drop(shop, f"new{n}", f"new{n}")
                else:
                    shop.groups.redrive(f"t{n}")
        return reply

    monkeypatch.setattr(Reader, "run", watched)
    gone = () if change == "come" else (3, 14, 20, 24)
    assert dead(shop) == [f"t{n}" for n in reversed(range(25)) if n not in gone]


@pytest.mark.parametrize("rows", [1, 2, 3, 500])
@pytest.mark.parametrize("key", [None, "k"])
def test_a_cursor_whose_letter_is_gone_goes_on_with_the_next_older_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, rows: int, key: str | None
) -> None:
    monkeypatch.setattr(letters, "ROWS", rows)
    for n in range(9):
        drop(shop, f"t{n}")
    cursor = shop.groups.dead_letters(key, limit=5).cursor
    for n in (3, 6):
        shop.groups.discard(f"t{n}")
    assert dead(shop, cursor=cursor, key=key) == ["t2", "t1", "t0"]


def test_selections(shop: Shop) -> None:
    @shop.app.task(name="shop.other", shared=False)
    def other(key: str) -> None:
        """Never run here."""

    drop(shop, "a", "k", "Broken address")
    fail(shop, "b", "k", "KeyError: 'Size'")
    drop(shop, "c", "other")
    other.apply_async(("k",), task_id="d", group_key="k")
    shop.groups.drop("k", expected="d")
    shop.world.tick(10_000)
    drop(shop, "e", "k")
    assert dead(shop, key="k") == ["e", "d", "b", "a"]
    assert dead(shop, task="shop.other") == ["d"]
    assert dead(shop, cause="failed") == ["b"]
    assert dead(shop, search="broken ADDRESS") == ["a"] and dead(shop, search="size") == ["b"]
    assert dead(shop, search="7", cause="dropped", key="k") == ["e", "a"]
    assert dead(shop, older_than=10) == ["d", "c", "b", "a"] and dead(shop, older_than=11) == []
    assert dead(shop, key="none") == [] and dead(shop, search="none") == []
    assert shop.groups.count_dead_letters() == 5 and shop.groups.count_dead_letters("k", cause="dropped") == 3
    with pytest.raises(InvalidOption, match="cause='lost' does not work: set it to one of 'failed', 'dropped'"):
        shop.groups.dead_letters(cause="lost")
    with pytest.raises(InvalidOption, match="older_than=-1 does not work"):
        shop.groups.dead_letters(older_than=-1)
    with pytest.raises(InvalidGroupKey):
        shop.groups.dead_letters("")


def test_a_rare_selection_ends_with_a_cursor_before_it_has_looked_at_all(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "LOOKED", 3)
    for n in range(5):
        drop(shop, f"t{n}", f"k{n}")
    page = shop.groups.dead_letters(search="t0")
    assert page == [] and page.cursor is not None
    assert dead(shop, search="t0", cursor=page.cursor) == ["t0"]


def test_a_letter_of_long_headers_and_one_that_nobody_can_read(shop: Shop) -> None:
    shop.task.apply_async(("k", 7), task_id="a", headers={"long": "ä" * 9000})
    shop.groups.drop("k", expected="a")
    shop.world.redis.delete("celery")
    shop.send("k", "bad")
    shop.world.redis.hset(shop.world.keys.entries, "bad", b"\xff" * 20_000)
    shop.world.gate.surrender([(shop.begin(), False)])
    bad, long = shop.groups.dead_letters()
    assert (long.id, long.task, long.readable) == ("a", "shop.send", True)
    assert (bad.id, bad.cause, bad.task, bad.readable) == ("bad", "corrupt", "", False)


# -- redrive -----------------------------------------------------------------


def test_drop_keeps_the_task_and_redrive_brings_it_back(shop: Shop) -> None:
    for id in "abc":
        shop.send("k", id)
    shop.groups.drop("k", expected="a", reason="broken address")
    assert [letter.why for letter in shop.groups.dead_letters()] == ["dropped: broken address"]
    assert shop.groups.redrive("a", to="head") == "k"
    assert ids(shop) == ["a", "c"], "b is out already"
    assert shop.groups.dead_letters() == []
    assert shop.world.stat("tasks_redriven") == 1


def test_redrive_to_the_tail_of_an_empty_group_starts_it(shop: Shop) -> None:
    drop(shop, "a")
    shop.groups.redrive("a")
    assert shop.begin().id == "a"


def test_a_redriven_message_is_the_same_byte_for_byte(shop: Shop) -> None:
    shop.task.apply_async(("k", "x" * 50_000), task_id="a")
    before = stored(shop.world.redis.hget(shop.world.keys.entries, "a")).partition(b" ")[2]
    shop.groups.drop("k", expected="a")
    shop.groups.redrive("a")
    assert stored(shop.world.redis.hget(shop.world.keys.entries, "a")).partition(b" ")[2] == before


def test_a_redriven_task_that_fails_again_has_one_letter(shop: Shop) -> None:
    fail(shop, "a", error="ValueError: first")
    shop.groups.redrive("a")
    ticket = shop.begin()
    shop.world.tick(1)
    shop.world.gate.finish(shop.world.failing(ticket, "k", "dead_letter"))
    assert [letter.exception for letter in shop.groups.dead_letters()] == ["ValueError: boom"]
    assert shop.groups.stats().dead_letters == 1 and shop.world.stat("tasks_dead_lettered") == 2


def test_several_letters_of_one_id(shop: Shop) -> None:
    """A task is sent again under an id that has a letter, and is set aside again."""
    for number in range(4):
        fail(shop, "a", error=f"ValueError: {number}")
        fail(shop, f"other{number}", "other")
    assert len({letter.ref for letter in shop.groups.dead_letters()}) == 8
    found = shop.groups.find("a")
    assert found is not None and found.dead_letter is not None
    assert found.dead_letter.exception == "ValueError: 3"
    second = next(letter for letter in shop.groups.dead_letters("k") if letter.exception == "ValueError: 1")
    assert shop.groups.discard(refs=[second.ref]) == 1, "one in the middle"
    shop.groups.redrive("a")
    assert [letter.exception for letter in shop.groups.dead_letters("k")] == ["ValueError: 2", "ValueError: 0"]
    with pytest.raises(DuplicateTask, match="its dead letter stays"):
        shop.groups.redrive("a")
    assert shop.groups.discard("a") == 2, "all of them"
    assert dead(shop) == ["other3", "other2", "other1", "other0"]
    assert len(shop.world.dead()) == 4


@pytest.mark.parametrize("to", ["tail", "head"])
def test_many_come_back_in_the_order_in_which_they_stood(shop: Shop, to: End) -> None:
    for id in "abcde":
        drop(shop, id)
    shop.groups.pause("k")
    shop.send("k", "new")
    done = shop.groups.redrive_many("k", to=to, by="anna")
    assert (done.count, done.refused) == (5, ())
    assert ids(shop) == (["new", *"abcde"] if to == "tail" else [*"abcde", "new"])
    (action,) = [action for action in shop.groups.actions() if action.what == "redrive"]
    assert (action.by, action.key, action.more) == ("anna", "k", {"to": to, "count": 5})


@pytest.mark.parametrize("to", ["tail", "head"])
def test_the_oldest_starts_first_where_nothing_is_under_way(shop: Shop, to: End) -> None:
    for id in "abcde":
        drop(shop, id)
    shop.send("other", "x")
    assert shop.groups.redrive_many("k", to=to).count == 5
    assert [shop.groups.get("k").head, *ids(shop)] == list("abcde")


def test_many_at_the_head_of_several_groups_under_way(shop: Shop) -> None:
    for n in range(8):
        drop(shop, f"t{n}", f"k{n % 2}")
    for key in ("k0", "k1"):
        shop.send(key, f"{key}-head")
        shop.send(key, f"{key}-next")
    assert shop.groups.redrive_many(to="head").count == 8
    assert ids(shop, "k0") == ["t0", "t2", "t4", "t6", "k0-next"]
    assert ids(shop, "k1") == ["t1", "t3", "t5", "t7", "k1-next"]


def test_what_is_refused_stays_and_hinders_no_other(shop: Shop) -> None:
    for id in "abc":
        drop(shop, id)
    shop.send("k", "b")
    done = shop.groups.redrive_many()
    assert done.count == 2 and dead(shop) == ["b"]
    assert done.refused == ("Task b is parked or running already: its dead letter stays.",)
    assert shop.groups.redrive_many(cause="failed").count == 0
    assert [action.what for action in shop.groups.actions()].count("redrive") == 1, "what was not done is not noted"


def test_redrive_refuses_what_it_cannot_do(shop: Shop) -> None:
    with pytest.raises(UnknownTask, match="no dead letter of task a"):
        shop.groups.redrive("a")
    with pytest.raises(InvalidOption, match="to='middle'"):
        shop.groups.redrive("a", to="middle")  # type: ignore[arg-type]
    drop(shop, "a")
    shop.send("k", "a")
    with pytest.raises(DuplicateTask):
        shop.groups.redrive("a")
    shop.groups.revoke("a")
    shop.send("k", "b")
    shop.groups.drain("k")
    with pytest.raises(GroupDraining):
        shop.groups.redrive("a")
    drop(shop, "bad", "other")
    number = stored(shop.world.redis.hget(shop.world.keys.dead, "newest")).decode()
    shop.world.redis.hset(shop.world.keys.dead, f"l {number}", b"corrupt\n\xff")
    with pytest.raises(GroupFifoError, match=r"The dead letter of task bad can't be read \(corrupt\)"):
        shop.groups.redrive("bad")
    assert dead(shop) == ["bad", "a"], "what was refused is still there"


@pytest.mark.parametrize("act", ["redrive", "discard"])
def test_one_letter_costs_the_same_among_any_number(shop: Shop, act: str) -> None:
    def commands() -> int:
        shop.world.redis.config_resetstat()
        getattr(shop.groups, act)("a0")
        stats: Any = shop.world.redis.info("commandstats")
        return sum(each["calls"] for each in stats.values())

    used = []
    for others in (1, 300):
        for n in range(others):
            drop(shop, f"t{n}", f"k{n}")
            if n == others // 2:
                drop(shop, "a0")
        used.append(commands())
        shop.groups.discard(all=True)
        shop.groups.purge("k")
    assert used[1] <= used[0] + 2, "its neighbours have neighbours, too"


# -- discard -----------------------------------------------------------------


def test_discard_of_a_task(shop: Shop) -> None:
    drop(shop, "a")
    drop(shop, "b")
    assert shop.groups.discard("a", reason="tested", by="ben") == 1
    assert dead(shop) == ["b"] and ids(shop) == []
    action = shop.groups.actions()[0]
    assert (action.what, action.by, action.key, action.reason) == ("discard", "ben", "k", "tested")
    assert action.more == {"task_id": "a"}
    with pytest.raises(UnknownTask, match="no dead letter of task a"):
        shop.groups.discard("a")


def test_discard_of_a_selection(shop: Shop) -> None:
    for n in range(6):
        drop(shop, f"t{n}", f"k{n % 2}")
    shop.world.tick(60_000)
    drop(shop, "new", "k0")
    assert shop.groups.discard(key="k0", older_than=60, by="ben") == 3
    assert dead(shop) == ["new", "t5", "t3", "t1"]
    action = shop.groups.actions()[0]
    assert (action.what, action.key, action.more) == ("discard", "k0", {"older_than": 60, "count": 3})
    assert shop.groups.discard(task="never") == 0
    assert shop.groups.discard(task="shop.send") == 4
    assert [action.what for action in shop.groups.actions()].count("discard") == 2
    assert not shop.world.redis.exists(shop.world.keys.dead), "nothing is left over"
    totals = shop.groups.stats().totals
    assert (totals.dead_letters_discarded, totals.tasks_dead_lettered) == (7, 7)


def test_discard_of_all_has_to_be_said(shop: Shop) -> None:
    for id in "abc":
        drop(shop, id)
    for wrong in ({}, {"id": "a", "all": True}, {"id": "a", "key": "k"}, {"key": "k", "all": True}):
        with pytest.raises(InvalidOption, match="discard needs one of"):
            shop.groups.discard(**wrong)
    assert shop.groups.discard(all=True) == 3
    assert shop.groups.discard(all=True) == 0


def test_a_repeated_call_removes_nothing_more_and_tells_the_same(shop: Shop) -> None:
    """Every call is made twice with the same arguments, as after a lost reply."""
    for n in range(DISCARDED + 20):
        drop(shop, f"t{n}", f"k{n}")
    store, run = shop.world.gate.store, shop.world.gate.store.run

    def twice(*args: Any) -> Any:
        run(*args)
        return run(*args)

    store.run = twice  # type: ignore[method-assign, assignment]
    assert shop.groups.discard(older_than=0.01) == DISCARDED + 10
    assert shop.world.stat("dead_letters_discarded") == DISCARDED + 10
    assert shop.groups.redrive_many().count == 10
    assert shop.world.stat("tasks_redriven") == 10


def test_large_letters_are_discarded_in_small_steps(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "BYTES", 100_000)
    for n in range(5):
        shop.task.apply_async((f"k{n}", "x" * 60_000), task_id=f"t{n}")
        shop.groups.drop(f"k{n}", expected=f"t{n}")
    with recorded(shop.world.gate.store) as made:
        assert shop.groups.discard(all=True) == 5
    assert [each.script for each in made].count("discard") == 3


# -- find and explain ----------------------------------------------------------


def test_find_knows_a_dead_letter(shop: Shop) -> None:
    fail(shop, "a")
    found = shop.groups.find("a")
    assert found is not None and (found.state, found.key, found.task) == ("dead_letter", "k", "shop.send")
    assert found.dead_letter == shop.groups.dead_letters()[0]
    shop.groups.redrive("a")
    found = shop.groups.find("a")
    assert found is not None and (found.state, found.dead_letter) == ("waiting", None)


def test_explain_names_the_dead_letters_and_the_ways_out(shop: Shop) -> None:
    assert "dead letter" not in shop.groups.explain("k", ask_workers=False)
    fail(shop, "a")
    sentence = shop.groups.explain("k", ask_workers=False)
    assert "Group 'k' is empty" in sentence
    assert " 1 dead letter of it is kept, shop.send[a], set aside at 2027-01-15 " in sentence
    assert sentence.endswith("UTC: ValueError: boom. `redrive` parks it again, `discard` removes it.")
    drop(shop, "b", reason="tested")
    sentence = shop.groups.explain("k", ask_workers=False)
    assert " 2 dead letters of it are kept, the last one shop.send[b], set aside at " in sentence


# -- retention -----------------------------------------------------------------


def test_the_oldest_go_beyond_the_number_that_is_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.world.gate, "settings", _settings(shop, groupfifo_dead_letters_max=3))
    for n in range(5):
        drop(shop, f"t{n}", f"k{n}")
    assert shop.world.sweep().next_due is None
    assert dead(shop) == ["t4", "t3", "t2"] and len(shop.world.dead()) == 3
    assert shop.groups.stats().totals.dead_letters_expired == 2
    shop.world.sweep()
    assert len(dead(shop)) == 3


def test_letters_go_after_the_time_that_they_are_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.world.gate, "settings", _settings(shop, groupfifo_dead_letters_for=60))
    drop(shop, "a")
    shop.world.tick(30_000)
    drop(shop, "b")
    shop.world.tick(29_999)
    shop.world.sweep()
    assert dead(shop) == ["b", "a"]
    shop.world.tick(2)
    shop.world.sweep()
    assert dead(shop) == ["b"]
    shop.world.tick(60_000)
    shop.world.sweep()
    assert not shop.world.redis.exists(shop.world.keys.dead)


def test_many_go_in_small_steps_one_right_after_the_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(250):
        drop(shop, f"t{n}", f"k{n}")
    monkeypatch.setattr(shop.world.gate, "settings", _settings(shop, groupfifo_dead_letters_max=1))
    left = []
    while shop.world.sweep().next_due == 0:
        left.append(len(dead(shop, limit=1000)))
    assert left == [200, 150, 100, 50] and dead(shop) == ["t249"]


def test_without_limits_all_stay(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = _settings(shop, groupfifo_dead_letters_max=None, groupfifo_dead_letters_for=None)
    monkeypatch.setattr(shop.world.gate, "settings", unlimited)
    drop(shop, "a")
    shop.world.tick(10**12)
    shop.world.sweep()
    assert dead(shop) == ["a"]


def _settings(shop: Shop, **conf: Any) -> Settings:
    shop.app.conf.update(conf)
    return read_settings(shop.app.conf)


# -- several partitions ----------------------------------------------------------


@pytest.fixture
def parted(redis_url: str) -> Iterator[World]:
    app = Celery("parted", broker=redis_url, set_as_current=False)
    app.conf.groupfifo_partitions = 3
    world = World(redis_url, app)
    yield world
    world.close()


def test_letters_of_all_partitions_stand_in_one_order(parted: World) -> None:
    groups = Groups(parted.app, parted.gate)
    for n in range(20):
        parted.tick(1)
        parted.park(f"t{n}", f"k{n}")
        groups.drop(f"k{n}", expected=f"t{n}")
    everything = [f"t{n}" for n in reversed(range(20))]
    assert [letter.id for letter in groups.dead_letters()] == everything
    page = groups.dead_letters(limit=7)
    assert [letter.id for letter in page + groups.dead_letters(cursor=page.cursor)] == everything
    assert groups.dead_letters("k3")[0].ref == groups.dead_letters(search="t3")[0].ref
    assert groups.discard(refs=[letter.ref for letter in page]) == 7
    assert groups.redrive("t2") == "k2"
    assert groups.redrive_many().count == 12
    assert groups.stats().dead_letters == 0


# -- verify ----------------------------------------------------------------------


def test_verify_names_a_chain_that_is_cut(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "ROWS", 2)
    monkeypatch.setattr(verify, "PAUSE", 0.0)
    for n in range(5):
        drop(shop, f"t{n}", f"k{n}")
    assert shop.groups.verify() == []
    number = shop.groups.dead_letters(search="t2")[0].ref.partition("-")[2]
    shop.world.redis.hdel(shop.world.keys.dead, f"n {number}")
    (found,) = shop.groups.verify(repair=True)
    assert (found.name, found.repaired) == ("letters", False)
    assert found.what.startswith(
        "Of 5 dead letters 2 are in their chain. Redrive or discard these, then delete the key "
    )
    shop.groups.discard(all=True)
    shop.world.redis.delete(shop.world.keys.dead)
    assert shop.groups.verify() == []
