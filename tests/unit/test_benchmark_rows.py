"""The rows of the benchmarks: what they must reach, what they are compared with, and how their runs are judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks import groupmq
from benchmarks.bench import Bench
from benchmarks.goals import more_at_most
from benchmarks.processes import Producer
from benchmarks.report import MISSED, REACHED, UNKNOWN, judge
from benchmarks.rows import Row, rows
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.scripts import CHUNK, Depth, fill
from benchmarks.session import Results, run

#: The bounds that the project promises.
BOUNDS = {
    **dict.fromkeys(("noop-100", "noop-1000", "noop-10000"), "≥ 3x"),
    **{"hot": "≥ 2x", "results": "≥ 1.85x", "apply-async": "≥ 1.3x", "park-many": "≥ 8x"},
    **{"memory": "≤ 1.1x", "memory-groups": "≤ 1.3x", "flat": "≤ 1.3x", "server-real": "≤ 0.8x"},
    **{"idle": "≤ 5 commands/s more", "due-30": "≤ 5 commands more"},
}


class TwoArms:
    """A scenario whose arms have figures of their own."""

    name, repeatable = "two arms", False

    def __init__(self, figures: Mapping[str, Metrics]) -> None:
        self.arms = figures

    def measure(self, bench: Bench, arm: str) -> Metrics:
        return dict(self.arms[arm])

    def close(self, bench: Bench) -> None:
        pass


def measured(row: Row) -> Results:
    return run(cast(Bench, None), [row], 1, lambda text: None)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks as if GroupMQ was installed there, and a `node` beside it."""
    for name in ("groupmq", "ioredis"):
        (tmp_path / "node_modules" / name).mkdir(parents=True)
    (tmp_path / "node_modules" / "groupmq" / "package.json").write_text('{"version": "1.1.0"}')
    (tmp_path / "node").write_text("#!/bin/sh\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_bounds_are_those_that_are_promised() -> None:
    goals = {row.name: str(row.goal) for row in rows(full=True)}
    assert {name: goals[name] for name in BOUNDS} == BOUNDS


def test_the_short_rows_are_a_part_of_all() -> None:
    short, every = ([row.name for row in rows(full)] for full in (False, True))
    assert set(short) < set(every) and len(set(every)) == len(every)
    assert not {"server-busy", "server-real", "idle", "due-30", "memory-groups", "flat"} & set(short)


@pytest.mark.parametrize(("value", "verdict"), [(9.0, REACHED), (9.1, MISSED)])
def test_a_bound_of_the_difference(value: float, verdict: str) -> None:
    scenario = TwoArms({"plain": {"rate": 4.0}, "grouped": {"rate": value}})
    row = Row("more", "", scenario, "rate", "commands/s", more_at_most(5, "commands/s"))
    line = judge(row, measured(row))
    assert (line.verdict, line.goal) == (verdict, "≤ 5 commands/s more")


def test_a_difference_to_nothing_is_not_measured() -> None:
    scenario = TwoArms({"grouped": {"rate": 1.0}})
    row = Row("more", "", scenario, "rate", "commands/s", more_at_most(5, "commands/s"))
    assert judge(row, measured(row)).verdict == UNKNOWN


def test_the_progress_shows_a_figure_that_the_arm_has() -> None:
    scenario, said = TwoArms({"plain": {"bytes": 1.0}, "grouped": {"bytes": 2.0, "purge": 3.0}}), list[str]()
    purge = Row("purge", "", scenario, "purge", "s", more_at_most(5, "s"), reference=None)
    memory = Row("memory", "", scenario, "bytes", "bytes", more_at_most(5, "bytes"))
    run(cast(Bench, None), [purge, memory], 1, said.append)
    assert [text.rpartition(": ")[2] for text in said] == ["1 bytes", "3 s"]


def test_without_groupmq_its_row_is_for_information(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(groupmq.VARIABLE, raising=False)
    row = next(row for row in rows(full=True) if row.name == "server-busy")
    assert (row.reference, str(row.goal), list(row.scenario.arms)) == (None, "-", ["grouped"])


def test_with_groupmq_its_row_has_a_bound(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(groupmq.VARIABLE, str(installed))
    row = next(row for row in rows(full=True) if row.name == "server-busy")
    assert (row.reference, str(row.goal), list(row.scenario.arms)) == ("groupmq", "≤ 0.65x", ["groupmq", "grouped"])
    assert groupmq.version(groupmq.folder()) == "1.1.0"


def test_a_folder_without_groupmq_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node_modules" / "ioredis").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"BENCH_GROUPMQ is '.*', where groupmq is not installed: run `npm install"):
        groupmq.folder({groupmq.VARIABLE: str(tmp_path)})


def test_groupmq_without_node_is_refused(installed: Path) -> None:
    with pytest.raises(SystemExit, match="no `node` in PATH"):
        groupmq.folder({groupmq.VARIABLE: str(installed), "PATH": "/nowhere"})


@pytest.mark.parametrize(
    ("depth", "asked"),
    [
        (Depth(2_000, 100), [(2_000, 0)]),
        (Depth(3 * CHUNK, 2 * CHUNK), [(2 * CHUNK, 0), (CHUNK, 1)]),
        (Depth(2 * CHUNK, 1), [(CHUNK, 0), (CHUNK, CHUNK)]),
    ],
    ids=["few", "many groups", "one group"],
)
def test_a_gate_is_filled_in_pieces_that_keep_the_order_of_groups(depth: Depth, asked: list[tuple[int, int]]) -> None:
    requests: list[dict[str, Any]] = []

    class Asked:
        def ask(self, do: str, **request: Any) -> None:
            requests.append(request)

    fill(cast(Producer, Asked()), depth)
    assert [(request["count"], request["first"]) for request in requests] == asked
