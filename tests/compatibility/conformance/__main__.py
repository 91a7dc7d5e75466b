"""Say whether an engine conforms: `python -m tests.compatibility.conformance --broker URL --gate URL`.

The gate's database is emptied.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import redis

from tests.compatibility.conformance.run import Conformance, Engine


def main() -> int:
    """Run once, print what is wrong, and return the exit code."""
    summary = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.compatibility.conformance", description=summary)
    parser.add_argument("--broker", required=True, help="URL of the broker")
    parser.add_argument("--gate", required=True, help="URL of the gate's Redis; its database is emptied")
    parser.add_argument("--backend", help="URL of the result backend; none unless given")
    parser.add_argument("--pool", default="prefork", help="prefork, threads, gevent, eventlet or solo")
    parser.add_argument("--conf", type=json.loads, default={}, help="more settings of the app, as a JSON object")
    parser.add_argument("--crash", action="store_true", help="let a worker die between a release and its ticket, too")
    options = parser.parse_args()
    with redis.Redis.from_url(options.gate) as client:
        client.flushdb()
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine(options.broker, options.gate, options.backend, options.pool, options.conf, options.crash)
        wrong = Conformance(engine, Path(directory) / "run").run()
    print("\n".join(wrong) or "It conforms.")
    return min(len(wrong), 1)


if __name__ == "__main__":
    sys.exit(main())
