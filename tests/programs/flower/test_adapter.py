"""The tab is put into Flower, and Flower starts where that is impossible."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tornado.template import DictLoader

from celery_groupfifo.flower import adapter
from celery_groupfifo.flower.outcome_counts import OutcomeCounts
from demo import crew
from demo.options import Options

NAVBAR = """<ul><li class="a"><a href="{{ reverse_url('main') }}">Main</a></li>
<li class="b{% if active_tab == 'broker' %} active{% end %}"><a
href="{{ reverse_url('broker') }}">Broker</a></li></ul>"""


def run(code: str) -> str:
    """In a process of its own; what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tab_is_made_of_flowers_own_item() -> None:
    found = adapter.with_tab(NAVBAR)
    assert (
        """<li class="b{% if active_tab == 'groups' %} active{% end %}"><a\nhref="{{ reverse_url('groups') }}">"""
        in found
    )
    assert found.count("<li") == 3 and "reverse_url('broker')" in found


def test_a_navigation_without_the_broker(caplog: pytest.LogCaptureFixture) -> None:
    navbar = NAVBAR.replace("broker", "queues")
    assert adapter.with_tab(navbar) == navbar
    assert "no Groups tab; the page is at /groups" in caplog.text


def test_another_loader_stays_first() -> None:
    both = adapter._Both(DictLoader({"a.html": "theirs"}), {"a.html": "ours", "b.html": "ours"})
    assert both.load("a.html").generate() == b"theirs" and both.load("b.html").generate() == b"ours"
    both.reset()


def test_a_part_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fails() -> None:
        raise AttributeError("no handlers here")

    monkeypatch.setattr(adapter, "PARTS", {"bad": fails, "good": lambda: done.append("good")})
    monkeypatch.setattr(adapter, "_installed", set())
    adapter.install()
    adapter.install()
    assert done == ["good"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] and "no handlers here" in caplog.text


def test_a_listener_that_fails_harms_nobody(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(state: Any, event: dict[str, Any]) -> None:
        raise ValueError(event)

    monkeypatch.setattr(adapter, "_listeners", [fails])
    client.event(type="groupfifo-finished", hostname="w", timestamp=1, local_received=1, clock=1)
    assert client.flower.events.state.counter["w"]["groupfifo-finished"] == 1


FUTURE = """
import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.ERROR)
import flower.command, flower.urls
{change}
from celery_groupfifo.flower import install
install()
settings = getattr(flower.urls, "settings", None) or settings
from flower.app import Flower
from flower.options import options
import celery
app = Flower(capp=celery.Celery(broker="memory://"), options=options, **settings)
loader = settings.get("template_loader")
tab = loader is not None and "reverse_url('groups')" in loader.dict["navbar.html"]
print("flower is there", "groups" in app.default_router.named_rules or not tab)
"""


@pytest.mark.parametrize(
    "change",
    [
        "del flower.urls.handlers",
        "settings = dict(flower.urls.settings); del flower.urls.settings",
        "import flower.views; del flower.views.BaseHandler",
        "import flower.api; del flower.api.BaseApiHandler",
    ],
)
def test_a_future_flower_starts_without_us(change: str) -> None:
    said = run(FUTURE.format(change=change))
    assert said.endswith("flower is there True\n")
    assert ("does not work with this Flower" in said and "AttributeError" in said) or "ImportError" in said


def test_other_commands_are_left_alone() -> None:
    said = run(
        "import flower.urls; before = list(flower.urls.handlers)\n"
        "import celery_groupfifo.cli\n"
        "assert flower.urls.handlers == before and 'template_loader' not in flower.urls.settings\n"
        "import sys; assert 'celery_groupfifo.flower.views' not in sys.modules; print('same')"
    )
    assert said == "same\n"


@pytest.mark.parametrize("missing", ["flower", "tornado"])
def test_without_flower_the_command_works(missing: str) -> None:
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == {missing!r}:
            raise ModuleNotFoundError(name)
from importlib.machinery import PathFinder
sys.meta_path.insert(0, Missing())
import celery_groupfifo.cli
print({missing!r} in sys.modules, sorted(celery_groupfifo.cli.groupfifo.commands)[0])
"""
    assert run(code).startswith("False ")


def test_what_was_quiet_for_longest_is_forgotten() -> None:
    outcome_counts = OutcomeCounts(most=2)
    for key in ("a", "b", "a", "c"):
        outcome_counts.take({"type": "groupfifo-finished", "key": key, "outcome": "success"})
    outcome_counts.take({"type": "groupfifo-begun", "key": "d"})
    outcome_counts.take({"type": "groupfifo-finished", "key": None, "outcome": "success"})
    assert [outcome_counts.of(key).succeeded for key in "abcd"] == [2, 0, 1, 0]


def test_the_demos_buttons_need_no_login_as_nobody_else_reaches_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[tuple[Any, ...]] = []
    monkeypatch.setattr(crew, "Process", lambda *words: started.append(words))
    demo = crew.Crew(Options(directory=tmp_path), "redis://127.0.0.1:1", "")
    demo.start_flower()
    demo.start_worker()
    (_, words, _, environment), (_, _, _, workers) = started
    assert "--address=127.0.0.1" in words and environment["FLOWER_UNAUTHENTICATED_API"] == "1"
    assert "FLOWER_UNAUTHENTICATED_API" not in workers
