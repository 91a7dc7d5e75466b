"""Run the demo: ``python -m celery_groupfifo.demo``; ``--help`` tells what can be chosen."""

from celery_groupfifo.demo.options import parse
from celery_groupfifo.demo.runner import run

if __name__ == "__main__":
    raise SystemExit(run(parse()))
