"""The databases of a session's server: whoever lives longer than a test shares none.

A worker of one test file that read the queue of another would take its tasks.
"""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Database(IntEnum):
    """By who uses it. A test that is over has left nothing running."""

    # the crews of tests/workers, which live as long as the session
    PREFORK = 1
    THREADS = 2
    GEVENT = 3
    EVENTLET = 4
    SOLO = 5
    UNTUNED = 7
    # as long as a file
    BROWSER = 14
    LOG = 12
    TLS = 10
    TLS_RESULTS = 11
    # results of all crews, and the broker where it is not the gate's: nobody waits for anything here
    RESULTS = 8
    # one test after the other
    OWN = 6
    TEST = 9
    GATE = 13
    VARIANT = 15

    def of(self, url: str) -> str:
        """Return the URL of the database on a server."""
        return f"{url}/{self.value}"
