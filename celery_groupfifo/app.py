"""The app: loaded by its name, and the switch for one that has no task based on GroupFifoTask."""

from __future__ import annotations

import sys

from celery import Celery
from celery.app.utils import find_app

from celery_groupfifo.errors import GroupFifoError
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


def load_app(name: str) -> Celery:
    """Load an app as `celery -A` does, for commands that are not Celery's.

    Args:
        name: As for `celery -A`.

    Raises:
        GroupFifoError: It can't be imported, or has no app.
    """
    sys.path.insert(0, "")  # as `celery` does, so that an app in this directory is found
    try:
        return find_app(name)
    except Exception as error:  # the user's code may raise anything
        raise GroupFifoError(f"The app {name!r} can't be loaded: {error}") from error
