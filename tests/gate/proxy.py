"""A proxy in front of a server that loses replies: the server acts, and the client never hears of it."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from types import TracebackType


class LossyProxy:
    """Forwards bytes; on request it cuts connections in place of the reply to a script.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        lost: Replies that it lost so far.
    """

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.lost = 0
        self._to_lose = 0
        self._ends: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def lose(self, replies: int) -> None:
        """Lose the next replies to scripts."""
        self._to_lose = replies

    def __enter__(self) -> LossyProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end in self._ends:
            with suppress(OSError):  # closed already
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._ends += [client, server]
            self._spawn(self._serve, client, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Until one side closes, or a reply is to be lost."""
        script = replied = False
        try:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is client:
                        # A big request comes in pieces: it stays one until there is a reply.
                        script = b"EVALSHA" in data or (script and not replied)
                        replied = False
                        server.sendall(data)
                        continue
                    if b"QUEUED" in data and b"*" not in data:
                        client.sendall(data)  # of a transaction that was not executed yet
                        continue
                    replied = True
                    if script and self._to_lose and not data.startswith(b"-NOSCRIPT"):
                        self._to_lose -= 1
                        self.lost += 1
                        return
                    else:
                        client.sendall(data)
        except OSError:
            return
        finally:
            client.close()
            server.close()
