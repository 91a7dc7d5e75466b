"""The head of every Lua file says what its code and its caller do."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

import pytest

from celery_groupfifo.gate import (
    batches,
    cutting,
    gate,
    insert,
    observations,
    parking,
    parks,
    places,
    recovery,
    scripts,
)
from celery_groupfifo.gate.keys import BASE
from lua import build
from tests.gate.scripted import CASES, Case, Made, recorded
from tests.support.world import World

LUA = build.ROOT / build.SOURCES
SHARED_KEYS, SHARED_ARGS = len(BASE), 2
FILES = sorted(path.stem for path in LUA.glob("*.lua"))
PARTS = sorted(f"lib/{path.stem}" for path in (LUA / "lib").glob("*.lua"))
#: What stands before a script's functions, see lua/build.py.
QUICK = sorted(f"quick/{path.stem}" for path in (LUA / "quick").glob("*.lua"))


@dataclass(frozen=True)
class Said:
    """Indexes of one kind: the single ones, and where an open end begins (`..`: after the counted ones)."""

    single: frozenset[int]
    open: frozenset[str]


def text(name: str) -> str:
    return (LUA / f"{name}.lua").read_text("utf-8")


def header(name: str) -> list[str]:
    lines = []
    for line in text(name).splitlines():
        if not line.startswith("--") or line.startswith(build.INCLUDE):
            break
        lines.append(line)
    return lines


def code(source: str) -> list[str]:
    lines = [re.sub(r"\s*--(?!\[).*", "", line) for line in source.splitlines()]
    return [line for line in lines if line.strip()]


def included(name: str) -> list[str]:
    line = next((line for line in text(name).splitlines() if line.startswith(build.INCLUDE)), "")
    return [f"lib/{part}" for part in line.removeprefix(build.INCLUDE).split()]


def said(name: str, kind: str) -> Said:
    """Return the lines of the header about KEYS or ARGV."""
    single: set[int] = set()
    open_from: set[str] = set()
    for line in header(name):
        match = re.match(rf"-- {kind}\[([\d.]+)(-(\d*))?\]", line)
        if match is None:
            continue
        first, dash, last = match.groups()
        if last:
            single |= set(range(int(first), int(last) + 1))
        elif dash or first == "..":
            open_from.add(first)
        else:
            single.add(int(first))
    return Said(frozenset(single), frozenset(open_from))


def used(name: str, kind: str) -> Said:
    """Return the numbers that the code uses, the shared ones included."""
    body = "\n".join(line for each in (name, *included(name)) for line in code(text(each)))
    shared = SHARED_KEYS if kind == "KEYS" else SHARED_ARGS
    single = set(range(1, shared + 1)) | {int(index) for index in re.findall(rf"{kind}\[(\d+)\]", body)}
    open_from = set()
    for first_key, more, first_arg in re.findall(r"named_lists\((\d+)( \+ many)?, (\d+),", body):
        open_from.add(first_arg if kind == "ARGV" else ".." if more else first_key)
    for first_key, _ in re.findall(r"local line, arg = KEYS\[(\d+) \+ done\], (\d+) \+ named", body):
        open_from.add(first_key if kind == "KEYS" else "..")
    open_from |= {str(int(before) + 1) for before in re.findall(rf"{kind}\[(\d+) \+ at\]", body)}
    open_from |= {".." for _ in re.findall(rf"{kind}\[\d+ \+ many\]|= fail_elsewhere\(", body)}
    open_from |= set(re.findall(rf"= {kind}\[(\d+) \+ (?:\d \* done|\(at)", body))
    if kind == "KEYS":
        open_from |= set(re.findall(r"begin_next\((\d+),", body)) | set(re.findall(r"for i = (\d+), #KEYS", body))
        if "KEYS[i]" in body:
            open_from |= set(re.findall(r"for i = (\d+), \d+ \+ count", body))
    else:
        open_from |= set(re.findall(r"for (?:i|at) = (\d+), #ARGV", body))
        open_from |= set(re.findall(r"local after[^=]* = (\d+)", body))
        open_from |= {".." for _ in re.findall(r"for i = \d+ \+ count, #ARGV|ARGV\[after\]", body)}
    return Said(frozenset(single), frozenset(open_from))


def test_every_operation_of_the_gate_has_a_case_here() -> None:
    source = "".join(map(inspect.getsource, (gate, batches, cutting, insert, parking, recovery, observations)))
    called = re.findall(r"(?:store\.run|run_all|_run_until_answered)\(\s*\"(\w+)\"", source)
    called += re.findall(r"accept\(self\.store, [\w.]+, \"(\w+)\"", source)
    called += re.findall(r"\"(park\w*)\"", inspect.getsource(parks.script_of))
    called += re.findall(r"run\(\"(revoke)\"", inspect.getsource(places))
    handed_out = re.findall(r"^        +return \"(\w+)\", ", source, re.M)
    assert {case.script for case in CASES} == {*called, *handed_out, "stamp"}  # that one is called by stamps.py


@pytest.mark.parametrize("kind", ["KEYS", "ARGV"])
@pytest.mark.parametrize("name", FILES)
def test_keys_and_arguments_are_those_of_the_code(name: str, kind: str) -> None:
    assert said(name, kind) == used(name, kind)


@pytest.mark.parametrize("name", FILES)
def test_the_header_is_whole(name: str) -> None:
    lines = header(name)
    assert re.match(rf"-- {name}: \S", lines[0]), "purpose, in the file's own word"
    assert any(line.startswith("-- Returns ") for line in lines)
    assert any(line.startswith("-- Complexity O(") for line in lines)
    for line in lines:
        if re.match(r"-- KEYS\[1\d", line):
            assert re.search(r"\w+ +\((list|hash|zset|string)\)", line), line
        elif re.match(r"-- ARGV\[(?!1-2)[\d]+\]", line):
            assert re.search(r"\w+ +\((text|bytes|number|count|ms|us|0 \| 1)\)", line), line


def test_the_shared_keys_are_those_of_python_in_the_same_order() -> None:
    listed = re.findall(r"^-- KEYS\[(\d+)\] (\w+) +\((?:list|hash|zset|string)\)", text("lib/keys"), re.M)
    assert listed == [(str(index), name) for index, name in enumerate(BASE, 1)]
    bound = re.findall(r"(\w+) = KEYS\[(\d+)\]", text("lib/keys"))
    assert bound == [(name, str(index)) for index, name in enumerate(BASE, 1)]


@pytest.mark.parametrize("name", [*FILES, *PARTS])
def test_a_file_is_short(name: str) -> None:
    assert len(code(text(name))) <= 60


@pytest.mark.parametrize("name", QUICK)
def test_what_is_quick_makes_no_function(name: str) -> None:
    assert not re.search(r"\bfunction\b", "\n".join(code(text(name))))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_caller_gives_what_the_header_says(world: World, case: Case) -> None:
    call = case.prepare(world)
    with recorded(world.gate.store) as made:
        call()
    mine: Made = next(each for each in made if each.script == case.script)
    for kind, values in (("KEYS", mine.keys), ("ARGV", mine.args)):
        expected = said(mine.script, kind)
        least = max(expected.single)
        if expected.open:
            assert len(values) >= least
        else:
            optional = int(kind == "KEYS" and mine.script in ("park", "rerelease", "revoke"))  # the broker's list
            if kind == "ARGV":  # the delay, the depth's bound, the limits, and the identity
                optional = {"park": 9, "exchange": 2}.get(mine.script, 0)
            assert least - optional <= len(values) <= least
    lists = [index for index, key in enumerate(mine.keys, 1) if key in ("q", "q2")]
    assert all(index > SHARED_KEYS for index in lists)


@pytest.mark.parametrize("name", FILES)
def test_it_carries_no_function_that_it_does_not_call(name: str) -> None:
    source = scripts.source(name)
    for function in re.findall(r"^ *local function (\w+)", source, re.M):
        assert len(re.findall(rf"\b{function}\(", source)) > 1, function


@pytest.mark.parametrize("name", FILES)
def test_the_server_compiles_it(world: World, name: str) -> None:
    assert len(world.redis.script_load(scripts.source(name))) == 40


def named_keys(name: str) -> set[str]:
    """Names that a script gives to keys that it was handed."""
    found: set[str] = set()
    for names, values in re.findall(r"^ *local ([\w, ]+) = (KEYS\[.*)$", "\n".join(code(text(name))), re.M):
        for one, value in zip(names.split(", "), values.split(", "), strict=False):
            found |= {one} if value.startswith("KEYS[") else set()
    return found


#: Shared parts know the keys by the names that scripts hand them over with.
NAMED = frozenset[str]().union(*(named_keys(name) for name in (*FILES, *PARTS, *QUICK)))


@pytest.mark.parametrize("name", FILES)
def test_no_key_is_made_up_inside_a_script(name: str) -> None:
    source = "\n".join(code(scripts.source(name)))
    calls = re.findall(r"redis[._]p?call\('(\w+)'(?:, ([\w.\[\] +]+))?", source)
    assert calls
    for command, key in calls:
        if command != "TIME":
            known = key.startswith(("K_", "KEYS[")) or key in NAMED or re.fullmatch(r"lists\[queue\]|list|from", key)
            assert known, f"{command} {key}"
