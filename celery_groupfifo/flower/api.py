"""The JSON API, in the style of Flower's own: it needs a login, or FLOWER_UNAUTHENTICATED_API. See docs/flower.md."""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError, authenticated

from celery_groupfifo.flower import act, act_on_task, data, letters, running
from celery_groupfifo.flower.http import ActionHandler, GateHandler
from celery_groupfifo.groups.listing import STATES
from celery_groupfifo.groups.view import count

_Api = running.ApiHandler

#: Groups per answer at most.
MOST = 1000
#: Groups per turn in a thread, and of a verb that takes many at a time.
TURN, MANY = 100, {"purge": 1000}


class ReadHandler(GateHandler, _Api):  # type: ignore[misc, valid-type, unused-ignore]
    """The base of handlers that only read."""


class GroupsHandler(ReadHandler):
    """The handler of GET /api/groups."""

    @authenticated
    async def get(self) -> None:
        """Answer with groups; parameters `search`, `state`, `sort`, `order` (asc, desc), `offset`, `limit`."""
        found = await self.ask(
            data.groups,
            self.word("search"),
            self.choice("state", STATES, ""),
            self.choice("sort", data.SORTS, "depth"),
            self.choice("order", ("asc", "desc"), "desc") == "desc",
            self.number("offset", 0),
            self.number("limit", 100, MOST),
        )
        self.write(found)


class SummaryHandler(ReadHandler):
    """The handler of GET /api/groups/summary."""

    @authenticated
    async def get(self) -> None:
        """Answer with counts, throughput, and queues that no worker consumes."""
        await self.ask(lambda board: board.fleet())
        self.write(await self.ask(data.summary))


class DeadLettersHandler(ReadHandler):
    """The handler of GET /api/groups/dead-letters."""

    @authenticated
    async def get(self) -> None:
        """Answer with dead letters: `key`, `task`, `cause`, `search`, `older_than`, `limit`, `cursor`, `count` (1)."""
        self.write(await self.ask(letters.page, *self.letters_asked(MOST)))


class WorkersHandler(ReadHandler):
    """The handler of GET /api/groups/workers."""

    @authenticated
    async def get(self) -> None:
        """Answer with workers, their queues and leases."""
        self.write(await self.ask(data.workers))


class ObservedHandler(ReadHandler):
    """The handler of GET /api/groups/observed."""

    @authenticated
    async def get(self) -> None:
        """Answer with what observe mode has counted; parameter `limit`, of groups."""
        self.write(await self.ask(data.observed, max(self.number("limit", 100, MOST), 1)))


class ActionsHandler(ReadHandler):
    """The handler of GET /api/groups/actions."""

    @authenticated
    async def get(self) -> None:
        """Answer with the actions of operators; parameter `limit`."""
        self.write(await self.ask(data.actions, max(self.number("limit", 100, MOST), 1)))


class GroupHandler(ReadHandler):
    """The handler of GET /api/group/info/KEY."""

    @authenticated
    async def get(self, path: str) -> None:
        """Answer with one group; 404 when it is empty."""
        found = await self.ask(data.group, self.key(path), 50, 0, True)
        if found["group"] is None:
            raise HTTPError(404, found["sentence"])
        self.write(found)


class TasksHandler(ReadHandler):
    """The handler of GET /api/group/tasks/KEY."""

    @authenticated
    async def get(self, path: str) -> None:
        """Answer with the tasks in line, in order; parameters `limit`, `offset`."""
        limit = max(self.number("limit", 100, MOST), 1)
        self.write(await self.ask(data.tasks, self.key(path), limit, self.number("offset", 0)))


class GroupActionHandler(ActionHandler, _Api):  # type: ignore[misc, valid-type, unused-ignore]
    """The handler of POST /api/group/VERB/KEY."""

    @authenticated
    async def post(self, verb: str, path: str) -> None:
        """Run an action; the body is JSON: `reason`, and for skip and drop `expected`, the id of the head."""
        self.refuse_read_only()
        self.write(await self.ask(act.act_on_group, verb, self.key(path), self.json_body(), self.by))


class MoveHandler(ActionHandler, _Api):  # type: ignore[misc, valid-type, unused-ignore]
    """The handler of POST /api/group/move/KEY."""

    @authenticated
    async def post(self, path: str) -> None:
        """Move a group's parked tasks; the body is JSON: `to`, `reason`."""
        self.refuse_read_only()
        self.write(await self.ask(act.move, self.key(path), self.json_body(), self.by))


class LimitHandler(ActionHandler, _Api):  # type: ignore[misc, valid-type, unused-ignore]
    """The handler of POST /api/group/limit/KEY."""

    @authenticated
    async def post(self, path: str) -> None:
        """Set a group's limits; the body is JSON: `rate`, `concurrency`, `expires_in`, `reason`."""
        self.refuse_read_only()
        self.write(await self.ask(act.limit, self.key(path), self.json_body(), self.by))


class BulkActionHandler(ActionHandler, _Api):  # type: ignore[misc, valid-type, unused-ignore]
    """The handler of POST /api/groups/VERB."""

    @authenticated
    async def post(self, verb: str) -> None:
        """Run an action on many groups; the body is JSON: `keys`, or `search`, `state` and `count`; and `reason`."""
        self.refuse_read_only()
        said = self.json_body()
        keys: list[str] = await self.ask(act.select_keys, said)
        done = 0
        errors: list[str] = []
        turn = MANY.get(verb, TURN)
        for start in range(0, len(keys), turn):  # in turns, so that other requests are served meanwhile
            more, why = await self.ask(act.act_on_groups, verb, keys[start : start + turn], said, self.by)
            done, errors = done + more, errors + why
        sentence = f"{verb}: done to {done} of {len(keys)} groups."
        answer: dict[str, Any] = {"sentence": sentence, "done": done, "matched": len(keys)}
        self.write({**answer, "refused": len(errors), "errors": errors[: act.ERRORS]})


class TaskActionHandler(ActionHandler, _Api):  # type: ignore[misc, valid-type, unused-ignore]
    """The handler of POST /api/groups/revoke and /api/groups/terminate."""

    @authenticated
    async def post(self, verb: str) -> None:
        """End one task; the body is JSON: `id`, and for terminate `reason`."""
        self.refuse_read_only()
        do = {"revoke": act_on_task.revoke, "terminate": act_on_task.terminate}[verb]
        self.write(await self.ask(do, self.json_body(), self.by))


class LettersActionHandler(ActionHandler, _Api):  # type: ignore[misc, valid-type, unused-ignore]
    """The handler of POST /api/groups/redrive and /api/groups/discard."""

    @authenticated
    async def post(self, verb: str) -> None:
        """Redrive or discard dead letters; the body is JSON, see docs/reference/json-api.md."""
        self.refuse_read_only()
        said = self.json_body()
        if "id" in said:
            self.write(await self.ask(letters.act_on_one, verb, said, self.by))
            return
        refs: list[str] = await self.ask(letters.refs_of, said)
        done = 0
        errors: list[str] = []
        for some in await self.ask(lambda board: list(letters.turns(refs, said))):
            more, why = await self.ask(letters.act_on_some, verb, some, said, self.by)
            done, errors = done + more, errors + why
        sentence = f"{verb}: done to {done} of {count(len(refs), 'dead letter')}."
        answer: dict[str, Any] = {"sentence": sentence, "done": done, "matched": len(refs)}
        self.write({**answer, "refused": len(errors), "errors": errors[: act.ERRORS]})
