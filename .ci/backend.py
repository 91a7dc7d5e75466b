"""The build backend: setuptools, with a README for PyPI, where a link to a file of the repository leads nowhere.

It writes `build/README.md`, the long description that setup.cfg names, before setuptools reads it: the README with
every relative link made absolute, by the project's address in setup.cfg.
"""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from setuptools import build_meta

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")
#: Code stays as it is.
CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)

get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
get_requires_for_build_wheel = build_meta.get_requires_for_build_wheel
get_requires_for_build_editable = build_meta.get_requires_for_build_editable


def build_sdist(*arguments: Any, **options: Any) -> str:
    """Build the source distribution."""
    write()
    return str(build_meta.build_sdist(*arguments, **options))


def build_wheel(*arguments: Any, **options: Any) -> str:
    """Build the wheel."""
    write()
    return str(build_meta.build_wheel(*arguments, **options))


def build_editable(*arguments: Any, **options: Any) -> str:
    """Build the wheel of an editable installation."""
    write()
    return str(build_meta.build_editable(*arguments, **options))


def prepare_metadata_for_build_wheel(*arguments: Any, **options: Any) -> str:
    """Write the metadata of a wheel."""
    write()
    return str(build_meta.prepare_metadata_for_build_wheel(*arguments, **options))


def prepare_metadata_for_build_editable(*arguments: Any, **options: Any) -> str:
    """Write the metadata of an editable installation."""
    write()
    return str(build_meta.prepare_metadata_for_build_editable(*arguments, **options))


def write() -> None:
    """Write the README for PyPI. Backends run in the root of the project."""
    setup = ConfigParser(interpolation=None)
    setup.read("setup.cfg", encoding="utf-8")
    Path("build").mkdir(exist_ok=True)
    Path("build/README.md").write_text(
        absolute(Path("README.md").read_text("utf-8"), setup["metadata"]["url"]), encoding="utf-8"
    )


def absolute(text: str, repository: str) -> str:
    """Return a page whose links to files of the repository lead to GitHub, and its pictures to their contents.

    Args:
        text: The page, in the root of the repository.
        repository: The address of the repository on GitHub.
    """
    contents = repository.replace("https://github.com/", "https://raw.githubusercontent.com/")

    def rewritten(link: re.Match[str]) -> str:
        image, words, path = link.groups()
        return f"{image}[{words}]({f'{contents}/main' if image else f'{repository}/blob/main'}/{path})"

    code: list[str] = []

    def masked(found: re.Match[str]) -> str:
        code.append(found[0])
        return f"\0{len(code) - 1}\0"

    done = LINK.sub(rewritten, CODE.sub(masked, text))
    return re.sub("\0([0-9]+)\0", lambda mask: code[int(mask[1])], done)
