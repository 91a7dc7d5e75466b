"""One word, one meaning: what a machine can check of docs/glossary.md."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

import pytest

import celery_groupfifo
from celery_groupfifo.gate.counts import TOTALS, Counts
from celery_groupfifo.metrics.collector import metrics
from celery_groupfifo.metrics.snapshot import Snapshot

PACKAGE = Path(celery_groupfifo.__file__).parent
DOCS = PACKAGE.parent / "docs"
LUA = PACKAGE / "gate" / "lua"


def classes() -> dict[str, list[str]]:
    """Return the files of each class name in the package."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
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
    assert counted == set(TOTALS)


def test_each_field_of_stats_is_defined_in_the_docs() -> None:
    counts = {each.name for each in fields(Counts)}
    assert counts | {"deepest", "totals"} | set(TOTALS) == set(rows("reference/json-api.md", "Counts")) - {
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
        "dead_letters": samples["groupfifo_dead_letters", None],
    }
    if field != "groups":  # by the state of their heads
        assert said[field] == known[field]


@pytest.mark.parametrize("total", TOTALS)
def test_each_total_has_a_metric_of_its_name(total: str) -> None:
    names = {sample.name for metric in metrics(True, Snapshot()) for sample in metric.samples}
    assert f"groupfifo_{total}_total" in names
