"""The JSON schema of a spec, with the short forms of YAML."""

from __future__ import annotations

from ftsdk.spec.job import JobSpec
from ftsdk.spec.method import STAGES
from ftsdk.spec.program import PROGRAMS
from ftsdk.spec.sharding import SHARDINGS
from ftsdk.spec.tuning import TUNINGS


def json_schema() -> dict[str, object]:
    """JSON schema (2020-12) for editors; field texts are the spec's own docstrings."""
    schema = JobSpec.model_json_schema()
    short: dict[str, dict[str, object]] = {
        "method": {"enum": list(STAGES)},
        "tuning": {"enum": list(TUNINGS)},
        "sharding": {"enum": list(SHARDINGS)},
        "program": {"enum": list(PROGRAMS)},
        "retry": {"type": "integer", "minimum": 0},
        "dataset": {"type": ["string", "array"], "items": {"type": "string"}},
    }
    for name, form in short.items():
        field = schema["properties"][name]
        field.pop("discriminator", None)
        whole = {key: field.pop(key) for key in ("$ref", "allOf", "anyOf", "oneOf") if key in field}
        field["anyOf"] = [form, whole]
    one_path = {"type": "string", "minLength": 1}
    for name in ("train", "eval"):
        field = schema["$defs"]["Dataset"]["properties"][name]
        schema["$defs"]["Dataset"]["properties"][name] = {
            "anyOf": [one_path, {k: v for k, v in field.items() if k not in ("title", "description", "default")}],
            **{k: v for k, v in field.items() if k in ("title", "description", "default")},
        }
    schema["required"] = ["model"]
    schema["anyOf"] = [{"required": ["dataset"]}, {"required": ["program"]}]
    rewards = schema["$defs"]["Method"]["properties"]["rewards"]
    rewards["items"] = {"anyOf": [{"type": "string", "minLength": 1}, rewards["items"]]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "ftsdk job"}
