"""The programs that tests need beside Python's packages."""

from __future__ import annotations

import os
import shutil

import pytest


def need(*programs: str) -> None:
    """Go on where one of these programs is installed. Missing at home is normal, missing in CI is a broken CI."""
    if not any(map(shutil.which, programs)):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{' or '.join(programs)} is not installed")
