"""The entry of ``python -m demo``; ``--help`` shows its options."""

from demo.options import parse
from demo.runner import run

if __name__ == "__main__":
    raise SystemExit(run(parse()))
