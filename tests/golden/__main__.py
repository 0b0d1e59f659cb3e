"""`python -m tests.golden` writes the golden plans again; look at the difference before you commit it."""

import json

from tests.golden.plans import golden_files

for path, plan in golden_files():
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
