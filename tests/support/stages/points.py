"""Fault points: a worker's main process that dies right before or right after a given call of the gate.

The process kills itself with its children, as a lost machine would: in a gap that no signal from outside would hit.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from typing import Any

import psutil
from celery import signals

from celery_groupfifo.gate import scripts
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.gate.store import Store

#: "<script> before|after <which call of it, from 1>"
POINT = "CHAOS_POINT"


def arm() -> None:
    """Wait for the point that the environment names, if any; only in the main process of a worker."""
    point = os.environ.get(POINT)
    if point:
        name, when, count = point.split(" ")
        signals.celeryd_init.connect(lambda **_: _hook(name, when, int(count), os.getpid()), weak=False)


def _hook(name: str, when: str, count: int, main: int) -> None:
    """Both ways of a call: one that is waited for, and one that goes out on a line and is answered later."""
    run, send, read = Store.run, Pipelined.send, Pipelined.read
    left = {"before": count, "after": count}
    names = {scripts.sha(script): script for script in scripts.NAMES}
    sent: deque[str] = deque()

    def passed(script: str, moment: str) -> None:
        if script == name and os.getpid() == main:
            left[moment] -= 1
            if moment == when and left[moment] <= 0:
                _end()

    def running(self: Store, name: str, *args: Any, **more: Any) -> Any:
        passed(name, "before")
        reply = run(self, name, *args, **more)
        passed(name, "after")
        return reply

    def sending(self: Pipelined, commands: Any) -> bool:
        called = [names[command[1]] for command in commands]
        for script in called:
            passed(script, "before")
        sent.extend(called)
        return send(self, commands)

    def reading(self: Pipelined) -> Any:
        replies = read(self)
        for _ in replies:
            passed(sent.popleft(), "after")
        return replies

    Store.run = running  # type: ignore[method-assign]
    Pipelined.send, Pipelined.read = sending, reading  # type: ignore[method-assign]


def _end() -> None:
    from tests.support.stages.app import note

    me = psutil.Process()
    note(ev="kill", target=[me.pid, *(child.pid for child in me.children(recursive=True))])
    os.killpg(0, signal.SIGKILL)
