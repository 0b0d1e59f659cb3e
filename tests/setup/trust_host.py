"""Add the certificates that this host trusts beyond Debian's own to a Debian root folder: `trust_host.py ROOT`.

Behind a TLS-inspecting proxy nothing in a container reaches an index without them. They go into the base image of the
tests and nowhere else.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def certificates(bundle: Path) -> dict[str, str]:
    """The bundle's certificates, keyed by their content without white space."""
    found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", bundle.read_text(), re.DOTALL)
    return {"".join(text.split()): text for text in found}


def main(root: Path) -> None:
    """Write what the host has and the root has not where `update-ca-certificates` looks for it."""
    known = certificates(root / BUNDLE)
    extra = [text for key, text in certificates(Path("/", BUNDLE)).items() if key not in known]
    folder = root / "usr/local/share/ca-certificates"
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(extra):
        (folder / f"host-{number}.crt").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
