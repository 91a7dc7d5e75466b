"""A port of 127.0.0.1 that nobody listens at."""

from __future__ import annotations

from celery_groupfifo.testing.embedded import _free_port as free_port

__all__ = ["free_port"]
