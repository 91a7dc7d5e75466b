"""A real browser, a real Flower, a real worker: somebody opens the tab and does what operators do."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By

from celery_groupfifo import Groups
from celery_groupfifo.flower import http
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.observations import Observations, Seen, Sent
from celery_groupfifo.testing import embedded
from tests.programs.flower.conftest import HOSTILE
from tests.programs.flower.process import FlowerProcess
from tests.support.crews.workers import Crew
from tests.support.databases import Database
from tests.support.needs import need
from tests.support.places import REPOSITORY
from tests.support.waiting import until

PAGES = {"groups": "/groups", "group": "/group/instance-1%3Acustomer-4", "workers": "/groups/workers"}
SCREENSHOTS = REPOSITORY / "artifacts" / "screenshots"
#: The tables that do not fit.
WIDER = (
    "[...document.querySelectorAll('.table-responsive, .tasks-table-card')]"
    ".filter(box => box.scrollWidth > box.clientWidth).map(box => box.innerText)"
)


class Browser:
    """Chromium without a window, at one Flower."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        home = str(folder)  # whatever it writes goes there
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(word)
        self.driver = webdriver.Chrome(
            options,
            webdriver.ChromeService(shutil.which("chromedriver"), env={**os.environ, "HOME": home, "TMPDIR": home}),
        )
        self.driver.set_window_size(1400, 1000)

    def open(self, path: str) -> None:
        self.driver.get(f"http://127.0.0.1:{self.port}{path}")
        self.until("Updated")

    def find(self, css: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css: str = "body") -> str:
        try:
            return str(self.find(css).text)
        except StaleElementReferenceException:  # the page has just renewed it
            return ""

    def until(self, text: str, css: str = "body") -> None:
        """Wait until an element shows a text."""
        until(lambda: text in self.text(css), lambda: f"{text!r} is not in {self.text(css)!r}")

    def click(self, css: str) -> None:
        """Click what can be clicked, also when the page renews it just now."""
        why = ""

        def clicked() -> bool:
            nonlocal why
            try:
                self.script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", self.find(css))
                self.find(css).click()
            except WebDriverException as error:
                why = str(error.msg)
            else:
                return True
            return False

        until(lambda: self.find(css).is_enabled(), f"{css} is disabled")
        until(clicked, lambda: f"{css}: {why}")

    def script(self, code: str, *args: Any) -> Any:
        return self.driver.execute_script(code, *args)

    def keep(self, name: str) -> None:
        """A screenshot, for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    def narrow(self) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": True},
        )

    def wide(self) -> None:
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def complaints(self) -> list[str]:
        """Return the complaints of the browser's console about the pages."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def crew(redis_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    for program in ("chromium", "chromedriver"):
        need(program)
    directory = tmp_path_factory.mktemp("browser")
    more: dict[str, Any] = {"task_send_sent_event": True, "worker_send_task_events": True}
    broker, results = (each.of(redis_server.url) for each in (Database.BROWSER, Database.RESULTS))
    crew = Crew(directory, broker, results, slots=2, **more)
    crew.redis.flushdb()
    yield crew
    crew.close()


@pytest.fixture(scope="module")
def flower(crew: Crew) -> Iterator[FlowerProcess]:
    flower = FlowerProcess(crew.directory, crew.conf)
    try:
        crew.worker.start().ready()
        flower.ready()
        until(lambda: crew.redis.pubsub_numpat(), lambda: flower.log)
        yield flower
    finally:
        flower.close()


@pytest.fixture(scope="module")
def browser(flower: FlowerProcess) -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(prefix="gf-", ignore_cleanup_errors=True) as folder:  # short: of sockets, too
        browser = Browser(flower.port, Path(folder))
        yield browser
        browser.driver.quit()


