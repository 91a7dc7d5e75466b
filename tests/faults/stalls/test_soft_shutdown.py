"""A soft shutdown: the main thread sleeps in a signal handler for the whole time of grace.

So somebody else hears meanwhile what the gate answers; on another broker than its Redis, that names the tickets that
are to be published.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.stalls.scene import QUICK, Scene, begun, opened
from tests.support.waiting import until

#: The time of grace, all of which Celery sleeps.
GRACE = 12.0


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_what_has_not_begun_goes_on_elsewhere_at_once(tmp_path: Path, pool: str) -> None:
    """Timeline: a worker has one task that runs and one that waits, and is told to stop softly."""
    with opened(tmp_path, broker=True, worker_soft_shutdown_timeout=GRACE, pool=pool) as stage:
        (first,) = stage.start(slots=1, options=QUICK)
        stage.send("runs", 1, "wait", name="go")
        until(lambda: stage.watch.starts("runs"), stage.describe)
        stage.send("waits", 1)
        until(lambda: begun(stage) == 2, stage.describe)
        (second,) = stage.start(options=QUICK)
        since = time.monotonic()
        os.kill(first.pid, signal.SIGQUIT)
        until(lambda: "Initiating Soft Shutdown" in first.log, lambda: first.log[-2000:])
        until(lambda: stage.watch.starts("waits"), stage.describe)
        start = stage.watch.starts("waits")[0]
        assert start["worker"] == second.hostname
        assert start["t"] < since + GRACE, "it did not have to wait for the end of that"
        (stage.directory / "go").touch()
        first.wait()  # on prefork it reads the result of what ran afterwards
        scene = Scene.ended(stage)
    scene.assert_sound("runs", "waits")
    scene.assert_nothing_left()
