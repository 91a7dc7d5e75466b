"""A proxy in front of Redis that breaks what goes through it, on command.

A reply that is lost *after* the server has acted can't be had by killing anybody: the client must not hear what was
done, and the server must have done it. The proxy lets the call through, waits for the answer, and hangs up.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha1

from celery_groupfifo import scripts

CHUNK = 65536


def sha(name: str) -> bytes:
    """How a call of a script is known on the wire."""
    return sha1(scripts.source(name).encode()).hexdigest().encode()


class Proxy:
    """Listens on a port of its own, and passes everything on to another one.

    Args:
        upstream: The server's port on 127.0.0.1.

    Attributes:
        port: To connect to.
        delay: Seconds that each chunk waits, both ways.
        lost: Replies that were swallowed so far.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.delay = 0.0
        self.lost = 0
        self._words: list[bytes] = []
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def lose_replies(self, times: int, *names: str) -> None:
        """Swallow the next replies to a script, and hang up instead.

        Args:
            times: How many; adds to those that are still to come.
            names: Of scripts: each reply lost is one of theirs.
        """
        with self._lock:
            self._words += [b"|".join(sha(name) for name in names)] * times

    @property
    def pending(self) -> int:
        """Replies that are still to be lost."""
        return len(self._words)

    def forgive(self) -> None:
        """Lose nothing more, delay nothing more."""
        with self._lock:
            self._words.clear()
        self.delay = 0.0

    def cut(self) -> None:
        """Hang up on everybody, in the middle of whatever they do."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()

    def close(self) -> None:
        """Stop listening, and hang up."""
        self._listener.close()
        self.cut()

    # -- for the links -----------------------------------------------------

    def loses(self, data: bytes) -> bool:
        """Whether the reply to this call is to be lost; counts it."""
        with self._lock:
            for word in self._words:
                if any(each in data for each in word.split(b"|")):
                    self._words.remove(word)
                    return True
        return False

    def swallowed(self) -> None:
        """A reply is lost."""
        with self._lock:
            self.lost += 1

    def gone(self, link: _Link) -> None:
        """A link is closed."""
        with self._lock:
            self._links.discard(link)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = _Link(self, client, server)
            with self._lock:
                self._links.add(link)
            link.start()


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._loses = False
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        """Pass on, both ways."""
        for way in (self._calls, self._replies):
            threading.Thread(target=self._guarded, args=(way,), daemon=True).start()

    def close(self) -> None:
        """Hang up on both."""
        for each in (self._client, self._server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes whoever reads from it; a close alone does not
            each.close()
        self._proxy.gone(self)

    def _guarded(self, way: Callable[[], None]) -> None:
        with suppress(OSError):
            way()
        self.close()

    def _calls(self) -> None:
        while data := self._client.recv(CHUNK):
            self._slow()
            if self._proxy.loses(data):
                self._loses = True
            self._server.sendall(data)

    def _replies(self) -> None:
        while data := self._server.recv(CHUNK):
            self._slow()
            if self._loses:  # the server has acted
                self._proxy.swallowed()
                return
            self._client.sendall(data)

    def _slow(self) -> None:
        if self._proxy.delay:
            time.sleep(self._proxy.delay)