def test_the_tab_pause_resume_and_skip(crew: Crew, browser: Browser) -> None:
    groups, key = Groups(crew.app), "shop-1:anna"
    crew.send(key, 0, "meet", name="first", crowd=2)
    for number in (1, 2, 3):
        crew.send(key, number)
    until(lambda: groups.get(key).state == "running")
    browser.driver.get(f"http://127.0.0.1:{browser.port}/")
    browser.click("nav a[href='/groups']")
    browser.until(key, "#gf-table")
    browser.until("running", "#gf-table")
    browser.until("one@test", "#gf-table")
    browser.click("#gf-table a.gf-key")
    browser.until("runs worker.act[", "#gf-about")
    browser.until("3", "#gf-t-tasks tbody")
    # Pause: what runs ends, and nothing more starts.
    browser.click("[data-verb=pause]")
    browser.until("3 tasks would wait", "#gf-confirm-text")
    browser.script("document.getElementById('gf-reason').value = 'look at it \u202e\\x07'")
    browser.click("#gf-confirm-yes")
    browser.until("is paused", "#toast-container")
    until(lambda: groups.get(key).state == "paused")
    crew.send("other", 9, "meet", name="first", crowd=2)
    until(lambda: not groups.get(key).running)
    crew.wait_for_runs("other", [9])
    assert crew.history.numbers(key) == [0]
    assert groups.get(key).reason == "look at it \u202e\x07"
    browser.until("because: look at it \\u202e\\x07", "#gf-about")
    browser.until("look at it \\u202e\\x07", "#gf-t-history")
    browser.until(f"{datetime.now(timezone.utc):%Y-%m-%d} ", "#gf-t-history")
    assert re.search(r"\d\d:\d\d:\d\d UTC([+-]\d\d:\d\d)?", browser.text("#gf-t-history"))
    browser.until("1 succeeded", "#gf-about")
    # Skip the head: it is the one that was shown.
    head = groups.get(key).head
    browser.until(str(head), "#gf-about")
    browser.click("[data-verb=skip]")
    browser.until(f"Take out 1 task, worker.act[{head}], the head of group '{key}'?", "#gf-confirm-title")
    browser.until("The group goes on with 2 tasks behind it", "#gf-confirm-text")
    browser.until("Arguments: ('shop-1:anna', 1, 'succeed')", "#gf-confirm-text")
    browser.keep("confirmation")
    browser.click("#gf-confirm-yes")
    browser.until("was revoked", "#toast-container")
    until(lambda: groups.get(key).head != head)
    # Resume: the rest runs, in order.
    browser.click("[data-verb=resume]")
    crew.wait_for_runs(key, [0, 2, 3])
    browser.until("is empty", "#gf-about")
    browser.until("skip", "#gf-t-history")
    assert [action.what for action in groups.actions() if action.key == key] == ["resume", "skip", "pause"]
    # Where tasks were moved to is in the history of their group.
    crew.send(key, 4, "meet", name="second", crowd=2)
    crew.send(key, 5)
    until(lambda: groups.get(key).state == "running")
    groups.move(key, "shop-1:new\nline")
    browser.until("to shop-1:new\\nline", "#gf-t-history")
    crew.send("other", 10, "meet", name="second", crowd=2)
    crew.wait_for_runs("shop-1:new\nline", [5])
    assert browser.complaints() == []


def test_a_blocked_group_is_told_and_retried(crew: Crew, browser: Browser) -> None:
    groups, key = Groups(crew.app), "shop-2:ben"
    failed = crew.send(key, 1, "stumble", name="mend", group_on_failure="block").id
    crew.send(key, 2)
    until(lambda: groups.find(failed) is not None and groups.find(failed).state == "blocked")  # type: ignore[union-attr]
    browser.open("/groups")
    browser.click("[data-state=blocked]")
    browser.until("Showing 1 to 1 of 1 groups", ".dataTables_info")
    browser.until("blocked", "#gf-table tbody")
    browser.until("1", "#gf-m-stopped")
    browser.until("ValueError: as told", "#gf-table tbody")
    browser.until("1", "#gf-tab-blocked")
    browser.click("#gf-table a.gf-key")
    browser.until(f"is blocked by the failure of worker.act[{failed}]", "#gf-about")
    browser.until("{'name': 'mend'}", "#gf-about")
    browser.until("ValueError: as told", "#gf-about .gf-traceback")
    rest = browser.text("main").replace(browser.text("#gf-about .gf-traceback"), "")
    assert rest.count("ValueError: as told") == 1, rest
    browser.keep("blocked")
    browser.driver.get(f"http://127.0.0.1:{browser.port}/tasks")
    browser.until("1", "#gf-tab-blocked")
    browser.open("/group/shop-2%3Aben")
    crew.tell("mend")
    browser.click("[data-verb=retry]")  # it destroys nothing, so nobody is asked
    crew.wait_for_runs(key, [1, 1, 2])
    browser.until("is empty", "#gf-about")
    assert browser.complaints() == []


