"""The process that sends tasks: `python -m benchmarks.producer MODULE`, one JSON request per line on standard input.

Each app has a process of its own, because the measuring one imports the package; and it stays, because sending is
measured, not importing.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

#: Groups of the second task of a mixed backlog are numbered from here.
SECOND = 10_000
#: The only group of a small tenant; those of the big one come before it.
SMALL = 20_000

Call = tuple[Any, tuple[Any, ...]]
"""A task, and the arguments of one call."""


def calls(app: Any, request: dict[str, Any]) -> Iterator[Call]:
    """Yield the calls of a backlog: its tasks in turn, over their groups in a random order, always the same.

    Groups in turn would favour the recipe: tasks of one group would never meet.

    Args:
        app: Of the tasks.
        request: `tasks` (names), `count`, `groups`, `seconds` (of work; None: the task takes none), `first` (number
            of a group's first task), `base` (number of the first group), `burst` (tasks of a group in a row).
    """
    tasks = [app.tasks[f"bench.{name}"] for name in request["tasks"]]
    work = () if request.get("seconds") is None else (request["seconds"],)
    turns, groups, base = -(-request["count"] // len(tasks)), request["groups"], request.get("base", 0)
    burst = request.get("burst", 1)
    bursts = [number % groups for number in range(-(-turns // burst))]
    random.Random(0).shuffle(bursts)
    order = [group for group in bursts for _ in range(burst)]
    numbers = [request.get("first", 0)] * groups
    for turn, group in enumerate(order[:turns]):
        for which, task in enumerate(tasks):
            if turn * len(tasks) + which < request["count"]:
                yield task, (f"g{base + group + which * SECOND}", numbers[group], *work)
        numbers[group] += 1


def fill(app: Any, request: dict[str, Any]) -> None:
    """Send a backlog as fast as possible; its time is not measured."""
    backlog = calls(app, request)
    if all(hasattr(app.tasks[f"bench.{name}"], "group_key") for name in request["tasks"]):
        from celery_groupfifo import park_many  # inside: a producer of plain tasks runs without the package

        park_many(task.s(*args) for task, args in backlog)
        return
    with app.producer_or_acquire() as producer:
        for task, args in backlog:
            task.apply_async(args, producer=producer)


def send(app: Any, request: dict[str, Any]) -> float:
    """Send calls one by one, as an application does. Returns the seconds they took."""
    backlog = list(calls(app, request))
    began = time.perf_counter()
    for task, args in backlog:
        task.apply_async(args)
    return time.perf_counter() - began


def send_bulk(app: Any, request: dict[str, Any]) -> float:
    """Send the same calls with `park_many`, and return the seconds, with those to make their signatures."""
    from celery_groupfifo import park_many  # inside, as above

    backlog = list(calls(app, request))
    began = time.perf_counter()
    park_many(task.s(*args) for task, args in backlog)
    return time.perf_counter() - began


def trickle(app: Any, request: dict[str, Any]) -> list[tuple[int, int, float]]:
    """Send a call now and then, after `gap` = [least, most] seconds; its task is due `countdown` seconds later.

    Returns:
        The group of each call, its number in the group, and the time of its send (monotonic).
    """
    chance = random.Random(request["count"])
    options = {"countdown": request["countdown"]} if "countdown" in request else {}
    sent = []
    for task, args in list(calls(app, request)):
        time.sleep(chance.uniform(*request["gap"]))
        sent.append((int(args[0][1:]), args[1], time.monotonic()))
        task.apply_async(args, **options)
    return sent


def purge(app: Any, request: dict[str, Any]) -> int:
    """Empty the queue of a broker that stays between runs; return the number of messages."""
    return int(app.control.purge())


ACTIONS = {action.__name__: action for action in (fill, send, send_bulk, trickle, purge)}


def main() -> None:
    """Answer requests until the input ends."""
    app = import_module(sys.argv[1]).app
    app.finalize()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer: dict[str, Any] = {"value": ACTIONS[request["do"]](app, request)}
        except Exception as error:  # any error goes to the other side, which goes on with the next row
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
