"""A proxy whose connections turn into black holes: what is written is taken, and nothing ever comes back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Hole:
    """Forwards to a port on 127.0.0.1.

    Attributes:
        port: To connect to.
        accepted: Connections so far.
        closed: Whether new connections are black holes as well.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.accepted = 0
        self.closed = False
        self._swallowed: set[int] = set()
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Turn the connections of this moment into black holes; later ones work."""
        self._swallowed |= set(range(1, self.accepted + 1))

    def cut(self) -> None:
        """Hang up on everybody."""
        _hang_up(*self._ends)

    def close(self) -> None:
        """Stop listening, and hang up."""
        _hang_up(self._listener, *self._ends)
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.accepted += 1
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(self.accepted, *pair), daemon=True).start()

    def _pump(self, number: int, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if number not in self._swallowed and not self.closed:
                    sink.sendall(data)
        if number not in self._swallowed:
            _hang_up(source, sink)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def hole(target: int) -> Iterator[Hole]:
    """Start one, and hang up at the end."""
    made = Hole(target)
    try:
        yield made
    finally:
        made.close()