def test_hostile_keys_are_shown_and_followed(crew: Crew, browser: Browser) -> None:
    groups = Groups(crew.app)
    for key in HOSTILE:
        groups.pause(key, "<i>why</i>", "<u>who</u>")
        crew.send(key, 1)
    browser.open("/groups")
    browser.script("$('#gf-table').DataTable().page.len(50).draw()")
    browser.until(f"Showing 1 to {len(HOSTILE)} of", ".dataTables_info")
    browser.until("<b>evil</b>", "#gf-table")
    links = "return [...document.querySelectorAll('#gf-table a.gf-key')].map(a => [a.title, a.href, a.textContent])"
    shown = browser.script(links)
    assert sorted(key for key, _, _ in shown) == sorted(HOSTILE)
    shown_as = {key: text for key, _, text in shown}
    assert shown_as["new\nline"] == "new\\nline" and len(set(shown_as.values())) == len(HOSTILE)
    for key, address, _ in shown:
        browser.driver.get(address)
        browser.until("1 task waits", "#gf-about")
        assert browser.script("return document.getElementById('gf-group').dataset.key") == key
        assert browser.text("#gf-key") == shown_as[key] == http.shown(key)
        assert "because: <i>why</i>" in browser.text("#gf-about")
    assert browser.script("return document.querySelectorAll('main b, main i, main u').length") == 0
    # Purge them all, by a selection.
    browser.open("/groups")
    browser.click("[data-state=paused]")
    browser.until(str(len(HOSTILE)), "#gf-bulk-count")
    browser.click("#gf-choose-all")
    browser.until(f"All {len(HOSTILE)} groups selected", "#gf-chosen")
    browser.click("#gf-more-verbs")
    browser.click("[data-bulk=purge]")
    browser.until(f"Revoke {len(HOSTILE)} tasks of {len(HOSTILE)} groups?", "#gf-confirm-title")
    browser.until("Selection: paused.", "#gf-confirm-text")
    assert not browser.find("#gf-confirm-yes").is_enabled(), "the number of groups is to be typed"
    browser.find("#gf-count").send_keys(str(len(HOSTILE)))
    browser.click("#gf-confirm-yes")
    browser.until(f"done to {len(HOSTILE)} of {len(HOSTILE)} groups", "#toast-container")
    for key in HOSTILE:
        groups.resume(key)
    assert browser.complaints() == []


def test_search_sort_and_pages(crew: Crew, browser: Browser) -> None:
    groups = Groups(crew.app)
    for number in range(20):
        groups.pause(f"page-{number:02}")
        for place in range(1 + number % 3):
            crew.send(f"page-{number:02}", place)
    browser.open("/groups")
    browser.until("Showing 1 to 15 of 20 groups", ".dataTables_info")
    browser.find("input[type=search]").send_keys("PAGE-1")
    browser.until("Showing 1 to 10 of 10 groups (filtered from 20 total groups)", ".dataTables_info")
    browser.click("th:nth-child(2)")
    browser.until("page-10", "#gf-table tbody tr:first-child")
    for number in range(20):
        groups.purge(f"page-{number:02}")
        groups.resume(f"page-{number:02}")
    assert browser.complaints() == []


def test_dead_letters_are_redriven(crew: Crew, browser: Browser) -> None:
    groups = Groups(crew.app)
    groups.pause("letters")
    id = crew.send("letters", 5).id
    groups.drop("letters", id, "not now")
    browser.open("/groups/dead-letters")
    browser.until("dropped not now", "#gf-t-letters")
    browser.click("#gf-t-letters [data-letter][data-to=head]")
    browser.until(f"worker.act[{id}] joins the head of group 'letters' again", "#gf-confirm-text")
    browser.click("#gf-confirm-yes")
    browser.until("No task was set aside", "#gf-t-letters")
    groups.drop("letters", id)
    later = crew.send("letters", 6).id
    groups.drop("letters", later)
    browser.until(later, "#gf-t-letters")
    browser.click("[data-letters=redrive]")
    browser.until("Redrive 2 tasks", "#gf-confirm-yes")
    browser.click("#gf-confirm-yes")
    browser.until("No task was set aside", "#gf-t-letters")
    groups.resume("letters")
    crew.wait_for_runs("letters", [5, 6])


