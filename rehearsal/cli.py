"""The command line of the rehearsal."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import redis

from benchmarks import environment
from celery_groupfifo.testing import embedded
from rehearsal import plot, report
from rehearsal.day import rehearse
from rehearsal.plan import Plan
from rehearsal.samples import Sample

_RESULTS = Path(__file__).parent / "results"
_HELP = {
    "workers": "virtual workers",
    "slots": "tasks that each of them runs at once",
    "groups": "group keys in use",
    "hours": "virtual hours of traffic",
    "rate": "tasks per virtual second",
    "work": "virtual seconds of the median task of a cold group",
    "seed": "of all chance",
    "lease": "virtual seconds of a worker's lease",
    "deaths": "kills of each worker in 24 hours",
    "lost": "share of the calls whose request or answer is lost",
    "tickets": "share of the tickets that are lost on their way; as many come twice",
    "samples": "readings of the server's counters",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rehearsal",
        description="Drive the real scripts through a day of traffic with failures, in virtual time, and judge them.",
    )
    for each in fields(Plan):
        kind = type(each.default)
        text = f"{_HELP[each.name]} (default {each.default})"
        parser.add_argument(f"--{each.name}", type=kind, default=each.default, metavar="N", help=text)
    parser.add_argument("--json", type=Path, default=_RESULTS / "latest.json", metavar="FILE", help="where figures go")
    parser.add_argument("--plot", type=Path, default=_RESULTS / "plots", metavar="DIR", help="where curves go (SVG)")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="run nothing: draw the curves of these figures")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Rehearse a day. Returns 1 when a rule was broken, or a key is left over."""
    options = _parser().parse_args(arguments)
    if options.draw is not None:
        plot.draw(options.plot, json.loads(options.draw.read_text("utf-8")))
        return 0
    plan = Plan(**{each.name: getattr(options, each.name) for each in fields(Plan)})
    os.environ.pop(embedded.URL_VARIABLE, None)  # its counters are reset: never somebody else's server
    began = time.monotonic()

    def say(sample: Sample) -> None:
        print(report.progress(plan, sample, time.monotonic() - began), flush=True)

    with embedded.start(appendonly=False) as server, redis.Redis.from_url(server.url) as client:
        place = environment.describe(server, client)
        print(environment.in_a_line(place))
        outcome = rehearse(plan, f"{server.url}/0", say)
    seconds = time.monotonic() - began
    report.write(options.json, plan, outcome, place, seconds)
    plot.draw(options.plot, json.loads(options.json.read_text("utf-8")))
    for line in report.lines(outcome):
        print(line)
    print(f"{seconds:.0f} s · figures: {options.json} · curves: {options.plot}")
    return int(not report.is_sound(outcome))
