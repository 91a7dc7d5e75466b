"""The last time when the gate's server may have been replaced: one value for a process and its forked children.

A server that takes over may lack the last writes. So a run that began before asks the gate whether it still counts
when it starts and when it ends; see worker/trace.py.
"""

from __future__ import annotations

import mmap
import struct

from celery_groupfifo.gate.clock import now

_TIME = struct.Struct("d")
_shared = mmap.mmap(-1, _TIME.size)


def note() -> None:
    """Note that the server may be another one from now on."""
    _TIME.pack_into(_shared, 0, now())


def last() -> float:
    """Return the time that was noted last, see `clock.now`; 0: none was."""
    noted: float = _TIME.unpack_from(_shared)[0]
    return noted
