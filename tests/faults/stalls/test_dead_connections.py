"""The broker's connections go dead without being closed, and the worker is told to stop.

Celery's main loop then waits for an answer on one of them. With a `socket_timeout` the wait ends, and so does the
worker: the remedy that `doctor` names.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import dying_with_us
from tests.support.places import REPOSITORY
from tests.support.proxy import Proxy
from tests.support.waiting import until

#: Seconds.
TIMEOUT = 2
#: For all connections that have to time out one after the other, on a busy machine.
WITHIN = 30.0
#: Longer than the time-out: connections that wait for messages are not taken for dead ones.
IDLE = 3 * TIMEOUT

APP = """
from celery import Celery
from celery_groupfifo import GroupFifo

app = Celery("dead", broker="{broker}")
app.conf.groupfifo_url = "{gate}"
app.conf.broker_transport_options = {{"socket_timeout": {timeout}}}
GroupFifo(app)
"""


def test_a_socket_timeout_lets_the_worker_end(tmp_path: Path) -> None:
    with embedded.start(appendonly=False) as server, Proxy(server.port) as proxy:
        broker = f"redis://127.0.0.1:{proxy.port}/0"
        (tmp_path / "dead.py").write_text(APP.format(broker=broker, gate=f"{server.url}/0", timeout=TIMEOUT))
        log = tmp_path / "log"
        words = ["-A", "dead", "worker", "-c", "1", "-l", "INFO", "--without-mingle", "--without-gossip"]
        with log.open("wb") as output:
            worker = subprocess.Popen(
                dying_with_us([sys.executable, "-m", "celery", *words]),
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            until(lambda: " ready." in log.read_text(), within=30)
            time.sleep(IDLE)
            assert "connection to broker lost" not in log.read_text().lower()
            assert proxy.swallow() > 0
            worker.send_signal(signal.SIGTERM)
            worker.wait(WITHIN)
        finally:
            worker.kill()
            worker.wait(10)
        assert "Warm shutdown" in log.read_text()
