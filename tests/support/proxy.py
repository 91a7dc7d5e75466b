"""A proxy in front of a server that breaks what goes through it, on command.

A reply that is lost *after* the server has acted can't be had by killing anybody: the client must not hear what was
done, and the server must have done it. The proxy lets the call through, waits for the answer, and hangs up. And it
turns connections into black holes: both ends stay open, and nothing goes through any more.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from hashlib import sha1
from types import TracebackType

from celery_groupfifo.gate import scripts

CHUNK = 65536


def sha(name: str) -> bytes:
    """Return the bytes by which a call of a script is known on the wire."""
    return sha1(scripts.source(name).encode()).hexdigest().encode()


class Proxy:
    """Listens on a port of its own, and passes everything on to another one; a context manager.

    Args:
        upstream: The server's port on 127.0.0.1.

    Attributes:
        port: To connect to.
        delay: Seconds that each chunk waits, both ways.
        closed: Whether all connections are black holes; those that are older go on when it is not so any more.
        lost: Replies that were swallowed so far.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.delay = 0.0
        self.closed = False
        self.lost = 0
        self._words: list[tuple[bytes, ...]] = []
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lose_replies(self, times: int, *names: str) -> None:
        """Swallow the next replies to scripts, and hang up instead.

        Args:
            times: How many; adds to those that are still to come.
            names: Of scripts: each reply lost is one of theirs. None: of any script.
        """
        words = tuple(sha(name) for name in names) or (b"EVALSHA",)
        with self._lock:
            self._words += [words] * times

    def forgive(self) -> None:
        """Lose nothing more, delay nothing more."""
        with self._lock:
            self._words.clear()
        self.delay = 0.0

    def swallow(self) -> int:
        """Turn the connections of this moment into black holes; later ones work. Returns how many there were."""
        links = self._now()
        for link in links:
            link.swallows = True
        return len(links)

    def cut(self) -> None:
        """Hang up on everybody, in the middle of whatever they do."""
        for link in self._now():
            link.close()

    def close(self) -> None:
        """Stop listening, and hang up."""
        with suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes whoever accepts; a close alone does not
        self._listener.close()
        self.cut()

    def _now(self) -> list[_Link]:
        with self._lock:
            return list(self._links)

    # -- for the links -----------------------------------------------------

    def loses(self, data: bytes) -> tuple[bytes, ...] | None:
        """Return the words of a call whose reply is to be lost, and count it off."""
        with self._lock:
            for words in self._words:
                if any(word in data for word in words):
                    self._words.remove(words)
                    return words
        return None

    def keeps(self, words: tuple[bytes, ...]) -> None:
        """A reply was not lost after all: the server has not acted."""
        with self._lock:
            self._words.append(words)

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
    """One connection through the proxy.

    Attributes:
        swallows: Whether it is a black hole.
    """

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._loses: tuple[bytes, ...] | None = None
        self.swallows = False
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        """Pass on, both ways."""
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Hang up on both."""
        for each in (self._client, self._server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it; a close alone does not
        self._proxy.gone(self)

    def _run(self) -> None:
        with suppress(OSError):
            self._pass_on()
        self.close()
        self._client.close()
        self._server.close()

    def _pass_on(self) -> None:
        """Until one side closes, or a reply is to be lost."""
        ends = [self._client, self._server]
        while ends:
            for ready in select.select(ends, [], [])[0]:
                data = ready.recv(CHUNK)
                if not data:
                    if ready is self._client or not self.swallows:
                        return
                    ends.remove(ready)  # the client does not hear of it
                elif not self.swallows and not self._proxy.closed:
                    self._slow()
                    if not (self._call(data) if ready is self._client else self._reply(data)):
                        return

    def _call(self, data: bytes) -> bool:
        self._loses = self._loses or self._proxy.loses(data)
        self._server.sendall(data)
        return True

    def _reply(self, data: bytes) -> bool:
        """Returns whether the link lives on."""
        words, of_transaction = self._loses, b"QUEUED" in data and b"*" not in data
        if words is None or of_transaction:  # not executed yet
            self._client.sendall(data)
            return True
        self._loses = None
        if data.startswith(b"-NOSCRIPT"):
            self._proxy.keeps(words)
            self._client.sendall(data)
            return True
        self._proxy.swallowed()
        return False

    def _slow(self) -> None:
        if self._proxy.delay:
            time.sleep(self._proxy.delay)
