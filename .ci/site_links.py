"""A hook of mkdocs: a link from a page to a file outside docs/ works in the repository, and has no page on the site.

There the link leads to `repo_url` where mkdocs.yml has one, and else only its text is left.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links of a page that leave docs/."""
    folder = posixpath.dirname(page.file.src_uri)

    def rewritten(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        if path.startswith("docs/"):
            return link[0]
        return f"[{link[1]}]({config.repo_url.rstrip('/')}/blob/main/{path})" if config.repo_url else link[1]

    return LINK.sub(rewritten, markdown)
