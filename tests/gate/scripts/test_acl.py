"""Every script runs as a user who may touch only the keys it was given, with the commands that stand in it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo.errors import GroupFifoError, ScriptRefused
from celery_groupfifo.gate import scripts
from celery_groupfifo.gate.connections import Connections
from celery_groupfifo.gate.servers import gate_server
from celery_groupfifo.gate.store import Store
from celery_groupfifo.settings import Settings
from tests.gate.scripted import CASES, Case
from tests.support.snapshot import snapshot
from tests.support.world import World, make_entry

USER, PASSWORD = "gate", "secret"


def commands(name: str) -> list[str]:
    """Return the commands that the text of a script calls."""
    return sorted({found.lower() for found in re.findall(r"redis[._]p?call\('(\w+)'", scripts.source(name))})


def pattern(key: str) -> str:
    """An ACL pattern that fits this key only."""
    return "~" + re.sub(r"([*?\[\]\\])", r"\\\1", key)


def connections(world: World) -> Connections:
    """Connections of the user to a world's server."""
    url = world.url.replace("://", f"://{USER}:{PASSWORD}@")
    return gate_server(Celery("acl", broker=url, set_as_current=False), Settings()).connections(5.0, "")


class Allowed(Store):
    """Runs each script as a user made for this very call."""

    def __init__(self, world: World, denied: str | None = None) -> None:
        self._admin = world.redis
        self._denied = denied
        self.clock = world.gate.store.clock
        self._allow([], [])
        super().__init__(connections(world), world.gate.store.shown)
        self.clock = world.gate.store.clock

    def _allow(self, keys: list[str], allowed: list[str]) -> None:
        rules = ["reset", "on", f">{PASSWORD}", "+evalsha", "+script|load", "+select"]
        rules += [f"+{command}" for command in allowed if command != self._denied]
        self._admin.execute_command("ACL", "SETUSER", USER, *rules, *map(pattern, keys))

    def run(self, name: str, keys: Any, more: Any, args: Any) -> Any:
        self._allow([*keys.base, *more], commands(name))
        return super().run(name, keys, more, args)


@pytest.fixture
def world(own_world: World) -> World:
    """A world on a server whose users are ours to change."""
    return own_world


def test_every_script_needs_no_more_than_its_keys_and_commands(world: World) -> None:
    done = []
    for case in CASES:
        world.redis.flushdb()
        world.tick(1000)
        call = case.prepare(world)
        open_store, world.gate.store = world.gate.store, Allowed(world)
        world.gate.releaser._store = open_store  # type: ignore[attr-defined]
        if case.script == "revoke":  # it looks the entry up first
            world.gate.store.entries = open_store.entries  # type: ignore[method-assign]
        before = snapshot(world)
        call()
        assert case.script in ("lease", "heads", "home") or snapshot(world) != before
        world.gate.store.close()
        world.gate.store = open_store
        done.append(case)
    assert done == CASES


@pytest.mark.parametrize("case", [case for case in CASES if not case.note], ids=str)
def test_a_key_less_is_refused_with_the_remedy(world: World, case: Case) -> None:
    call = case.prepare(world)
    store = Allowed(world)
    allow = store._allow
    store._allow = lambda keys, allowed: allow(keys[:1], allowed)  # type: ignore[method-assign]
    store.entries = world.gate.store.entries  # type: ignore[method-assign]
    world.gate.store = store
    with pytest.raises(ScriptRefused, match=rf"refused '{case.script}'.*Allow the user EVALSHA, SCRIPT LOAD"):
        call()
    store.close()


def test_a_command_less_is_refused_with_the_remedy(world: World) -> None:
    world.gate.store = store = Allowed(world, denied="lpush")
    with pytest.raises(ScriptRefused, match=r"refused 'park'.*lpush.*Allow the user EVALSHA, SCRIPT LOAD"):
        world.park("a")
    store.close()


def test_no_scripts_at_all_are_refused_with_the_remedy(world: World) -> None:
    world.gate.store = store = Allowed(world)
    store._allow = lambda keys, allowed: world.redis.execute_command("ACL", "SETUSER", USER, "-@scripting")  # type: ignore[method-assign]
    with pytest.raises(ScriptRefused, match=r"refused 'park'.*Allow the user EVALSHA, SCRIPT LOAD"):
        world.park("a")
    with pytest.raises(ScriptRefused, match=r"refused 'park'"):
        world.gate.park_all([make_entry(world.gate, "a")], world.gate.numbers(1))
    store.close()


def test_reading_and_pushing_are_refused_with_the_remedy(world: World) -> None:
    store = Allowed(world)
    for name, call in (
        ("entries", lambda: store.entries(world.keys, ["a"])),
        ("push", lambda: store.push("q", b"x")),
        ("forget", lambda: store.forget("q")),
        ("wait", lambda: store.wait(["q"], 0.1)),
        ("begun", lambda: store.begun(world.keys, "q")),
        ("tickets", lambda: store.tickets(world.keys, "q")),
    ):
        with pytest.raises(ScriptRefused, match=rf"refused '{name}'.*Allow the user"):
            call()
    store.close()


def named(world: World) -> Connections:
    """Connections of the user that give themselves a name."""
    made = connections(world)
    made._options["client_name"] = "groupfifo"
    return made


@pytest.mark.parametrize("denied", ["-client|setname", "-client"])
def test_a_user_who_may_give_no_name_connects_without(
    world: World, denied: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "celery_groupfifo")
    world.redis.execute_command("ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}", "~*", "+@all", denied)
    several = named(world)
    store = Store(several, world.gate.store.shown)
    assert store.version() >= (6, 2)
    for _ in range(2):
        several.close(several.open())
    assert len([each for each in caplog.records if "get no name groupfifo" in each.message]) == 1
    names = [each["name"] for each in world.redis.client_list() if each["user"] == USER]
    assert names == [""]
    store.close()


def test_a_user_who_may_not_select_is_refused_as_ever(world: World) -> None:
    world.redis.execute_command("ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}", "~*", "+@all", "-select")
    other = world.url.replace("://", f"://{USER}:{PASSWORD}@").removesuffix("/0") + "/1"
    several = gate_server(Celery("acl", broker=other, set_as_current=False), Settings()).connections(5.0, "groupfifo")
    with pytest.raises(ScriptRefused, match="select"):
        Store(several, world.gate.store.shown).version()


def test_a_wrong_password_is_an_error_of_ours(world: World) -> None:
    world.redis.execute_command("ACL", "SETUSER", USER, "reset", "on", ">another")
    store = Store(connections(world), world.gate.store.shown)
    with pytest.raises(GroupFifoError, match=r"username-password pair|WRONGPASS"):
        store.version()
    store.close()
