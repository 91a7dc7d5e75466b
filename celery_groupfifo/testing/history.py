"""The history of a run: a record of sends, starts, ends and kills.

It lives in files and is written by the task bodies, the producers and the injectors of faults. No part of it comes from
the gate or passes through its Redis, so it is an independent witness and survives any fault of the server.

Events are JSON objects, one a line, each with ``ev``, ``t`` (seconds, monotonic) and ``pid`` of the writer:

========  ============================================================================================
``sent``  ``group seq id``: `apply_async` has returned
``up``    ``worker``: a worker is ready (``pid`` is its main process)
``start`` ``group seq fence attempt lost worker``: the body of a task begins
``end``   ``group seq fence worker ok``; unless ok, ``reason``: ``failed`` is final, others are not
``kill``  ``target`` (process ids) ``worker``: written before and after a kill, see `checker`
``pause`` ``target until``: stopped from ``t`` to ``until``, both on this clock
``gone``  ``group seq reason``: ended without a run of its own (revoked, expired, dropped, lost too often)
========  ============================================================================================
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]
StrPath = str | os.PathLike[str]


def record(path: StrPath, **event: Any) -> None:
    """Append one event, stamped with the time and the process.

    The event is one ``write(2)`` on an ``O_APPEND`` descriptor: lines of several processes never mix, and a killed
    process has either written its line or not. The clock is the monotonic one, which all processes of a machine share,
    and which can't be set.

    Args:
        path: the file; created when missing. Preferably one per writer.
        **event: the event, as JSON values; ``ev`` names its kind.

    Raises:
        OSError: the file cannot be written, or only in part.
    """
    stamped = {**event, "pid": os.getpid(), "t": time.monotonic()}
    line = (json.dumps(stamped, separators=(",", ":")) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if os.write(descriptor, line) != len(line):
            raise OSError(f"{os.fspath(path)}: only a part of a history line was written; is the disk full?")
    finally:
        os.close(descriptor)


def load(paths: Iterable[StrPath]) -> list[Event]:
    """Merge history files into one list in order of time.

    Args:
        paths: files, or directories of which all ``*.jsonl`` are read.

    Returns:
        The events, earliest first; events of equal time keep the order of their file.

    Raises:
        ValueError: a line is not an event; the message names file and line.
    """
    events: list[Event] = []
    for file in _files(paths):
        with file.open("rb") as lines:
            events.extend(_parse(line, file, number) for number, line in enumerate(lines, start=1))
    return sorted(events, key=_time)


class Tail:
    """A reader of a directory of history files, from where it last ended."""

    def __init__(self, directory: StrPath) -> None:
        """Start at the beginning of every file.

        Args:
            directory: where the ``*.jsonl`` files are; more of them may appear later.
        """
        self.directory = Path(directory)
        self._read: dict[Path, int] = {}

    def read(self) -> list[Event]:
        """Return the new events in order of time; an incomplete line is left for the next call."""
        events: list[Event] = []
        for file in _files([self.directory]):
            with file.open("rb") as lines:
                lines.seek(self._read.get(file, 0))
                whole, newline, _ = lines.read().rpartition(b"\n")
            self._read[file] = self._read.get(file, 0) + len(whole) + len(newline)
            events.extend(_parse(line, file, None) for line in whole.splitlines())
        return sorted(events, key=_time)


def _files(paths: Iterable[StrPath]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(path.glob("*.jsonl"))
        else:
            yield path


def _parse(line: bytes, file: Path, number: int | None) -> Event:
    try:
        event = json.loads(line)
        if isinstance(event, dict) and "ev" in event and "t" in event:
            return event
        problem = "needs 'ev' and 't'"
    except ValueError as error:
        problem = str(error)
    where = file if number is None else f"{file}:{number}"
    raise ValueError(f"{where}: not a history event ({problem}): {line[:80]!r}")


def _time(event: Event) -> float:
    return float(event["t"])
