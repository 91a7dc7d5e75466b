"""The common base of our handlers: arguments as they were sent, errors as sentences, and permissions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from tornado.escape import json_decode
from tornado.web import HTTPError

from celery_groupfifo.errors import (
    DuplicateTask,
    GateUnavailable,
    GroupFifoError,
    InvalidGroupKey,
    InvalidOption,
    InvalidSetting,
    ScriptRefused,
    UnknownGroup,
    UnknownTask,
)
from celery_groupfifo.flower import running
from celery_groupfifo.flower.board import Board
from celery_groupfifo.printing import escaping

logger = escaping(logging.getLogger(__name__))

#: The HTTP code of an error, by the first class that fits; any other refusal is a conflict with the group's state.
_CODES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], int], ...] = (
    ((GateUnavailable, InvalidSetting, ScriptRefused), 503),
    ((UnknownGroup, UnknownTask), 404),
    ((InvalidGroupKey, InvalidOption), 400),
    (DuplicateTask, 409),
    (GroupFifoError, 409),
)

_BOARD = "_groupfifo_board"


def same_origin(request: Any) -> bool:
    """Return whether a page of this very site sent a request, or no browser sent it.

    Flower itself checks that only where it asks for a login: an open Flower would obey any page in the same browser.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site:
        return bool(site == "same-origin")
    return not origin or urlsplit(origin).netloc == request.host


class GateHandler:
    """The mixin for handlers of Flower's: put it before its class."""

    application: Any
    request: Any
    #: Whether its calls wait for their part of the time, see `Board.call`.
    paced = True

    @property
    def board(self) -> Board:
        """Return the board of this Flower, made at first use."""
        board = getattr(self.application, _BOARD, None)
        if board is None:
            board = Board(running.celery_app(self.application))
            setattr(self.application, _BOARD, board)
        if board.note_visit():
            board.sampling = asyncio.ensure_future(board.keep_sampling())
        return board

    async def ask(self, do: Callable[..., Any], *args: Any) -> Any:
        """Run `do(board, *args)` in a thread.

        Returns:
            Its result.

        Raises:
            HTTPError: With the sentence of the gate's error.
        """
        board = self.board
        try:
            return await board.call(lambda: do(board, *args), self.paced)
        except GroupFifoError as error:
            code = next(code for kind, code in _CODES if isinstance(error, kind))
            raise HTTPError(code, str(error)) from error

    def word(self, name: str, default: str = "") -> str:
        """Return a parameter exactly as it was sent: Flower's own method strips it and escapes it for HTML."""
        values = self.request.query_arguments.get(name) or self.request.body_arguments.get(name)
        if not values:
            return default
        try:
            return str(values[-1].decode("utf-8"))
        except UnicodeDecodeError as error:
            raise HTTPError(400, f"{name} is not UTF-8.") from error

    def number(self, name: str, default: int, most: int = 1_000_000_000) -> int:
        """Return a parameter that is a whole number from 0 on, `most` at most."""
        text = self.word(name, str(default))
        if not text.isascii() or not text.isdigit() or len(text) > 10:
            raise HTTPError(400, f"{name}={text!r} does not work: set it to a whole number from 0 on.")
        return min(int(text), most)

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Return a parameter that is one of some words."""
        text = self.word(name, default) or default
        if text not in (*choices, default):
            raise HTTPError(400, f"{name}={text!r} does not work: set it to one of {', '.join(choices)}.")
        return text

    def letters_asked(self, most: int) -> tuple[dict[str, str], int, str, bool]:
        """Return what a request asks of dead letters: a selection, letters per page, cursor, and whether to count."""
        said = {name: self.word(name) for name in ("key", "task", "cause", "search", "older_than")}
        return said, max(self.number("limit", 100, most), 1), self.word("cursor"), self.word("count") == "1"

    def key(self, path: str) -> str:
        """Return the group's key: from the path, or from `?key=` where a path can't carry it (`.` and `..`)."""
        key = path or self.word("key")
        if not key:
            raise HTTPError(
                400, "The group's key is missing: put it behind the last slash, percent-encoded, or into ?key=."
            )
        return key

    def json_body(self) -> dict[str, Any]:
        """Return the request's body, a JSON object; an empty one when there is none."""
        if not self.request.body:
            return {}
        try:
            said = json_decode(self.request.body)
        except ValueError as error:
            raise HTTPError(400, "The body is not JSON.") from error
        if not isinstance(said, dict):
            raise HTTPError(400, "The body is not a JSON object.")
        return said

    def known(self, task_id: str) -> bool:
        """Return whether Flower has a page of a task."""
        return running.known_task(self.application, task_id) is not None


class ActionHandler(GateHandler):
    """The base of handlers that change something."""

    paced = False

    def prepare(self) -> Any:
        """Refuse requests of other sites before Flower's own checks."""
        self._refuse_others()
        return super().prepare()  # type: ignore[misc]

    def check_xsrf_cookie(self) -> None:
        """Refuse requests of other sites; tornado calls this before `prepare`."""
        self._refuse_others()
        super().check_xsrf_cookie()  # type: ignore[misc]

    def _refuse_others(self) -> None:
        if self.request.method == "POST" and not same_origin(self.request):
            raise HTTPError(403, "Cross-site request forbidden")

    def refuse_read_only(self) -> None:
        """Refuse the request where Flower was started with --read-only."""
        if running.read_only(self.application):
            raise HTTPError(403, "Read only mode is enabled")

    @property
    def by(self) -> str:
        """Return the user for the audit."""
        return f"{running.user(self)} (Flower, from {self.request.remote_ip})"


def in_path(key: str) -> str:
    """Return a key as the end of a path, see `GateHandler.key`."""
    return f"?key={quote(key, safe='')}" if key in (".", "..") else quote(key, safe="")


def shown(key: str) -> str:
    """Return a key as a page shows it: one line, with what can't be seen escaped, so that no two keys look the same."""
    return "".join(
        sign if sign.isprintable() and sign != "\\" else sign.encode("unicode_escape").decode() for sign in key
    )
