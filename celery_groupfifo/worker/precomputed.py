"""Values computed once in the main process, so children need not repeat it.

Many processes take turns on a core, and their caches are cold: a step that takes a microsecond in a loop takes several
there.
"""

from __future__ import annotations

from typing import Any

from celery.app.task import Context

#: Kinds of requests that are remembered.
KINDS = 1000

_names: dict[tuple[str, ...], tuple[str, ...]] = {}


def custom_headers(request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the custom headers of a request: the entries that are no attributes of Celery's `Context`.

    Celery takes all of its attributes out of a copy, one by one, which is a seventh of a child's time for an empty
    task. Requests with the same keys have the same custom headers.
    """
    keys = tuple(request)
    names = _names.get(keys)
    if names is None:
        if len(_names) >= KINDS:
            _names.clear()
        names = _names[keys] = tuple(Context(request).headers or ())
    return {name: request[name] for name in names} or None


def decoded_body(message: Any, request: dict[str, Any]) -> Any:
    """Return the decoded body (args, kwargs, embed), which Celery's trace takes as well; None: send it undecoded.

    Celery 5.7 decodes it for the request, which goes to the child with the arguments in it. Older ones send the body
    alone, as its content may not be picklable.
    """
    args = request.get("args")
    body = None if args is None else message.payload
    return body if body is not None and body[0] is args else None
