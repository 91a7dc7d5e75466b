"""The command line: `python -m celery_groupfifo.metrics -A shop [--listen 127.0.0.1:9808]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from celery import Celery

from celery_groupfifo.app import load_app
from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.metrics.serve import serve, text


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the metrics, or serve them.

    Args:
        arguments: The words after the program's name; None: those of this process.

    Returns:
        0; 1 when the gate can't be reached (the text says `groupfifo_up 0`) or the address can't be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m celery_groupfifo.metrics", description="Prometheus metrics of a gate."
    )
    parser.add_argument("-A", "--app", required=True, help="the Celery app, as for `celery -A`")
    parser.add_argument(
        "--listen", metavar="HOST:PORT", type=address, help="serve /metrics at this address; by default print them once"
    )
    options = parser.parse_args(arguments)
    try:
        app = load_app(options.app)
    except GroupFifoError as error:
        parser.error(str(error))
    return run(app, options.listen)


def run(app: Celery, listen: tuple[str, int] | None) -> int:
    """Print the metrics of an app's gate, or serve them until the process is interrupted.

    Args:
        app: The app.
        listen: Host and port to serve them at; None: print them once.

    Returns:
        The exit code, see `main`.
    """
    if listen is None:
        said = text(app)
        sys.stdout.write(said)
        return exit_code(said)
    try:
        serve(app, *listen)
    except OSError as error:
        print(f"Can't listen at {':'.join(map(str, listen))}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def exit_code(said: str) -> int:
    """Return the exit code for printed metrics: 1 when the gate did not answer."""
    return 0 if "groupfifo_up 1.0" in said else 1


def address(words: str) -> tuple[str, int]:
    """Split `host:port`, `:port` or `port` into host and port.

    Raises:
        ValueError: The text is none of them.
    """
    host, _, port = words.rpartition(":")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{port!r} is no port")
    return host.strip("[]") or "127.0.0.1", int(port)
