"""The history: what is written is what is read, by many writers at once."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from celery_groupfifo.testing.history import Tail, load, record


def _write_many(path: Path, writer: int) -> None:
    for number in range(200):
        record(path, ev="sent", group=f"writer-{writer}", seq=number, padding="x" * 300)


def test_event_has_time_and_process(tmp_path: Path) -> None:
    before = time.monotonic()
    record(tmp_path / "a.jsonl", ev="start", group="näme\n", seq=1)
    [event] = load([tmp_path / "a.jsonl"])
    assert before <= event.pop("t") <= time.monotonic()
    assert event == {"ev": "start", "group": "näme\n", "seq": 1, "pid": os.getpid()}


def test_files_are_merged_by_time(tmp_path: Path) -> None:
    for number in range(6):
        record(tmp_path / f"{number % 2}.jsonl", ev="sent", group="g", seq=number)
    assert [event["seq"] for event in load([tmp_path])] == [0, 1, 2, 3, 4, 5]
    assert [event["seq"] for event in load([tmp_path / "1.jsonl", tmp_path / "0.jsonl"])] == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


def test_lines_of_several_processes_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "shared.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(path, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events = load([path])
    for number in range(3):
        own = [event["seq"] for event in events if event["group"] == f"writer-{number}"]
        assert own == list(range(200))


@pytest.mark.parametrize("line", ["{", "[1]", '{"ev": "sent"}', '{"t": 1}', ""])
def test_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    record(path, ev="sent", group="g", seq=1)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"a\.jsonl:2: not a history event"):
        load([path])


def test_tail_gives_each_event_once(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    assert tail.read() == []
    record(tmp_path / "a.jsonl", ev="sent", group="g", seq=1)
    record(tmp_path / "b.jsonl", ev="sent", group="g", seq=2)
    assert [event["seq"] for event in tail.read()] == [1, 2]
    assert tail.read() == []
    record(tmp_path / "a.jsonl", ev="sent", group="g", seq=3)
    assert [event["seq"] for event in tail.read()] == [3]


def test_tail_leaves_a_line_that_is_still_being_written(tmp_path: Path) -> None:
    path, tail = tmp_path / "a.jsonl", Tail(tmp_path)
    path.write_text('{"ev":"sent","t":1}\n{"ev":"se')
    assert len(tail.read()) == 1
    with path.open("a") as file:
        file.write('nt","t":2}\n')
    assert [event["t"] for event in tail.read()] == [2]
