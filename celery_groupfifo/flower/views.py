"""The pages, and the data of their tables. A page itself asks no gate: it comes up while Redis is away, and says so."""

from __future__ import annotations

from typing import Any

from tornado.escape import json_encode
from tornado.web import authenticated

from celery_groupfifo.flower import act, data, letters, running
from celery_groupfifo.flower.http import GateHandler, in_path, shown
from celery_groupfifo.groups.listing import STATES
from celery_groupfifo.groups.view import CAUSES
from celery_groupfifo.sending.observe import observes

_Page = running.PageHandler

#: Rows per page, at most.
MOST = 500
#: Groups in the table of observe mode.
OBSERVED = 50


class BasePage(GateHandler, _Page):  # type: ignore[misc, valid-type, unused-ignore]
    """The base of our pages. `name` is in the names of its template and of its element."""

    name = ""

    @authenticated
    def get(self) -> None:
        """Answer with the page, without its data."""
        self.show()

    def show(self, **more: Any) -> None:
        """Render the page with the values that every template needs."""
        base = str(self.reverse_url("groups"))
        page = {
            "name": self.name,
            "base": base,
            "group": self.reverse_url("group", "").rstrip("/") + "/",
            "prefix": base[: -len("/groups")],
            "read_only": running.read_only(self.application),
            "barred": running.barred(self),
            "observes": observes(running.celery_app(self.application)),
            "autorefresh": running.autorefresh(self.application),
            "questions": json_encode(act.QUESTIONS),
            "bulk": act.BULK,
        }
        self.render(f"groupfifo_{self.name}.html", page=page, states=STATES, **more)


class GroupsPage(BasePage):
    """The page of all groups."""

    name = "groups"


class DeadLettersPage(BasePage):
    """The page of dead letters."""

    name = "letters"

    @authenticated
    def get(self) -> None:
        """Answer with the page, without its data."""
        self.show(causes=CAUSES)


class WorkersPage(BasePage):
    """The page of workers and their leases."""

    name = "workers"


class ActionsPage(BasePage):
    """The page of operators' actions."""

    name = "actions"


class GroupPage(BasePage):
    """The page of one group."""

    name = "group"

    @authenticated
    def get(self, path: str) -> None:
        """Answer with the page of a group; also of an empty one, which may be paused, or have a history."""
        key = self.key(path)
        self.show(key=key, shown=shown(key), in_path=in_path(key))


# -- data ------------------------------------------------------------------


class BaseData(GateHandler, _Page):  # type: ignore[misc, valid-type, unused-ignore]
    """The base of handlers for a page's data. Unlike those of /api they need no flag, only Flower's login."""

    def link(self, tasks: Any) -> None:
        """Mark the tasks that Flower has a page of, and add the names it knows."""
        for task in tasks:
            known = running.known_task(self.application, task["task_id" if "task_id" in task else "id"])
            task["known"] = known is not None
            if known is not None and not task.get("task"):
                task["task"] = known.name or ""


class GroupsData(BaseData):
    """The data of the groups' table, as DataTables asks for it."""

    @authenticated
    async def get(self) -> None:
        """Answer with rows, counts, and the numbers of the cards."""
        found = await self.ask(
            data.groups,
            self.word("search"),
            self.choice("state", STATES, ""),
            self.choice("sort", data.SORTS, "depth"),
            self.choice("order", ("asc", "desc"), "desc") == "desc",
            self.number("start", 0),
            self.number("length", 25, MOST),
            False,
        )
        for group in found["groups"]:
            self.link(group["running"])
        summary = await self.ask(data.summary, False)
        self.write(
            {
                "draw": self.number("draw", 0),
                "data": found["groups"],
                "recordsTotal": found["total"],
                "recordsFiltered": found["matched"],
                "depth": found["depth"],
                "running": found["running"],
                "summary": summary,
            }
        )
        self.board.renew_fleet()

    post = get


class AliveData(BaseData):
    """The sign that the gate answers, which open pages ask for every second."""

    @authenticated
    async def get(self) -> None:
        """Answer with `away`: why the gate does not answer, or nothing. It never waits for long."""
        self.write({"away": await self.board.away()})


class BlockedData(BaseData):
    """The count on the tab of every page of Flower."""

    @authenticated
    async def get(self) -> None:
        """Answer with the number of blocked groups."""
        self.write(await self.ask(data.blocked))


class GroupData(BaseData):
    """The data of one group."""

    @authenticated
    async def get(self, path: str) -> None:
        """Answer with all data of its page."""
        limit, offset = self.number("limit", 50, MOST), self.number("offset", 0)
        found = await self.ask(data.group, self.key(path), max(limit, 1), offset, self.word("ask_workers") == "1")
        for name in ("running", "tasks", "scheduled", "failures", "dead_letters"):
            self.link(found[name])
        if found["head"]:
            self.link([found["head"]])
            if not found["head"]["traceback"] and found["group"]["state"] == "blocked":
                known = running.known_task(self.application, found["head"]["task_id"])
                found["head"]["traceback"] = str(getattr(known, "traceback", "") or "")
        for failure in found["failures"]:
            known = running.known_task(self.application, failure["task_id"])
            failure["exception"] = str(getattr(known, "exception", "") or "")
        self.write(found)


class DeadLettersData(BaseData):
    """The data of the dead letters' page."""

    @authenticated
    async def get(self) -> None:
        """Answer with a page of them; parameters as those of /api/groups/dead-letters."""
        found = await self.ask(letters.page, *self.letters_asked(MOST))
        self.link(found["dead_letters"])
        self.write(found)


class ObservedData(BaseData):
    """The data of the table of observe mode."""

    @authenticated
    async def get(self) -> None:
        """Answer with the report."""
        self.write(await self.ask(data.observed, OBSERVED))


class WorkersData(BaseData):
    """The data of the workers' page."""

    @authenticated
    async def get(self) -> None:
        """Answer with workers that answer, that Flower knows, or that hold leases."""
        found = await self.ask(data.workers)
        self.link(found["leases"])
        known = dict(running.workers(self.application))
        for worker in found["workers"]:
            worker["known"] = worker["name"] in known
        self.write(found)


class ActionsData(BaseData):
    """The data of the actions' page."""

    @authenticated
    async def get(self) -> None:
        """Answer with the newest ones."""
        self.write(await self.ask(data.actions, max(self.number("limit", 200, 1000), 1)))
