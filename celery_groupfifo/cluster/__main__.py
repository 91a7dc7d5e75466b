"""The entry of `python -m celery_groupfifo.cluster`: see `command`."""

from celery_groupfifo.cluster.command import main

if __name__ == "__main__":
    raise SystemExit(main())
