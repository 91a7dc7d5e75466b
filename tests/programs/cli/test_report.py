"""The report of observe mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.observations import Observations, Seen, Sent
from tests.programs.cli.conftest import Run
from tests.support.shop import Shop


def test_nothing_was_observed(run: Run, run_json: Callable[..., Any]) -> None:
    assert run("report", code=1).stderr.startswith("Nothing was observed")
    assert run_json("report", code=1)["since"] is None


def test_report(shop: Shop, run: Run, run_json: Callable[..., Any]) -> None:
    told = Observations(gate_of(shop.app).store, gate_of(shop.app).keyspace)
    places = {id: told.draw(quote("a key"), id) for id in ("a", "b")}
    for id in ("b", "a"):
        told.start(Seen(Sent(places[id], 1, quote("a key")), id, id), f"shop.{id}", False, 0)
    told.start(Seen(Sent(0, 1, quote("fine")), "c", "c"), "shop.c", False, 0)
    said = run("report").stdout
    for number, words in ((3, "runs started"), (1, "started while"), (1, "started after a task"), (0, "were retries")):
        assert f"{number:>8}  {words}" in said
    assert "shop.a[a] started while shop.b[b] was running." in said
    assert "shop.a[a] started after shop.b[b], which was sent later." in said
    assert "a key" in said and "fine" not in said
    found = run_json("report", "--limit", "1")
    assert (found["runs"], found["overlaps"], found["overtaken"], found["not_counted"]) == (3, 1, 1, 1)
    assert (found["observed_groups"], found["broken_groups"]) == (2, 1)
    (group,) = found["groups"]
    assert group["key"] == "a key" and group["first"]["overtaken"]["other_id"] == "b"
    assert "Nothing was done" in run("report", "--reset", code=1).stderr
    assert "3" in run("report").stdout
    assert run("report", "--reset", input="y\n").stdout.endswith("The counts of 2 groups were removed.\n")
    assert run_json("report", code=1)["groups"] == []
