"""JSON whose shape others decide: a vendor's response, a user's row, a library's configuration file.

JSON that ftsdk writes has a TypedDict. This module travels inside the job, so it imports the standard library only.
"""

from __future__ import annotations

from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object that ftsdk does not define. Its values are checked where they are read."""
