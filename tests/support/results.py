"""Results that outlive the server they wait for."""

from __future__ import annotations

from typing import Any


def let_go(result: Any) -> None:
    """Let a result and its relatives have no backend: else they want to talk to it at their end, and wait for it."""
    if result is None:
        return
    for each in getattr(result, "results", None) or [result]:
        each.backend = None
    let_go(result.parent)
