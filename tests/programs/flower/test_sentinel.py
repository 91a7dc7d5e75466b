"""Flower behind sentinels: its pages go on with the new master."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.programs.flower.process import FlowerProcess
from tests.support.crews.app import make_app
from tests.support.sentinels import MASTER, THEIRS, watched
from tests.support.waiting import until


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_it_goes_on_with_the_new_master(tmp_path: Path, how: str) -> None:
    (tmp_path / "servers").mkdir()
    with watched(tmp_path / "servers") as servers:
        options = {"master_name": MASTER, "sentinel_kwargs": {"password": THEIRS}}
        conf = {"broker_url": servers.url, "broker_transport_options": options}
        waiting, app = make_app(**conf, groupfifo_wait_replicas=1), make_app(**conf)
        flower = FlowerProcess(tmp_path, conf).ready()

        def shows(many: int) -> bool:
            return len(flower.json("/api/groups").get("groups", ())) == many

        try:
            waiting.tasks["worker.act"].apply_async(("g", 1, "succeed"))
            until(lambda: shows(1), lambda: flower.log[-3000:])
            servers.first.kill() if how == "killed" else servers.freeze()
            servers.failed_over()
            app.tasks["worker.act"].apply_async(("h", 1, "succeed"))
            until(lambda: shows(2), lambda: flower.log[-3000:])
            assert flower.process.poll() is None
        finally:
            with suppress(ProcessLookupError):
                servers.thaw()  # or Celery's own connections keep Flower from its end
            flower.close()
            waiting.close()
            app.close()
