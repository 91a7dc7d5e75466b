"""Run the demo: ``python -m demo``; ``--help`` tells what can be chosen."""

from demo.options import parse
from demo.runner import run

if __name__ == "__main__":
    raise SystemExit(run(parse()))
