"""The entry of `python -m celery_groupfifo.metrics -A shop`: see `command`."""

from celery_groupfifo.metrics.command import main

if __name__ == "__main__":
    raise SystemExit(main())
