"""The changes of Celery: the table, its probes, and what happens where they fail."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.concurrency.prefork import TaskPool

from celery_groupfifo.errors import InvalidSetting
from celery_groupfifo.worker import patches
from celery_groupfifo.worker.patches import TABLE, Patch, Tuning
from tests.support.places import DOCS

PAGE = DOCS / "how-it-works.md"


@pytest.fixture
def consumer() -> Any:
    names = (
        "create_task_handler",
        "update_strategies",
        "call_soon",
        "on_unknown_task",
        "on_invalid_task",
        "on_decode_error",
        "loop",
    )
    return SimpleNamespace(
        **dict.fromkeys(names),
        on_task_message=set(),
        channel_errors=(),
        app=Celery(set_as_current=False),
        pool=TaskPool(1),
        controller=SimpleNamespace(wait_for_soft_shutdown=None),
    )


@pytest.mark.parametrize("patch", TABLE, ids=lambda patch: patch.name)
def test_this_celery_has_all_of_it(consumer: Any, patch: Patch) -> None:
    assert [*patch.probe(consumer)] == []


@pytest.mark.parametrize("patch", TABLE, ids=lambda patch: patch.name)
def test_the_docs_have_each_row(patch: Patch) -> None:
    needed = " (needed)" if patch.needed else ""
    row = f"| {patch.name}{needed} | {patch.place} | {patch.purpose} | {patch.without} |"
    assert row in PAGE.read_text("utf-8").splitlines()


def lacking(monkeypatch: pytest.MonkeyPatch, name: str, probe: patches.Probe) -> None:
    rows = [replace(patch, probe=probe) if patch.name == name else patch for patch in TABLE]
    monkeypatch.setattr(patches, "TABLE", tuple(rows))


@pytest.mark.parametrize("patch", [patch for patch in TABLE if patch.needed], ids=lambda patch: patch.name)
def test_without_a_needed_one_the_start_is_refused_with_a_sentence(
    consumer: Any, monkeypatch: pytest.MonkeyPatch, patch: Patch
) -> None:
    patches.check(consumer)
    lacking(monkeypatch, patch.name, lambda consumer: iter(["Thing._private"]))
    with pytest.raises(InvalidSetting) as raised:
        patches.check(consumer)
    said = str(raised.value)
    assert "lack Thing._private" in said and patch.purpose in said and patches.READ_IN in said


def test_a_missing_name_is_named(consumer: Any) -> None:
    del consumer.create_task_handler
    with pytest.raises(InvalidSetting, match="create_task_handler"):
        patches.check(consumer)


def broken(consumer: Any) -> Any:
    raise AttributeError("another shape")


@pytest.mark.parametrize("patch", [patch for patch in TABLE if not patch.needed], ids=lambda patch: patch.name)
@pytest.mark.parametrize("probe", [lambda consumer: iter(["gone"]), broken], ids=["missing", "raises"])
def test_without_one_that_saves_time_the_worker_goes_celerys_way(
    consumer: Any, monkeypatch: pytest.MonkeyPatch, patch: Patch, probe: patches.Probe
) -> None:
    assert patch.name in Tuning(consumer, True)
    lacking(monkeypatch, patch.name, probe)
    assert patch.name not in Tuning(consumer, True)
    patches.check(consumer)


def test_a_setting_leaves_all_of_these_out(consumer: Any) -> None:
    assert not [patch.name for patch in TABLE if patch.name in Tuning(consumer, False)]
