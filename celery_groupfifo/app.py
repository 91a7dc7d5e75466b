"""For an app without a task of its own that is based on GroupFifoTask."""

from __future__ import annotations

from celery import Celery

from celery_groupfifo.install import install
from celery_groupfifo.settings import Settings, read_settings


class GroupFifo:
    """Makes an app use groups: a client that sends by name, or a worker of plain tasks.

    Args:
        app: The app; `settings` are checked at once.

    Raises:
        InvalidSetting: A `groupfifo_` setting is unknown or wrong.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        install(app)

    @property
    def settings(self) -> Settings:
        """What the app's settings say."""
        return read_settings(self.app.conf)
