"""Run Celery's own integration tests with every task in a group, and compare with plain Celery.

A part whose tests all end well through the gate is fine; else it is run again without the gate, and what ends
well there is a difference. In both cases nothing may be left in the gate.

    python -m tests.compatibility.celery_suite.run             the parts that `make test-all` runs, too
    python -m tests.compatibility.celery_suite.run --full      all of them: half an hour
    python -m tests.compatibility.celery_suite.run beat tasks  these
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import redis

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import dying_with_us
from tests.compatibility.celery_suite.left import parked
from tests.compatibility.celery_suite.outcomes import Comparison, Outcomes
from tests.compatibility.celery_suite.parts import FULL, QUICK, Part
from tests.compatibility.celery_suite.suite import Suite, SuiteError, own_server, prepare
from tests.support.places import REPOSITORY


def compare(
    suite: Suite, server: embedded.Server, part: Part, always: bool = False, logs: Path | None = None
) -> Comparison:
    """Run a part through the gate, and without it when something ended badly.

    Args:
        suite: Prepared.
        server: All of its data is deleted.
        part: Of Celery's tests.
        always: Run it without the gate in any case.
        logs: Where pytest's output and each test's outcome are kept.
    """
    comparison = Comparison(part, run(suite, server, part, True, logs))
    if always or comparison.gated.unwell or comparison.gated.complaint:
        comparison.plain = run(suite, server, part, False, logs)
    return comparison


def run(suite: Suite, server: embedded.Server, part: Part, gated: bool, logs: Path | None = None) -> Outcomes:
    """Run a part, in a process and an empty Redis of its own."""
    with tempfile.TemporaryDirectory() as directory, redis.Redis.from_url(server.url) as client:
        client.flushall()
        place = logs or Path(directory)
        name = f"{part.name}.{'gated' if gated else 'plain'}"
        lines, log = place / f"{name}.jsonl", place / f"{name}.log"
        lines.write_text("")
        since = time.monotonic()
        code = _pytest(suite, part, _environment(suite, server, gated, lines), log)
        outcomes = Outcomes.read(lines)
        outcomes.seconds = time.monotonic() - since
        outcomes.parked = parked(client)
        outcomes.complaint = _complaint(part, code, outcomes, gated, log)
        return outcomes


def _pytest(suite: Suite, part: Part, environment: dict[str, str], log: Path) -> int | None:
    """The exit code; None: it hung."""
    command = [str(suite.python), "-m", "pytest", "-p", "no:cacheprovider", "-q", f"t/integration/{part.tests}"]
    if part.only:
        command += ["-k", part.only]
    with log.open("wb") as output:
        # A session of its own: its worker has children.
        process = subprocess.Popen(
            dying_with_us(command),
            cwd=suite.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(part.limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment(suite: Suite, server: embedded.Server, gated: bool, lines: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(suite.python.parent), os.path.dirname(sys.executable), os.environ["PATH"])),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Everything in one database: some tests look for results where the broker is.
        "TEST_BROKER": server.url,
        "TEST_BACKEND": server.url,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(server.port),
        "WORKER_LOGLEVEL": "INFO",  # some tests read the log
        "SUITE_GATED": str(int(gated)),
        "SUITE_OUTCOMES": str(lines.resolve()),
    }


def _complaint(part: Part, code: int | None, outcomes: Outcomes, gated: bool, log: Path) -> str:
    if code is None:
        return f"It hung: {_tail(log)}"
    if code not in (0, 1) or not outcomes.tests:
        return f"pytest ended with {code}: {_tail(log)}"
    if outcomes.left is None:
        return f"It ended before its last test did: {_tail(log)}"
    if bool(outcomes.parked) is not (gated and part.sends):
        return f"{outcomes.parked} tasks went through the gate."
    return ""


def _tail(log: Path) -> str:
    return " / ".join(log.read_text(errors="replace").strip().splitlines()[-5:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run parts, print a table, and return the exit code: 1 when the gate is to blame for anything."""
    summary = (__doc__ or "").split("\n\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.compatibility.celery_suite.run", description=summary)
    parser.add_argument("parts", nargs="*", metavar="part", help="names of parts; see --list")
    parser.add_argument("--full", action="store_true", help="all parts")
    parser.add_argument("--baseline", action="store_true", help="run every part without the gate, too")
    parser.add_argument("--logs", type=Path, help="keep pytest's output and each test's outcome in this directory")
    parser.add_argument("--list", action="store_true", help="name the parts, and run none")
    options = parser.parse_args(arguments)
    named = {part.name: part for part in (*FULL, *QUICK)}
    if options.list:
        print("\n".join(f"{part.name:24} {part.tests} {part.only}".rstrip() for part in named.values()))
        return 0
    unknown = sorted(set(options.parts) - set(named))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; --list names them")
    if options.logs:
        options.logs.mkdir(parents=True, exist_ok=True)
    try:
        suite = prepare()
    except SuiteError as error:
        print(error, file=sys.stderr)
        return 2
    blamed = 0
    with own_server() as server:
        print(f"Celery's tests in {suite.folder}, on {server.description}", flush=True)
        for part in [named[name] for name in options.parts] or (FULL if options.full else QUICK):
            blamed += _show(compare(suite, server, part, options.baseline, options.logs))
    return min(blamed, 1)


def _show(comparison: Comparison) -> int:
    for way, outcomes in (("gated", comparison.gated), ("plain", comparison.plain)):
        if outcomes is not None:
            took, through = f"{outcomes.seconds:5.0f} s", f"{outcomes.parked:5} parked"
            print(f"{comparison.part.name:22} {way}  {took}  {through}  {outcomes}", flush=True)
    for complaint in comparison.complaints:
        print(f"  ! {complaint}", flush=True)
    return len(comparison.complaints)


if __name__ == "__main__":
    sys.exit(main())
