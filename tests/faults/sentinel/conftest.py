"""A stage whose gate, and broker, is a master that sentinels watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from celery_groupfifo.testing import embedded
from tests.support import sentinels
from tests.support.sentinels import MASTER, THEIRS, Watched
from tests.support.stages.stage import QUEUE, Stage, only_leases
from tests.support.stored import lasts


class SentinelStage(Stage):
    """A stage that knows its servers.

    Args:
        directory: For everything.
        watched: The master, its replica and their sentinels.
        broker_elsewhere: True: only the gate is behind the sentinels.
        conf: More settings of the app.
    """

    def __init__(self, directory: Path, watched: Watched, broker_elsewhere: bool = False, **conf: Any) -> None:
        self.watched = watched
        conf |= {"broker_transport_options": {"master_name": MASTER, "sentinel_kwargs": {"password": THEIRS}}}
        conf |= {"groupfifo_url": watched.url} if broker_elsewhere else {"broker_url": watched.url}
        super().__init__(directory, embedded.start(appendonly=False), **conf)

    def left(self) -> dict[str, str]:
        """Return the keys that the gate holds of groups."""
        found = {}
        client: Any = self.watched.master()
        for raw in client.scan_iter(match="{groupfifo:*}:*", count=1000):
            name = raw.decode().split("}:", 1)[1]
            if not (lasts(name) or (name == "due" and only_leases(client, raw))):
                found[name] = client.type(raw).decode()
        return found

    def describe(self) -> str:
        """Why it does not end."""
        missing = sorted(self.watch.missing())
        client = self.watched.master()
        groups = client.hgetall("{groupfifo:0}:groups")
        return (
            f"{len(missing)} missing, e.g. {missing[:8]}; groups {dict(list(groups.items())[:8])}; "
            f"queue {client.llen(QUEUE)}; left {self.left()}; logs in {self.directory}"
        )


@pytest.fixture
def make_watched_stage(tmp_path: Path) -> Iterator[Callable[..., SentinelStage]]:
    """Makes the stage of a test, over servers that end with it."""
    with ExitStack() as stack:
        servers = tmp_path / "servers"
        servers.mkdir()

        def make(**conf: Any) -> SentinelStage:
            watched = stack.enter_context(sentinels.watched(servers))
            stage = SentinelStage(tmp_path / "stage", watched, **conf)
            stack.callback(stage.close)
            return stage

        yield make


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes a stage without sentinels."""
    with ExitStack() as stack:

        def make(**conf: Any) -> Stage:
            stage = Stage(tmp_path / "stage", embedded.start(appendonly=False), **conf)
            stack.callback(stage.close)
            return stage

        yield make
