"""The switch for an app that has no task based on GroupFifoTask."""

from __future__ import annotations

from celery import Celery

from celery_groupfifo.install import install
from celery_groupfifo.settings import Settings, read_settings


class GroupFifo:
    """The use of groups by an app: for a client that sends by name, or a worker of plain tasks.

    Args:
        app: The app. Its settings may still come: they are checked when a worker starts, or a task is sent to a group.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        install(app)

    @property
    def settings(self) -> Settings:
        """Return the app's settings.

        Raises:
            InvalidSetting: A `groupfifo_` setting is unknown or wrong.
        """
        return read_settings(self.app.conf)
