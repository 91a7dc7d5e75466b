"""A process that sends to one group until it is killed: `python -m tests.support.stages.producer GROUP`."""

from __future__ import annotations

import json
import os
import sys
from itertools import count

from tests.support.stages.app import CONF, make_app, note


def main(group: str) -> None:
    """Send, and note what was sent."""
    step = make_app(**json.loads(os.environ[CONF])).tasks["chaos.step"]
    for seq in count(1):
        result = step.apply_async((group, seq), {"seconds": 0.0})
        note(ev="sent", group=group, seq=seq, id=result.id)


if __name__ == "__main__":
    main(*sys.argv[1:])
