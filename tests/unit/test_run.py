"""The states of a run: every edge that may be walked, and every one that may not."""

from __future__ import annotations

import ast
import gc
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import celery_groupfifo
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.worker.run import ENDING, FOLLOWS, LEASED, Disposition, Run, Runs, State
from tests.support.places import DOCS

PAGE = DOCS / "how-it-works.md"

#: The shortest way to each state.
WAYS: dict[State, tuple[State, ...]] = {
    State.RECEIVED: (),
    State.BEGUN: (State.BEGUN,),
    State.GIVEN: (State.BEGUN, State.GIVEN),
    State.STARTED: (State.BEGUN, State.GIVEN, State.STARTED),
    State.OVER: (State.BEGUN, State.OVER),
    State.FINISHING: (State.BEGUN, State.OVER, State.FINISHING),
    State.SURRENDERING: (State.BEGUN, State.SURRENDERING),
    State.LOST: (State.BEGUN, State.LOST),
    State.ENDED: (State.ENDED,),
}
#: The edges of the diagram in docs/how-it-works.md.
EDGES = {
    "a": (State.RECEIVED, State.BEGUN),
    "b": (State.RECEIVED, State.ENDED),
    "c": (State.BEGUN, State.GIVEN),
    "d": (State.GIVEN, State.STARTED),
    "e": (State.STARTED, State.OVER),
    "f": (State.GIVEN, State.OVER),
    "g": (State.BEGUN, State.OVER),
    "h": (State.OVER, State.FINISHING),
    "i": (State.OVER, State.SURRENDERING),
    "j": (State.GIVEN, State.SURRENDERING),
    "k": (State.BEGUN, State.SURRENDERING),
    "l": (State.FINISHING, State.ENDED),
    "m": (State.SURRENDERING, State.ENDED),
    "n": (State.BEGUN, State.LOST),
    "o": (State.GIVEN, State.LOST),
    "p": (State.STARTED, State.LOST),
    "q": (State.OVER, State.LOST),
    "r": (State.LOST, State.ENDED),
}
REFUSED = [(before, after) for before in State for after in FOLLOWS if (before, after) not in EDGES.values()]


class Request:
    """Stands for Celery's."""

    run: Run


def make_run(settled: list[Run] | None = None, header: str = "gf ns:0 7 0 5 id g") -> Run:
    message = SimpleNamespace(headers={"groupfifo_key": "g", "task": "t", "retries": 1})
    decided = (lambda run: None) if settled is None else settled.append
    ticket = Ticket.parse(header)
    assert ticket is not None
    return Run(header, ticket, message, SimpleNamespace(), decided)  # type: ignore[arg-type]


def step(run: Run, state: State) -> bool:
    steps: dict[State, Any] = {
        State.BEGUN: lambda: run.begun(run.ticket.begun(8), 1.0),
        State.GIVEN: run.given,
        State.STARTED: lambda: run.started(11),
        State.OVER: run.over,
        State.FINISHING: run.finishing,
        State.SURRENDERING: run.surrendering,
        State.LOST: run.lost,
        State.ENDED: run.ended,
    }
    return bool(steps[state]())


def run_in(state: State) -> Run:
    run = make_run()
    for each in WAYS[state]:
        assert step(run, each)
    assert run.state is state
    return run


@pytest.mark.parametrize("edge", EDGES.values(), ids=EDGES)
def test_every_edge_of_the_diagram_can_be_walked(edge: tuple[State, State]) -> None:
    run = run_in(edge[0])
    assert step(run, edge[1]) and run.state is edge[1]


def test_it_has_a_fence_from_its_begin_on() -> None:
    run = run_in(State.RECEIVED)
    assert run.ticket.fence == run.continuation.ticket.fence == 0
    step(run, State.BEGUN)
    assert run.ticket.fence == run.continuation.ticket.fence == 8


@pytest.mark.parametrize("edge", REFUSED, ids=lambda edge: f"{edge[0].name}-{edge[1].name}")
def test_no_other_edge_can(edge: tuple[State, State]) -> None:
    run = run_in(edge[0])
    assert not step(run, edge[1])
    assert run.state is edge[0], "a refused step changes nothing"


def test_the_table_has_the_edges_of_the_diagram_and_no_others() -> None:
    assert {(before, after) for after, states in FOLLOWS.items() for before in states} == set(EDGES.values())
    assert ENDING < LEASED
    assert State.LOST not in LEASED and State.ENDED not in LEASED


def test_the_diagram_in_the_docs_has_these_edges() -> None:
    text = PAGE.read_text("utf-8").partition("```mermaid\nstateDiagram-v2\n")[2].partition("```")[0]
    lines = [line.strip() for line in text.splitlines()]
    assert lines == [
        "[*] --> RECEIVED: ticket from the broker",
        *(f"{before.name} --> {after.name}: {letter}" for letter, (before, after) in EDGES.items()),
        "ENDED --> [*]",
    ]


