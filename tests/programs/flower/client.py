"""Flower in this process, with its loop in a thread, and requests to it as a script or a browser sends them."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

from celery import Celery
from flower import urls
from flower.app import Flower
from flower.events import Events
from flower.options import options
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets


class Answer:
    """An answer of Flower."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.text = status, headers, body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def __repr__(self) -> str:
        return f"{self.status}: {self.text[:500]}"


class Client:
    """A Flower that looks at an app, without asking its workers.

    Args:
        app: The app.
        **more: Options of Flower.
    """

    def __init__(self, app: Celery, **more: Any) -> None:
        self._before = {name: getattr(options, name) for name in more}
        for name, value in more.items():
            setattr(options, name, value)
        self._app, self._up = app, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._up.wait(60)

    def _run(self) -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        self.loop = IOLoop.current()
        events = Events(self._app, self.loop, enable_events=False, max_tasks_in_memory=100, max_workers_in_memory=10)
        settings = {**urls.settings, "cookie_secret": "secret"}
        self.flower = Flower(options=options, capp=self._app, events=events, io_loop=self.loop, **settings)
        sockets = bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        server = HTTPServer(self.flower)
        server.add_sockets(sockets)
        self.loop.add_callback(self._up.set)
        self.loop.start()
        server.stop()
        self.flower.executor.shutdown(wait=False)

    def close(self) -> None:
        """Stop it, and set the options back."""
        self.loop.add_callback(self.loop.stop)
        self._thread.join(60)
        for name, value in self._before.items():
            setattr(options, name, value)

    def request(
        self, method: str, path: str, said: Any = None, headers: dict[str, str] | None = None, user: str = ""
    ) -> Answer:
        """One request; `user` is name:password, `said` a body that becomes JSON."""
        sent = dict(headers or {})
        if user:
            sent["Authorization"] = "Basic " + b64encode(user.encode()).decode()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            body = None if said is None else said if isinstance(said, bytes) else json.dumps(said).encode()
            connection.request(method, path, body, sent)
            reply = connection.getresponse()
            return Answer(reply.status, dict(reply.getheaders()), reply.read())
        finally:
            connection.close()

    def get(self, path: str, user: str = "", **query: Any) -> Answer:
        return self.request("GET", path + ("?" + urlencode(query) if query else ""), user=user)

    def post(self, path: str, said: Any = None, **more: Any) -> Answer:
        return self.request("POST", path, {} if said is None else said, **more)

    def event(self, **event: Any) -> None:
        """Let Flower receive an event of a worker."""
        taken: Any = threading.Event()
        self.loop.add_callback(lambda: (self.flower.events.state.event(event), taken.set()))
        assert taken.wait(60)
