"""The addresses of our pages. Each is a `url(…)`, as Flower with --url_prefix drops the arguments of plain tuples."""

from __future__ import annotations

from typing import Any

from tornado.web import StaticFileHandler, url

from celery_groupfifo.flower import act, adapter, api, letters, views


def routes() -> list[Any]:
    """Return the rules to put among Flower's handlers."""
    verbs, bulk = "|".join(act.VERBS), "|".join(act.BULK)
    return [
        url(r"/groups", views.GroupsPage, name="groups"),
        url(r"/groups/data", views.GroupsData),
        url(r"/groups/alive", views.AliveData),
        url(r"/groups/blocked", views.BlockedData, name="groups_blocked"),
        url(r"/groups/observed", views.ObservedData),
        url(r"/groups/dead-letters", views.DeadLettersPage, name="groups_letters"),
        url(r"/groups/dead-letters/data", views.DeadLettersData),
        url(r"/groups/workers", views.WorkersPage, name="groups_workers"),
        url(r"/groups/workers/data", views.WorkersData),
        url(r"/groups/actions", views.ActionsPage, name="groups_actions"),
        url(r"/groups/actions/data", views.ActionsData),
        url(r"/groups/group/(.*)", views.GroupData),
        url(r"/groups/static/(.*)", StaticFileHandler, {"path": str(adapter.STATIC)}, name="groups_static"),
        url(r"/group/(.*)", views.GroupPage, name="group"),
        url(r"/api/groups", api.GroupsHandler),
        url(r"/api/groups/summary", api.SummaryHandler),
        url(r"/api/groups/dead-letters", api.DeadLettersHandler),
        url(r"/api/groups/workers", api.WorkersHandler),
        url(r"/api/groups/observed", api.ObservedHandler),
        url(r"/api/groups/actions", api.ActionsHandler),
        url(r"/api/groups/(revoke|terminate)", api.TaskActionHandler),
        url(rf"/api/groups/({'|'.join(letters.VERBS)})", api.LettersActionHandler),
        url(rf"/api/groups/({bulk})", api.BulkActionHandler),
        url(r"/api/group/info/(.*)", api.GroupHandler),
        url(r"/api/group/tasks/(.*)", api.TasksHandler),
        url(r"/api/group/move/(.*)", api.MoveHandler),
        url(r"/api/group/limit/(.*)", api.LimitHandler),
        url(rf"/api/group/({verbs})/(.*)", api.GroupActionHandler),
    ]
