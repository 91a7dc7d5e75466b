"""The command line: `python -m celery_groupfifo.cluster start|scale|reload|stop|status`.

`start` saves its options in the directory, so the other commands need not repeat them.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from celery_groupfifo.app import load_app
from celery_groupfifo.cluster.manager import Cluster, ClusterError, Recipe
from celery_groupfifo.cluster.status import look, shown
from celery_groupfifo.errors import GroupFifoError

DEFAULT_INSTANCES = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after the program's name; None: those of this process.

    Returns:
        0; 1 when it could not be done, a worker had to be killed, or `status` finds one that is not up; 2 when the
        words are wrong.
    """
    options = _parser().parse_args(arguments)
    directory: Path = options.dir
    if options.command == "scale" and options.instances is None:
        print("Say how many instances there shall be: INSTANCES=6, or --instances 6.", file=sys.stderr)
        return 2
    try:
        recipe = _recipe(options, directory)
        cluster = Cluster(directory, recipe, load_app(recipe.app))
        if options.command == "status":
            lines, trouble = look(cluster)
            print("\n".join([shown(lines), trouble]).strip())
            return int(not all(line.answers for line in lines))
        with _alone(directory):
            return _do(options, cluster)
    except GroupFifoError as error:
        print(error, file=sys.stderr)
        return 1


def _do(options: argparse.Namespace, cluster: Cluster) -> int:
    if options.command == "stop":
        return int(not cluster.stop())
    if options.command == "reload":
        cluster.reload()
    elif options.command == "scale":
        cluster.scale(options.instances)
    else:
        cluster.start(options.instances or DEFAULT_INSTANCES)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m celery_groupfifo.cluster",
        description="Workers of this machine, in the background. Variables of the environment stand in for options.",
    )
    parser.add_argument("command", choices=["start", "scale", "reload", "stop", "status"])
    said = os.environ.get
    parser.add_argument("-A", "--app", default=said("APP"), help="the Celery app (APP)")
    parser.add_argument(
        "-i",
        "--instances",
        type=count,
        default=said("INSTANCES") or None,
        help=f"how many, or max: one per core (INSTANCES; {DEFAULT_INSTANCES})",
    )
    parser.add_argument(
        "-c",
        "--concurrency",
        type=count,
        default=said("WORKER_CONCURRENCY") or None,
        help="slots of each (WORKER_CONCURRENCY; what the app says)",
    )
    parser.add_argument(
        "--options",
        default=said("WORKER_OPTIONS") or None,
        help="more words for `celery worker`, such as '-P gevent -Q messages' (WORKER_OPTIONS)",
    )
    parser.add_argument("--name", default=None, help="what names begin with (messages-worker)")
    parser.add_argument("--dir", type=Path, default=Path("cluster"), help="for logs and pid files (cluster)")
    return parser


def count(word: str) -> int:
    """Return a number from 1 on; for `max` the cores that this process may use.

    Raises:
        ValueError: The word is neither.
    """
    if word == "max":
        cores = getattr(os, "sched_getaffinity", None)
        return len(cores(0)) if cores else os.cpu_count() or 1
    if int(word) < 1:
        raise ValueError(f"{word} is less than 1")
    return int(word)


def _recipe(options: argparse.Namespace, directory: Path) -> Recipe:
    """Return the recipe from the options of this command, else the saved ones, else the defaults."""
    kept = Recipe.kept(directory) if options.command != "start" else {}
    app = options.app or kept.get("app")
    if not app:
        raise ClusterError("Nothing runs here so far: name the app, as for `celery -A`: APP=shop, or --app shop.")
    return Recipe(
        app=app,
        concurrency=options.concurrency or kept.get("concurrency"),
        options=tuple(kept.get("options") or () if options.options is None else shlex.split(options.options)),
        stem=options.name or kept.get("stem") or Recipe.stem,
    )


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Lock the cluster against other commands.

    Raises:
        ClusterError: Another command has the lock.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError(f"Another command is at work in {directory}: wait for its end.") from None
        yield
