"""Fault points: a worker's main process that dies right before or right after a given call of the gate.

The process kills itself with its children, as a lost machine would: in a gap that no signal from outside would hit.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
from celery import signals

from celery_groupfifo.store import Store

#: "<script> before|after <which call of it, from 1>"
POINT = "CHAOS_POINT"


def arm() -> None:
    """Wait for the point that the environment names, if any; only in the main process of a worker."""
    point = os.environ.get(POINT)
    if point:
        name, when, count = point.split(" ")
        signals.celeryd_init.connect(lambda **_: _hook(name, when, int(count), os.getpid()), weak=False)


def _hook(name: str, when: str, count: int, main: int) -> None:
    run = Store.run
    left = [count]

    def counting(self: Store, script: str, *args: Any) -> Any:
        here = script == name and os.getpid() == main
        left[0] -= here
        if here and when == "before" and left[0] == 0:
            _end()
        reply = run(self, script, *args)
        if here and when == "after" and left[0] == 0:
            _end()
        return reply

    Store.run = counting  # type: ignore[method-assign]


def _end() -> None:
    from tests.chaos.app import note

    me = psutil.Process()
    note(ev="kill", target=[me.pid, *(child.pid for child in me.children(recursive=True))])
    os.killpg(0, signal.SIGKILL)
