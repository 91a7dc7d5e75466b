"""Rules, dashboard and page speak of metrics that exist."""

from __future__ import annotations

import json
import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from celery_groupfifo.metrics.collector import metrics
from celery_groupfifo.metrics.snapshot import Snapshot
from celery_groupfifo.metrics.worker import WorkerMetrics
from tests.support.places import DOCS

#: What a page may say without meaning a metric: settings and the package.
OTHER = {"groupfifo_lease_ttl", "groupfifo_sweep_interval", "groupfifo_url", "groupfifo_namespace"}


class _Gate(Collector):
    def collect(self):  # type: ignore[no-untyped-def]
        return metrics(True, Snapshot())


def series() -> set[str]:
    registry = CollectorRegistry()
    registry.register(_Gate())
    worker = WorkerMetrics(registry)
    worker.on_begun("task", attempt=1, lost=0, task_wait=0.0, slot_wait=0.0, handoff=0.0)
    worker.on_finished("task", outcome="success")
    text = generate_latest(registry).decode()
    return {re.split(r"[ {]", line)[0] for line in text.splitlines() if not line.startswith("#")}


def names(text: str) -> set[str]:
    return set(re.findall(r"\bgroupfifo_[a-z_]+", text)) - OTHER


@pytest.mark.parametrize("file", ["alerts.yml", "grafana.json"])
def test_series_exist(file: str) -> None:
    found = names((DOCS / file).read_text())
    assert found
    assert found <= series()


def test_the_page_names_them_all() -> None:
    known = {re.sub(r"_(bucket|count|sum)$", "", name) for name in series() if not name.endswith("_created")}
    assert names((DOCS / "metrics.md").read_text()) == known


def test_the_dashboard_is_one() -> None:
    panels = json.loads((DOCS / "grafana.json").read_text())["panels"]
    assert all(panel["targets"] for panel in panels if panel["type"] != "row")
    assert len({panel["id"] for panel in panels}) == len(panels)
