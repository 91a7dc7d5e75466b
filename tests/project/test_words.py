"""One word, one meaning: what a machine can check of docs/glossary.md."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from celery.utils.dispatch import Signal

import celery_groupfifo
from celery_groupfifo import signals
from celery_groupfifo.gate.counts import DERIVED, ENDS, TOTALS, Counts
from celery_groupfifo.groups import view
from celery_groupfifo.groups.listing import STATES
from celery_groupfifo.groups.reader import STATES_IN_FLIGHT
from celery_groupfifo.metrics.collector import metrics
from celery_groupfifo.metrics.snapshot import Snapshot

PACKAGE = Path(celery_groupfifo.__file__).parent
DOCS = PACKAGE.parent / "docs"
LUA = PACKAGE.parent / "lua"
FILES = sorted(PACKAGE.rglob("*.py"))
PAGES = [PACKAGE.parent / "README.md", *sorted(DOCS.rglob("*.md"))]


def classes() -> dict[str, list[str]]:
    """Return the files of each class name in the package."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(file.relative_to(PACKAGE).as_posix())
    return found


def rows(page: str, heading: str) -> dict[str, str]:
    """Return the first two columns of the tables under a heading of a page."""
    part = (DOCS / page).read_text("utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| [`*]*([\w ]+?)[`*]*(?:, [^|]*)? \| ([^|]+) \|", part, re.MULTILINE))


def test_no_two_classes_have_one_name() -> None:
    assert {name: files for name, files in classes().items() if len(files) > 1} == {}


def test_the_scripts_add_up_the_totals_that_are_defined() -> None:
    counted = {
        name
        for file in LUA.rglob("*.lua")
        for name in re.findall(r"HINCRBY', K\.stats, '(\w+)'", file.read_text("utf-8"))
    }
    assert counted == set(TOTALS) - DERIVED | ENDS


def test_each_field_of_stats_is_defined_in_the_docs() -> None:
    counts = {each.name for each in fields(Counts)}
    assert counts | {"totals"} | set(TOTALS) == set(rows("reference/json-api.md", "Counts")) - {
        "field",
        "total",
    }


def test_the_glossary_defines_the_counts_of_tasks() -> None:
    words = set(rows("glossary.md", "Numbers"))
    assert {"depth", "parked", "scheduled", "waiting", "running", "held"} <= words


@pytest.mark.parametrize("field", [each.name for each in fields(Counts)])
def test_each_count_has_one_metric_with_the_same_value(field: str) -> None:
    known = {each.name: number for number, each in enumerate(fields(Counts), 1)}
    known["depth"] = sum(known[state] for state in ("parked", "waiting", "running", "held"))
    samples = {
        (sample.name, sample.labels.get("state")): sample.value
        for metric in metrics(True, Snapshot(counts=Counts(**known)))
        for sample in metric.samples
    }
    tasks = {state: value for (name, state), value in samples.items() if name == "groupfifo_tasks"}
    said = {
        **tasks,
        "depth": sum(tasks.values()),
        "scheduled": samples["groupfifo_scheduled_tasks", None],
        "paused_groups": samples["groupfifo_paused_groups", None],
        "blocked_groups": samples["groupfifo_blocked_groups", None],
        "dead_letters": samples["groupfifo_dead_letters", None],
    }
    if field != "groups":  # by the state of their heads
        assert said[field] == known[field]


@pytest.mark.parametrize("total", TOTALS)
def test_each_total_has_a_metric_of_its_name(total: str) -> None:
    names = {sample.name for metric in metrics(True, Snapshot()) for sample in metric.samples}
    assert f"groupfifo_{total}_total" in names


#: Words that the glossary has replaced, each with the word to use. They are searched for in names.
REPLACED = {
    "appointment": "due, scheduled",
    "appointments": "due, scheduled",
    "buried": "dead_lettered",
    "hearing": "answers",
    "heard": "answered",
    "rung": "tickets_lost, rerelease",
    "rings": "rereleases",
    "told": "sent, answered",
    "unread": "unconsumed, unreadable",
}
#: Names of others, and where data have one of these names.
FOREIGN = {"worker/prefork.py": {"heard"}}


def keys_of(node: ast.Dict) -> set[str]:
    """Return the keys of a dictionary that are texts."""
    return {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def names(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module defines or uses, and its keys of dictionaries."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.arg, ast.keyword)) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Dict):
            yield from (
                each.value for each in node.keys if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )


def replaced(text: str) -> set[str]:
    """Return the words of names in a source that the glossary has replaced."""
    words = {word for name in names(ast.parse(text)) for word in re.split(r"_|(?<=[a-z])(?=[A-Z])", name)}
    return {word.lower() for word in words} & REPLACED.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_names_have_no_word_that_was_replaced(file: Path) -> None:
    allowed = FOREIGN.get(file.relative_to(PACKAGE).as_posix(), set())
    assert replaced(file.read_text("utf-8")) - allowed == set()


def test_a_replaced_word_is_found_in_any_kind_of_name() -> None:
    assert replaced("class RungBell: pass") == {"rung"}
    assert replaced("def f(told=1): return {'unread': g(was_buried=1)}") == {"told", "unread", "buried"}
    assert replaced("'told'; stolen = 1") == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS.parent).as_posix())
def test_pages_name_no_field_that_was_replaced(page: Path) -> None:
    said = set(re.findall(r"`([a-z_]+)`", page.read_text("utf-8")))
    assert said & (REPLACED.keys() | {"in_flight"}) == set()


def test_each_state_is_defined() -> None:
    states = rows("glossary.md", "States")
    assert set(STATES) | set(STATES_IN_FLIGHT.values()) | {"parked", "scheduled", "dead_letter"} == set(states) - {
        "group is",
        "task is",
    }


def test_each_signal_is_on_its_page_with_its_arguments() -> None:
    page = (DOCS / "metrics.md").read_text("utf-8")
    said = {
        name: set(re.findall(r"`(\w+)`", arguments))
        for name, arguments in re.findall(r"^\| `(group_\w+)` \| [^|]+ \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    }
    known = {name: set(each.providing_args) for name, each in vars(signals).items() if isinstance(each, Signal)}
    assert said == known


@pytest.mark.parametrize(
    "kind", [each for each in vars(view).values() if isinstance(each, type) and is_dataclass(each)]
)
def test_each_field_of_an_answer_is_described(kind: type) -> None:
    part = (kind.__doc__ or "").partition("Attributes:\n")[2]
    assert re.findall(r"^        (\w+): ", part, re.MULTILINE) == [each.name for each in fields(kind)]


def test_each_field_of_inspect_is_in_the_docs() -> None:
    tree = ast.parse((PACKAGE / "worker" / "inspect.py").read_text("utf-8"))
    given = {key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in keys_of(node)}
    page = (DOCS / "reference" / "json-api.md").read_text("utf-8")
    part = page.split("\n## In `celery inspect`\n", 1)[1].split("\n## ", 1)[0]
    assert given <= set(re.findall(r"`(\w+)`", part))
