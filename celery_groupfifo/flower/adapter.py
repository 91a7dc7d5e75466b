"""The parts of ours that are put into Flower when it starts.

Flower has no plugins. These parts of it are used: the list `flower.urls.handlers` and the dict `flower.urls.settings`,
which `Flower(...)` reads; its state of events, its Tasks page and its constructor. Each part of `PARTS` may fail by
itself: the log says why, and Flower starts without it.

Every `celery …` command loads this module. So Flower, tornado and Prometheus, which may be missing, and what needs them
are imported where they are used.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from celery.events.state import Task

from celery_groupfifo.flower import tasks
from celery_groupfifo.flower.outcome_counts import outcome_counts
from celery_groupfifo.printing import escaping

logger = escaping(logging.getLogger(__name__))

HERE = Path(__file__).parent
TEMPLATES, STATIC = HERE / "templates", HERE / "static"

#: Flower's own item for the broker in its navigation: ours is a changed copy, so it has the same look.
_BROKER_ITEM = re.compile(
    r"""<li\b[^>]*>(?:(?!</li>).)*?reverse_url\(\s*['"]broker['"]\s*\)(?:(?!</li>).)*</li>""", re.S
)
#: The count of blocked groups on our tab, on every page of Flower, and the script that keeps it.
_COUNT = (
    """ <span class="badge text-bg-danger" id="gf-tab-blocked" data-url="{{ reverse_url('groups_blocked') }}" """
    "hidden></span>"
)
_SCRIPT = """<script src="{{ reverse_url('groups_static', 'tab.js') }}" defer></script>"""
#: The first word of our workers' events, see events.py.
_OURS = "groupfifo-"

Listener = Callable[[Any, dict[str, Any]], None]
_listeners: list[Listener] = []


# -- start -----------------------------------------------------------------


def hook() -> None:
    """Have the tab installed when this process starts Flower; called by every `celery …` command.

    Flower parses tornado's options when it starts, before it reads its handlers. In other commands the options are not
    parsed, so nothing happens there, nor where Flower is not installed.
    """
    try:
        if find_spec("flower") is None or find_spec("tornado") is None:
            return
        from tornado.options import options

        options.add_parse_callback(_when_parsed)
    except Exception:  # every `celery …` command comes here, and must run whatever tornado is installed
        logger.exception("Flower has no Groups tab.")


def _when_parsed() -> None:
    if "flower.command" in sys.modules:
        install()


_installed: set[str] = set()


def install() -> None:
    """Put our parts into Flower, each once. This never raises, as that would keep Flower from starting."""
    for name, part in PARTS.items():
        if name in _installed:
            continue
        _installed.add(name)
        try:
            part()
        except Exception:  # another version of Flower may lack anything that a part needs
            logger.exception(
                "The part %r of celery-groupfifo does not work with this Flower, which starts without it.", name
            )


# -- parts -----------------------------------------------------------------


def _pages() -> None:
    """Add our addresses, before the one that answers all others with 404."""
    import flower.urls

    from celery_groupfifo.flower.routes import routes

    handlers = flower.urls.handlers
    last = next((at for at, rule in enumerate(handlers) if _pattern(rule) in (".*", ".*$")), len(handlers))
    handlers[last:last] = routes()


def _templates() -> None:
    """Add our templates beside Flower's, and the tab in its navigation."""
    import flower.urls
    from tornado.template import DictLoader

    if not any(getattr(rule, "name", None) == "groups" for rule in flower.urls.handlers):
        raise LookupError("There are no pages of groups for a tab to lead to.")
    settings = flower.urls.settings
    before = settings.get("template_loader")
    folders = [] if before else [Path(settings["template_path"])]
    found = {file.name: file.read_text("utf-8") for folder in [*folders, TEMPLATES] for file in folder.glob("*.html")}
    if "navbar.html" in found:
        found["navbar.html"] = with_tab(found["navbar.html"])
    settings["template_loader"] = _Both(before, found) if before else DictLoader(found)


def with_tab(navbar: str) -> str:
    """Return Flower's navigation with our tab behind the broker's."""
    item = _BROKER_ITEM.search(navbar)
    if item is None:
        logger.warning("This Flower's navigation has no item for the broker: no Groups tab; the page is at /groups.")
        return navbar
    ours = item.group().replace("broker", "groups").replace("Broker", "Groups")
    ours = ours.replace("</a>", f"{_COUNT}</a>", 1).replace("</li>", f"{_SCRIPT}</li>", 1)
    return navbar[: item.end()] + "\n        " + ours + navbar[item.end() :]


class _Both:
    """A template loader over one that is set already, with our templates behind it."""

    def __init__(self, first: Any, ours: dict[str, str]) -> None:
        from tornado.template import DictLoader

        self._first, self._ours = first, DictLoader(ours)

    def load(self, name: str, parent_path: str | None = None) -> Any:
        """Return the template of a name."""
        try:
            return self._first.load(name, parent_path)
        except (KeyError, OSError):
            return self._ours.load(name, parent_path)

    def reset(self) -> None:
        """Forget the compiled templates."""
        self._first.reset()
        self._ours.reset()


def _events() -> None:
    """Call the listeners of `on_event` with our workers' events, in Flower's own loop."""
    from flower.events import EventsState

    original = EventsState.event

    def event(self: Any, event: dict[str, Any]) -> None:
        original(self, event)
        if str(event.get("type")).startswith(_OURS):
            for listener in _listeners:
                try:
                    listener(self, event)
                except Exception:  # an event may hold anything, and Flower's own loop must go on
                    logger.exception("An event of a worker could not be handled.")

    EventsState.event = event


def _counts() -> None:
    """Count the ends of runs by group."""
    on_event(lambda _, event: outcome_counts.take(event))


def _tasks() -> None:
    """Add the group of each task, and the state of tasks that were revoked at the gate."""
    from flower.options import default_options
    from flower.views.tasks import TASK_COLUMNS

    usual = default_options._options["tasks-columns"].default
    shown = tasks.extend(Task, TASK_COLUMNS, usual)
    if default_options.tasks_columns == usual:  # else the user has chosen the columns
        default_options.tasks_columns = shown
    on_event(tasks.take)


def _metrics() -> None:
    """Add the gate's metrics when a Flower is made, as its Celery app is known then."""
    from flower.app import Flower

    original = Flower.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        try:
            from celery_groupfifo.flower import metrics

            metrics.install(self.capp)
        except Exception:  # the library may be missing, or its registry hold the names: Flower starts all the same
            logger.exception("This Flower has no metrics of celery-groupfifo.")

    Flower.__init__ = init


def on_event(listener: Listener) -> None:
    """Call `listener(state, event)` for each `groupfifo-*` event that Flower receives."""
    _listeners.append(listener)


#: The parts that are put into Flower, in this order. A new part is a function with a line here.
PARTS: dict[str, Callable[[], None]] = {
    "pages": _pages,
    "templates": _templates,
    "events": _events,
    "counts": _counts,
    "tasks": _tasks,
    "metrics": _metrics,
}


def _pattern(rule: Any) -> str:
    if isinstance(rule, tuple):
        return str(rule[0])
    return str(getattr(getattr(rule, "regex", None), "pattern", ""))
