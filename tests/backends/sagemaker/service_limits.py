"""The shape of CreateTrainingJob in botocore's service model; as a program it writes the table that ftsdk ships.

`python -m tests.backends.sagemaker.service_limits`, with boto3 installed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parents[3] / "ftsdk" / "backends" / "sagemaker" / "data" / "create_training_job.json"
RULES = ("min", "max", "pattern", "enum")


def shape_of(shape: Any) -> dict[str, Any]:
    """A shape with its limits, all the way down."""
    found: dict[str, Any] = {"type": shape.type_name}
    found |= {rule: shape.metadata[rule] for rule in RULES if rule in shape.metadata}
    if found.get("pattern") in (".*", "[\\S\\s]*"):
        del found["pattern"]
    if shape.type_name == "structure":
        found["required"] = list(shape.required_members)
        found["members"] = {name: shape_of(member) for name, member in shape.members.items()}
    elif shape.type_name == "list":
        found["member"] = shape_of(shape.member)
    elif shape.type_name == "map":
        found |= {"key": shape_of(shape.key), "value": shape_of(shape.value)}
    return found


def table() -> dict[str, Any]:
    """What the installed botocore says."""
    import botocore
    from botocore.session import get_session

    model = get_session().get_service_model("sagemaker")
    source = f"botocore {botocore.__version__}, sagemaker/2017-07-24/service-2.json"
    return {"source": source, "request": shape_of(model.operation_model("CreateTrainingJob").input_shape)}


if __name__ == "__main__":
    TABLE.write_text(json.dumps(table(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
