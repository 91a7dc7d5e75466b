"""The report of a rehearsal, and its curves."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from rehearsal import plot, report
from rehearsal.day import Outcome
from rehearsal.judge import Judge
from rehearsal.plan import Plan
from rehearsal.samples import Sample

PLACE = {"server": "Valkey 9", "when": "2030-01-02T03:04:05+00:00", "redis": {"executable": "somewhere"}}
SVG = "{http://www.w3.org/2000/svg}"


def sample(hours: float, memory: int) -> Sample:
    return Sample(hours, 10, 50.0, 40.0, 900.0, 70.0, memory, 5, 3, 0, 2, 8, 20)


def outcome() -> Outcome:
    judge = Judge(10_000)
    judge.counts["accepted"] = 20
    return Outcome(judge, [sample(1, 2_000_000), sample(2, 3_000_000)], {}, 7200.0)


def test_the_curves_are_drawn_from_the_written_figures(tmp_path: Path) -> None:
    file = tmp_path / "out" / "figures.json"
    report.write(file, Plan(hours=2), outcome(), PLACE, 12.3)
    said = json.loads(file.read_text("utf-8"))
    assert "redis" not in said["environment"] and said["virtual_hours"] == 2.0
    charts = plot.draw(tmp_path, said)
    assert [path.name for path in charts] == [f"rehearsal-{chart.name}.svg" for chart in plot.CHARTS]
    for chart, path in zip(plot.CHARTS, charts, strict=True):
        root = ElementTree.fromstring(path.read_text("utf-8"))
        assert len(root.findall(f"{SVG}polyline")) == len(chart.curves)
        assert "20 tasks, seed 1 · Valkey 9 · 2030-01-02" in "".join(root.itertext())
    memory = ElementTree.fromstring((tmp_path / "rehearsal-memory.svg").read_text("utf-8"))
    line = memory.find(f"{SVG}polyline")
    assert line is not None
    (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in line.attrib["points"].split())
    assert x1 < x2 and y1 > y2, "more memory is higher"


def test_a_breach_and_what_is_left_are_said() -> None:
    found = outcome()
    assert report.is_sound(found) and [*report.lines(found)][-1] == "no breach, nothing left over"
    found.judge.breach("order", "g", "a", "it starts before b")
    found.left["due"] = [b"a g"]
    assert not report.is_sound(found)
    text = "\n".join(report.lines(found))
    assert "BREACH of order: task a of group g" in text and "LEFT OVER: {'due'" in text