def test_of_many_threads_one_walks_an_edge() -> None:
    run, walked = run_in(State.OVER), []
    start = threading.Barrier(16)

    def walk() -> None:
        start.wait()
        walked.append(run.finishing())

    threads = [threading.Thread(target=walk) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(walked) == [False] * 15 + [True]


class Struck(frozenset[State]):
    """A set during whose look-up a signal handler runs, once."""

    handler: Any = None

    def __contains__(self, state: object) -> bool:
        handler, self.handler = self.handler, None
        if handler is not None:
            handler()
        return super().__contains__(state)


def test_a_signal_handler_in_the_midst_of_a_transition_is_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeline: the main thread looks whether a run may be told, and SIGQUIT ends the pool, which tells it."""
    run, told = run_in(State.OVER), []
    struck = Struck(FOLLOWS[State.FINISHING])
    struck.handler = lambda: told.append(run.finishing())
    monkeypatch.setitem(FOLLOWS, State.FINISHING, struck)
    told.append(run.finishing())
    assert told == [True, False]


@pytest.mark.parametrize("state", [State.BEGUN, State.GIVEN, State.OVER])
def test_what_is_decided_before_a_start_or_after_the_end_settles_at_once(state: State) -> None:
    settled: list[Run] = []
    run = make_run(settled)
    for each in WAYS[state]:
        step(run, each)
    run.on_ack(None, None)
    assert settled == [run] and run.done


def test_acknowledged_is_not_over() -> None:
    settled: list[Run] = []
    run = make_run(settled)
    for each in WAYS[State.STARTED]:
        step(run, each)
    run.on_ack(None, None)
    assert settled == [] and run.done
    run.lost()
    run.on_ack(None, None)
    assert settled == [], "nor is it when the lease is lost"


def test_the_first_decision_counts() -> None:
    run = run_in(State.STARTED)
    run.on_reject(None, None, requeue=True)
    run.on_ack(None, None)
    assert run.disposition is Disposition.REQUEUE and not run.done


def test_a_request_that_nobody_holds_is_gone() -> None:
    run = make_run()
    assert run.request is None and not run.was_requested
    request = Request()
    request.run = run
    run.set_request(request)
    assert run.request is request
    del request
    gc.collect()
    assert run.request is None and run.was_requested


def test_runs_are_found_by_their_header() -> None:
    runs, run = Runs(), make_run()
    runs.add(run)
    assert runs.of(run.header) is run and list(runs) == [run] and len(runs) == 1
    runs.remove(make_run())
    assert runs.of(run.header) is run, "another one of the same header is another one"
    runs.remove(run)
    assert runs.of(run.header) is None and not list(runs)


def begun(fence: int) -> Run:
    run = make_run()
    assert run.begun(run.ticket.begun(fence), 1.0)
    return run


def test_a_ticket_that_begins_again_has_two_runs_and_the_earlier_one_has_lost_its_lease() -> None:
    """Timeline: Redis loses the begin of a run; the ticket comes with the end of another run, and begins again."""
    runs, earlier, later = Runs(), begun(7), begun(8)
    assert runs.add(earlier) is None
    assert runs.add(later) is earlier
    assert list(runs) == [earlier, later] and len(runs) == 2 and runs.of(later.header) is later
    runs.remove(earlier)
    assert list(runs) == [later] and runs.of(later.header) is later
    runs.remove(later)
    assert runs.of(later.header) is None and not len(runs)


def test_one_whose_begin_is_answered_after_that_of_a_later_one_has_lost_its_lease() -> None:
    runs, earlier, later = Runs(), make_run(), begun(8)
    assert runs.add(earlier) is None, "its begin is sent"
    assert runs.add(later) is earlier
    assert earlier.begun(earlier.ticket.begun(7), 1.0)
    assert runs.add(earlier) is earlier
    assert runs.of(later.header) is later and list(runs) == [earlier, later]


def test_a_run_that_is_added_again_at_its_begin_is_one() -> None:
    runs, run = Runs(), make_run()
    assert runs.add(run) is None
    assert run.begun(run.ticket.begun(8), 1.0)
    assert runs.add(run) is None and list(runs) == [run]


def test_what_a_run_knows_of_its_message() -> None:
    run = make_run()
    assert (run.key, run.name, run.attempt) == ("g", "t", 2)
    assert run.continuation.retries == 1


def test_nobody_else_sets_what_a_run_knows() -> None:
    """Its attributes change by its own methods, so that they are read in one file."""
    set_elsewhere = []
    for path in (Path(celery_groupfifo.__file__).parent).rglob("*.py"):
        if path.name == "run.py" or "testing" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                owner = ast.unparse(node.value)
                if owner.split(".")[-1] == "run" or owner.startswith("run."):
                    set_elsewhere.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert set_elsewhere == []
