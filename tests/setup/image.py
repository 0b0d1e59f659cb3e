"""Build the CPU image on the base that docker.sh made; Docker's cache makes this quick when nothing has changed."""

from __future__ import annotations

import sys

from ftsdk.backends import image
from ftsdk.errors import BackendError

BASE_IMAGE = "ftsdk-base:py3.11"


def main() -> int:
    """0 if the daemon then has the image, 1 with a sentence if it cannot be built."""
    try:
        built = image.build(torch="cpu", base_image=BASE_IMAGE, on_line=lambda line: print(line, file=sys.stderr))
    except BackendError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{built.tag}: {built.bytes / 1e9:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
