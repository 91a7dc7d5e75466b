"""A real browser: groups and tasks are put right from the page, and no button acts on what may be old."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.testing import embedded
from tests.programs.flower.process import FlowerProcess
from tests.programs.flower.test_browser import Browser, browser, crew, flower
from tests.support.crews.workers import Crew
from tests.support.waiting import until

__all__ = ["browser", "crew", "flower"]  # the fixtures

#: Seconds until the page says that Redis is away, with those that a busy machine may take.
TOLD, BUSY = 3.0, 3.0


def reason(browser: Browser, css: str) -> str:
    """Return why a button is disabled; empty: it is not."""
    return str(browser.script("let b = document.querySelector(arguments[0]); return b.disabled ? b.title : ''", css))


def leave(browser: Browser) -> None:
    """Leave a page before its Flower ends."""
    browser.driver.get("about:blank")


def test_chosen_groups_and_all(crew: Crew, browser: Browser) -> None:
    groups = Groups(crew.app)
    for number in range(3):
        groups.pause(f"chosen-{number}")
        crew.send(f"chosen-{number}", 0)
    browser.open("/groups")
    browser.until("chosen-2", "#gf-table")
    browser.until("Nothing selected", "#gf-chosen")
    assert reason(browser, "[data-bulk=resume]") == "Select groups first."
    assert not browser.find("[data-bulk=purge]").is_displayed()
    for number in (0, 2):
        browser.click(f"[data-choose=chosen-{number}]")
    browser.until("2 groups selected", "#gf-chosen")
    browser.click("[data-bulk=resume]")
    browser.until("Resume 2 groups?", "#gf-confirm-title")
    browser.until("Selection: chosen-0, chosen-2.", "#gf-confirm-text")
    browser.click("#gf-confirm-yes")
    browser.until("done to 2 of 2 groups", "#toast-container")
    browser.until("Nothing selected", "#gf-chosen")
    for number in (0, 2):
        crew.wait_for_runs(f"chosen-{number}", [0])
    assert [group.key for group in groups.list(state="paused")] == ["chosen-1"]
    browser.find("input[type=search]").send_keys("chosen")
    browser.until("Showing 1 to 1 of 1 groups", ".dataTables_info")
    browser.click("#gf-choose-all")
    browser.click("[data-bulk=resume]")
    browser.until("Resume 1 group?", "#gf-confirm-title")
    assert reason(browser, "#gf-confirm-yes") == "Type 1 first."
    browser.find("#gf-count").send_keys("1")
    browser.click("#gf-confirm-yes")
    crew.wait_for_runs("chosen-1", [0])
    assert browser.complaints() == []


def test_tasks_are_revoked_terminated_and_moved(crew: Crew, browser: Browser) -> None:
    groups, key = Groups(crew.app), "hangs"
    runs = crew.send(key, 0, "wait", name="never")
    revoked, *_ = [crew.send(key, number) for number in (1, 2, 3)]
    until(lambda: groups.get(key).running)
    browser.open("/groups")
    browser.find("input[type=search]").send_keys(revoked.id)
    browser.until("hangs", "#gf-table")
    browser.until("Showing 1 to 1 of 1 groups", ".dataTables_info")
    browser.click("#gf-table a.gf-key")
    browser.until("3 tasks wait behind it", "#gf-about")
    assert reason(browser, "[data-verb=skip]") == "Its head runs: terminate it instead."
    assert "Skip head: Its head runs" in str(browser.script("return document.getElementById('gf-whys').textContent"))
    browser.click(f"[data-task-verb=revoke][data-id='{revoked.id}']")
    browser.until(f"Revoke 1 task, worker.act[{revoked.id}], of group 'hangs'?", "#gf-confirm-title")
    browser.until("Arguments: ('hangs', 1, 'succeed')", "#gf-confirm-text")
    browser.click("#gf-confirm-yes")
    browser.until("2 tasks wait behind it", "#gf-about")
    crew.state(revoked, "REVOKED")
    groups.pause("elsewhere")
    browser.click("[data-verb=move]")
    browser.until("Move the tasks in line of group 'hangs' to another group?", "#gf-confirm-title")
    assert reason(browser, "#gf-confirm-yes") == "Give the key of the other group first."
    browser.find("#gf-to").send_keys("elsewhere")
    browser.click("#gf-confirm-yes")
    browser.until("2 tasks of group 'hangs' were moved to 'elsewhere'", "#toast-container")
    assert groups.get("elsewhere").depth == 2
    browser.click("[data-task-verb=terminate]")
    browser.until(f"Terminate the run of worker.act[{runs.id}]?", "#gf-confirm-title")
    browser.click("#gf-confirm-yes")
    browser.until("is empty", "#gf-about")
    crew.state(runs, "REVOKED")
    browser.until("terminate", "#gf-t-history")
    # The page's reads are not of one moment: the next ones agree.
    until(lambda: reason(browser, "[data-verb=pause]") == "The group holds no task.")
    groups.purge("elsewhere")
    groups.resume("elsewhere")
    assert browser.complaints() == []


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL], ids=["hangs", "is gone"])
def test_a_redis_that_goes_away_is_told_and_nothing_acts(
    crew: Crew, browser: Browser, tmp_path: Path, fault: signal.Signals
) -> None:
    with embedded.start() as gate:
        conf = {**crew.conf, "groupfifo_url": f"{gate.url}/0"}
        app = crew.app.__class__("here", broker=conf["broker_url"], set_as_current=False)
        app.conf.groupfifo_url = conf["groupfifo_url"]
        Groups(app).pause("kept", "for a look")
        away = FlowerProcess(tmp_path, conf).ready()
        try:
            browser.driver.get(f"http://127.0.0.1:{away.port}/groups")
            browser.until("kept", "#gf-table")
            assert browser.text("#gf-away") == "" and reason(browser, "[data-row-verb]") == ""
            os.kill(gate.pid or 0, fault)
            assert until(lambda: "Redis does not answer" in browser.text("#gf-away")) < TOLD + BUSY
            assert "What is shown is of " in browser.text("#gf-away") and "kept" in browser.text("#gf-table")
            assert "Redis does not answer" in reason(browser, "[data-row-verb]")
            grey = "return getComputedStyle(document.querySelector('#gf-table')).filter"
            assert browser.script(grey) == "grayscale(1)"
            browser.keep("away")
            if fault == signal.SIGSTOP:
                os.kill(gate.pid or 0, signal.SIGCONT)
                until(lambda: browser.text("#gf-away") == "" and reason(browser, "[data-row-verb]") == "")
                assert browser.script(grey) == "none"
        finally:
            leave(browser)
            away.close()
    browser.complaints()  # those about requests that were not answered


def test_without_a_login_buttons_say_what_they_need(crew: Crew, browser: Browser, tmp_path: Path) -> None:
    groups = Groups(crew.app)
    groups.pause("kept")
    closed = FlowerProcess(tmp_path, crew.conf, open_api=False).ready()
    try:
        browser.driver.get(f"http://127.0.0.1:{closed.port}/groups")
        browser.until("kept", "#gf-table")
        browser.until("Buttons are disabled. Actions need a login: start Flower with --basic_auth", "#gf-barred")
        browser.click("[data-choose=kept]")
        browser.until("1 group selected", "#gf-chosen")
        for button in ("[data-row-verb]", "[data-bulk=pause]"):
            assert reason(browser, button).startswith("Actions need a login"), button
        browser.driver.get(f"http://127.0.0.1:{closed.port}/group/kept")
        browser.until("is paused", "#gf-about")
        assert reason(browser, "[data-verb=resume]").startswith("Actions need a login")
    finally:
        leave(browser)
        closed.close()
        groups.resume("kept")
    assert browser.complaints() == []
