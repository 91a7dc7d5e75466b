"""Servers that are no Redis, or an old one: they say what a test lets them say."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

INFO = b"# Server\r\nredis_version:5.0.14\r\nredis_mode:standalone\r\n"


@contextmanager
def answering(answers: dict[bytes, bytes], other: bytes) -> Iterator[int]:
    """A server that says what it was told; yields its port."""

    def serve(client: socket.socket) -> None:
        with suppress(OSError), client:
            while words := client.recv(65536):
                for command in re.split(rb"\r\n(?=\*\d+\r\n\$)", words):
                    client.sendall(next((said for word, said in answers.items() if word in command), other))

    def accept() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])


def old_redis() -> AbstractContextManager[int]:
    """A server that knows no script and says that it is Redis 5.0.14."""
    answers = {b"GET": b"$-1\r\n", b"EVALSHA": b"-NOSCRIPT No matching script.\r\n"}
    answers[b"INFO"] = b"$%d\r\n%b\r\n" % (len(INFO), INFO)
    return answering(answers, b"+OK\r\n")
