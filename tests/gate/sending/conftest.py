"""An app on a gate whose time stands still, for what runs send."""

from __future__ import annotations

from tests.support.shop import shop as shop
