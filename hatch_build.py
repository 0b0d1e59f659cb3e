"""The readme as an index shows it: links into the repository are absolute there.

Set FTSDK_REPOSITORY to the address of the sources (`make release` does); without it links stay as they are.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE_LINK = re.compile(r"\]\((?!https?://|#)(?P<path>[^)]+)\)")


class ReadmeAndUrls(MetadataHookInterface):
    """Fills `readme` and `urls`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        repository = os.environ.get("FTSDK_REPOSITORY", "").rstrip("/")
        text = Path(self.root, "README.md").read_text("utf-8")
        if repository:
            tree = f"{repository}/blob/v{metadata['version']}"
            text = RELATIVE_LINK.sub(lambda link: f"]({tree}/{link['path']})", text)
            metadata["urls"] = {
                "Repository": repository,
                "Changes": f"{tree}/CHANGELOG.md",
                "Documentation": f"{tree}/docs/concepts.md",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
