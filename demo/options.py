"""The options of the demo, from the command line or the environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The options of the demo: see `parse` for each."""

    tasks: int = 1200
    workers: int = 3
    concurrency: int = 4
    producers: int = 2
    rate: float = 240.0
    lease_ttl: float = 5.0
    directory: Path = Path("demo-logs")
    flower: bool = False
    flower_port: int = 5555
    plain: bool = False

    @property
    def history(self) -> Path:
        """Return the directory of the history files."""
        return self.directory / "history"


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; other values come from the environment, then from the defaults.

    Args:
        arguments: the words after the program's name; None: those of this process.

    Returns:
        The options.

    Raises:
        SystemExit: a value is wrong; argparse has told the user.
    """
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Messages of 60 customers, in order per customer, while a worker is killed.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--tasks", type=_positive, default=_default("DEMO_TASKS", 1200), help="messages to send")
    parser.add_argument(
        "--instances", type=_positive, default=_default("INSTANCES", 3), help="worker processes to start with"
    )
    parser.add_argument(
        "--concurrency", type=_positive, default=_default("WORKER_CONCURRENCY", 4), help="slots per worker"
    )
    parser.add_argument("--rate", type=float, default=Options.rate, help="messages sent per second, at most")
    parser.add_argument("--lease", type=float, default=Options.lease_ttl, help="lease TTL in seconds")
    parser.add_argument("--dir", type=Path, default=Options.directory, help="where logs and history go")
    parser.add_argument("--flower", action="store_true", help="start Flower, and go on until Ctrl-C")
    parser.add_argument("--flower-port", type=_positive, default=Options.flower_port, help="Flower's port")
    parser.add_argument("--plain", action="store_true", help="plain lines instead of a live display")
    found = parser.parse_args(arguments)
    if found.flower and find_spec("flower") is None:
        parser.error("Flower is not installed: pip install 'celery-groupfifo[flower]'")
    return Options(
        tasks=found.tasks,
        workers=found.instances,
        concurrency=found.concurrency,
        rate=found.rate,
        lease_ttl=found.lease,
        directory=found.dir,
        flower=found.flower,
        flower_port=found.flower_port,
        plain=found.plain,
    )


def _default(variable: str, otherwise: int) -> str:
    # A string: argparse checks such defaults like a user's input. An empty variable means the default.
    return os.environ.get(variable) or str(otherwise)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