def fail_some(crew: Crew, groups: Groups, many: int) -> None:
    """Dead letters of groups of their own: every fifth has failed, the others were dropped."""
    for number in range(many):
        key = f"letter-{number:02}"
        if number % 5 == 0:
            result = crew.send(key, number, "fail", group_on_failure="dead_letter")
            until(lambda key=key: groups.count_dead_letters(key) == 1)  # type: ignore[misc]
            result.backend = None
        else:
            groups.pause(key)
            groups.drop(key, crew.send(key, number).id, f"reason {number:02}", "anna")
            groups.resume(key)


@pytest.mark.parametrize("look", ["light", "dark", "narrow", "narrow-dark"])
def test_dead_letters_are_searched_paged_and_discarded(crew: Crew, browser: Browser, look: str) -> None:
    groups = Groups(crew.app)
    fail_some(crew, groups, 30)
    browser.open("/groups/dead-letters")
    browser.script("localStorage.setItem('flower-theme', arguments[0])", "dark" if "dark" in look else "light")
    if "narrow" in look:
        browser.narrow()
    browser.open("/groups/dead-letters")
    browser.until("Showing 25 of 30 dead letters.", "#gf-total")
    browser.until("reason 29", "#gf-t-letters article:first-child")
    browser.keep(f"dead-letters-{look}")
    browser.click("#gf-older")
    browser.until("Showing 5 of 30 dead letters.", "#gf-total")
    browser.until("letter-00", "#gf-t-letters")
    browser.click("#gf-newer")
    browser.until("Showing 25 of 30 dead letters.", "#gf-total")
    # The cause, and a traceback, which stays open while the list changes.
    browser.click("[data-cause=failed]")
    browser.until("Showing 6; there are 30 dead letters in all.", "#gf-total")
    browser.click("#gf-t-letters article:first-child summary")
    browser.until("Traceback (most recent call last)", "#gf-t-letters article:first-child pre")
    browser.keep(f"dead-letters-failed-{look}")
    groups.discard(key="letter-00")
    browser.until("Showing 5; there are 29 dead letters in all.", "#gf-total")
    browser.until("ValueError: as told", "#gf-t-letters article:first-child pre")
    assert browser.script("return document.documentElement.scrollWidth <= window.innerWidth")
    if "narrow" in look:
        heights = browser.script(
            "return [...document.querySelectorAll('#gf-t-letters button, .gf-pager button, [data-letters]')]"
            ".map(button => button.getBoundingClientRect().height)"
        )
        assert min(heights) >= 44
    # One is discarded, with a reason; then a selection.
    browser.click("#gf-t-letters article:first-child [data-letter][data-to='']")
    browser.until("Discard 1 task?", "#gf-confirm-title")
    browser.find("#gf-reason").send_keys("tested")
    browser.click("#gf-confirm-yes")
    browser.until("Showing 4; there are 28 dead letters in all.", "#gf-total")
    assert groups.actions()[0].reason == "tested"
    browser.click("[data-cause='']")
    browser.find("#gf-letters-filters [name=search]").send_keys("REASON 1")
    browser.until("Showing 8; there are 28 dead letters in all.", "#gf-total")
    browser.click("[data-letters=discard]")
    browser.until("Discard 8 tasks?", "#gf-confirm-title")
    browser.until("Selection: search REASON 1.", "#gf-confirm-text")
    browser.keep(f"dead-letters-discard-{look}")
    browser.click("#gf-confirm-yes")
    browser.until("No dead letter matches.", "#gf-t-letters")
    browser.find("#gf-letters-filters [name=search]").clear()
    browser.find("#gf-letters-filters [name=key]").send_keys("letter-29")
    browser.until("Showing 1; there are 20 dead letters in all.", "#gf-total")
    browser.wide()
    groups.discard(all=True)
    assert browser.complaints() == []


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_looks(crew: Crew, browser: Browser, look: str) -> None:
    groups = Groups(crew.app)
    for number in range(6):
        key = f"instance-1:customer-{number}"
        if number % 3 == 1:
            groups.pause(key, "the customer asked for it", "anna")
        crew.send(key, 0, "wait", name=f"look-{look}")
        for place in range(1, 3 + number):
            crew.send(key, place)
    browser.open("/groups")
    browser.script("localStorage.setItem('flower-theme', arguments[0])", "dark" if look == "dark" else "light")
    if look == "narrow":
        browser.narrow()
    until(lambda: len([group for group in groups.list() if group.running]) >= 2)
    for name, path in PAGES.items():
        browser.open(path)
        browser.until("customer-", "main")
        browser.keep(f"{name}-{look}")
        assert browser.script("return document.documentElement.scrollWidth <= window.innerWidth"), path
        assert browser.script(f"return {WIDER}") == [], "every table fits, with its buttons"
        heads = browser.script("return [...document.querySelectorAll('thead')].filter(e => e.offsetParent).length")
        assert (heads == 0) == (look == "narrow"), "cards where it is narrow"
    theme = browser.script("return document.documentElement.dataset.bsTheme")
    assert theme == ("dark" if look == "dark" else "light")
    browser.wide()
    for number in range(6):
        groups.purge(f"instance-1:customer-{number}")
        groups.resume(f"instance-1:customer-{number}")
    crew.tell(f"look-{look}")
    assert browser.complaints() == []


