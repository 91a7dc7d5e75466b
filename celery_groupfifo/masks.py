"""URLs without their passwords: for messages, logs, terminals, `celery report` and `celery inspect conf`."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

from celery.app import utils as celery_utils

MASK = "**"
#: A setting that Celery does not know to hide. Its name may have a namespace and capitals in an app's configuration.
SETTING = "groupfifo_url"

#: A `;` separates URLs only where another one begins.
_NEXT = re.compile(r";(?=[A-Za-z+]+://)")
#: The part of a URL before its query, when no password in it can hold a `?`.
_SOUND = re.compile(r"([A-Za-z+]+://)?([^/#]*@)?(\[[^\]]*\]|[^:@/#\[\]]*)(:\d*)?(/(?!/)[^@#]*)?")
#: Everything up to the last `@`. A user without a password may be a token.
_USER = re.compile(r"^([A-Za-z+]*://)?(?:([^:@/?#]*)(:))?.*@", re.DOTALL)
#: A value, up to the next `name=`, as a password may hold an `&`.
_QUERY = re.compile(r"([?&][^=&?]*(?:pass|user|secret|token)[^=&?]*=)[^&]*(?:&[^=&]*(?=&|$))*", re.IGNORECASE)


def masked(url: Any) -> str:
    """Return a URL without its password, even when it is a wrong one. Of a list, each of its URLs."""
    if isinstance(url, (list, tuple)):
        return ";".join(map(masked, url))
    return ";".join(map(_masked, _NEXT.split(str(url))))


def _masked(url: str) -> str:
    if _SOUND.fullmatch(url.partition("?")[0]):  # else the `?` may be part of a password
        url = _QUERY.sub(rf"\g<1>{MASK}", url)
    return _QUERY.sub(rf"\g<1>{MASK}", _USER.sub(_user_masked, url))


def _user_masked(found: re.Match[str]) -> str:
    scheme, user, colon = (part or "" for part in found.groups())
    return f"{scheme}{user}{colon}{MASK}@"


def variable_of(url: Any) -> str | None:
    """Return the environment variable that leads to the server of a URL; None: there is none."""
    server = _server_of(str(url))
    names = (name for name, value in os.environ.items() if server and "://" in value and _server_of(value) == server)
    return min(names, default=None)


def _server_of(url: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(url)
        return (parts.hostname, parts.port) if parts.hostname else None
    except ValueError:
        return None


def hook() -> None:
    """Wrap Celery's mask for settings, so that it hides the password of `groupfifo_url`.

    An app without that setting sees no change.
    """
    filter_settings = celery_utils.filter_hidden_settings
    if getattr(filter_settings, "groupfifo", False):
        return

    def filter_hidden_settings(conf: Any) -> Any:
        return {
            name: masked(value) if value and str(name).lower().endswith(SETTING) else value
            for name, value in filter_settings(conf).items()
        }

    filter_hidden_settings.groupfifo = True  # type: ignore[attr-defined]
    celery_utils.filter_hidden_settings = filter_hidden_settings


__all__ = ["hook", "masked", "variable_of"]