def test_the_gate_away_is_told_and_comes_back(crew: Crew, browser: Browser, tmp_path: Path) -> None:
    """Flower on a Redis that nobody answers at: its page says so."""
    away = FlowerProcess(tmp_path, {**crew.conf, "groupfifo_url": "redis://127.0.0.1:1/0"}).ready()
    try:
        browser.driver.get(f"http://127.0.0.1:{away.port}/groups")
        browser.until("The gate is unavailable", "#gf-status")
    finally:
        away.close()
    browser.driver.get("about:blank")
    browser.complaints()  # about this page: the next test has its own


def test_a_group_is_limited(crew: Crew, browser: Browser) -> None:
    groups, key = Groups(crew.app), "shop-limited"
    crew.send(key, 1, "wait", name="limited")
    until(lambda: groups.get(key).state == "running")
    groups.limit(key, rate="7/s")
    browser.open(f"/group/{key}")
    browser.until("runs worker.act[", "#gf-about")
    browser.click("[data-verb=limit]")
    browser.until(f"Limit group '{key}'?", "#gf-confirm-title")
    assert browser.script("return document.getElementById('gf-rate').value") == "7/s", "what counts so far"
    browser.script("document.getElementById('gf-together').value = '4'")
    browser.keep("limit")
    browser.narrow()
    browser.keep("limit-narrow")
    browser.wide()
    browser.click("#gf-confirm-yes")
    browser.until("is limited to 7/s and 4 at once", "#toast-container")
    limit = groups.get(key).limit
    assert limit is not None and (limit.rate, limit.concurrency, limit.until) == ("7/s", 4, None)
    groups.limit(key)
    crew.tell("limited")
    crew.wait_for_runs(key, [1])
    assert browser.complaints() == []


def test_what_was_observed(crew: Crew, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Groups(crew.app).gate
    told, group = Observations(gate.store, gate.keyspace), quote("instance-1:a customer with a long name-4")
    for id in ("first-of-two", "second-of-two"):  # at the same time
        told.start(Seen(Sent(told.draw(group, id), 1, group), id, id), "worker.act", False, 0)
    flower = FlowerProcess(crew.directory, {**crew.conf, "groupfifo_mode": "observe"})
    monkeypatch.setattr(browser, "port", flower.port)
    try:
        flower.ready()
        browser.open("/groups")
        browser.until("a customer with a long name", "#gf-t-observed")
        browser.until("second-o…", "#gf-t-observed")
        browser.until("In all 2 runs of 1 group, 1 of them broken: 1 overlap, 0 overtaken", "#gf-observed-total")
        assert browser.script(f"return {WIDER}") == []
        browser.keep("observed")
        browser.narrow()
        browser.until("a customer with a long name", "#gf-t-observed")
        assert browser.script(f"return {WIDER}") == []
        browser.keep("observed-narrow")
        assert browser.complaints() == []
    finally:
        browser.wide()
        flower.close()
        told.forget()
