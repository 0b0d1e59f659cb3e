"""Detects the format of a file from its column names and a few sample rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ftsdk.data.formats.catalog import (
    CONTENT_KEYS,
    FORMATS,
    OPENAI_TAGS,
    PROMPT_METHODS,
    ROLE_KEYS,
    ROLE_NAMES,
    SHAREGPT_TAGS,
    SPELLINGS,
)
from ftsdk.errors import DataError, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """The detected format of a file, and why."""

    format: str
    """A name from `FORMATS`."""
    columns: dict[str, str]
    """Role -> column, only for columns that the file has."""
    tags: dict[str, str] = field(default_factory=dict)
    """Names inside chat messages (all seven of LLaMA-Factory's tags), empty where there are no messages."""
    why: str
    """One sentence for people."""
    convert_first: str = ""
    """Why LLaMA-Factory cannot load the file as it is (then stage what `convert` writes); empty if it can."""


def detect(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    *,
    method: str | None = None,
    format: str | None = None,
    given_columns: Mapping[str, str] | None = None,
    given_tags: Mapping[str, str] | None = None,
    where: str = "the data",
) -> Detected:
    """Say which format a file has, from its column names and a few sample rows.

    `method` settles what columns alone cannot: question and answer are instruction data for `sft`, and prompts
    with a reference answer for `grpo`. `format`, `given_columns` and `given_tags` come from the user and are not
    overridden.

    Raises DataError when the columns fit no format or a named column is not there.
    """
    every = _Columns(columns, rows, dict(given_columns or {}), where)
    usual = every.usual()
    name, why = (format, "as the spec says") if format else _recognise(usual, every, method)
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS)
        raise DataError(f"Unknown format '{name}'{hint} for {where}; known: {', '.join(FORMATS)}.")
    roles = _assign(name, usual, every)
    _require(name, roles, every)
    tags = _tags(name, roles, rows, given_tags or {})
    listed = ", ".join(f"{column} is the {role}" if role != column else column for role, column in roles.items())
    return Detected(
        format=name,
        columns=roles,
        tags=tags,
        why=f"{where}: {name} ({FORMATS[name].meaning}), {why}; columns: {listed}",
        convert_first=_convert_reason(name, roles, tags, rows),
    )


class _Columns:
    """Column names of a file, compared without regard to case, and the values of its sample rows."""

    def __init__(
        self, names: Sequence[str], rows: Sequence[Mapping[str, object]], given: dict[str, str], where: str
    ) -> None:
        self.names = tuple(names)
        self.rows = rows
        self.given = given
        self.where = where
        self._by_lower = {name.strip().lower(): name for name in reversed(self.names)}
        for role, name in given.items():
            if role not in SPELLINGS:
                raise DataError(f"'{role}' is no role of a column{did_you_mean(role, SPELLINGS)}.")
            if name not in self.names:
                have = ", ".join(self.names) or "none"
                hint = did_you_mean(name, self.names)
                raise DataError(f"There is no column '{name}'{hint} for the role {role} in {where}; it has {have}.")

    def usual(self) -> _Columns:
        """Only those columns that at least half of the sample rows have: a few odd rows must not decide for a file."""
        counts = Counter(name for row in self.rows for name in row)
        names = [name for name in self.names if 2 * counts[name] >= len(self.rows) or name in self.given.values()]
        return self if len(names) == len(self.names) else _Columns(names, self.rows, self.given, self.where)

    def find(self, role: str, *, but: Sequence[str] = ()) -> str | None:
        """The column for a role: the given one, else the first known spelling that is not in `but`."""
        if role in self.given:
            return self.given[role]
        taken = {*but, *self.given.values()}
        names = (self._by_lower.get(spelling) for spelling in SPELLINGS[role])
        return next((name for name in names if name and name not in taken), None)

    def values(self, name: str) -> list[object]:
        return [row[name] for row in self.rows if row.get(name) is not None]

    def messages(self) -> str | None:
        """The column that holds lists of messages."""
        if "messages" in self.given:
            return self.given["messages"]
        names = (self._by_lower.get(spelling) for spelling in SPELLINGS["messages"])
        present = [name for name in names if name]
        return next((n for n in present if any(isinstance(v, list) for v in self.values(n))), None)

    def label(self) -> str | None:
        """The column of KTO labels: only one whose values are good or bad, since `label` also names classes."""
        name = self.find("kto_tag")
        if name and ("kto_tag" in self.given or name.lower() == "kto_tag" or any(map(is_label, self.values(name)))):
            return name
        return None


def is_label(value: object) -> bool:
    """Whether a value can be read as a KTO label: true or false, 1 or 0, also as text."""
    return value in (True, False) or str(value).strip().lower() in ("true", "false", "1", "0")


def _recognise(usual: _Columns, every: _Columns, method: str | None) -> tuple[str, str]:
    """(format, reason) from the usual columns, else from all of them."""
    match = _fitting(usual, method) or _fitting(every, method)
    if match:
        return match
    have = ", ".join(every.names[:12]) or "none"
    raise DataError(
        f"The columns of {every.where} ({have}) fit no known format; say which with dataset.format and "
        "dataset.columns, e.g. format: alpaca, columns: {prompt: question, response: reply}."
    )


def _fitting(columns: _Columns, method: str | None) -> tuple[str, str] | None:
    """(format, reason) if there is one; the method only decides between readings that both fit."""
    messages, prompt = columns.messages(), columns.find("prompt")
    text = columns.find("text")
    if method == "pt" and text:
        return "text", f"because the method is pt and there is a column '{text}'"
    chosen, rejected = columns.find("chosen"), columns.find("rejected")
    if chosen and rejected:
        return "preference", f"because it has '{chosen}' and '{rejected}'"
    label = columns.label()
    if label and method in (None, "kto") and (messages or prompt):
        return "kto", f"because '{label}' holds true and false"
    if method in PROMPT_METHODS and (messages or prompt):
        return "prompts", f"because the method is {method} and there is '{messages or prompt}'"
    if messages:
        return _chat_format(columns, messages)
    response = columns.find("response", but=(prompt,) if prompt else ())
    if prompt and response:
        return "alpaca", f"because it has '{prompt}' and '{response}'"
    if text:
        return "text", f"because it has '{text}' and no prompt"
    if prompt:
        return "prompts", f"because it has '{prompt}' and no answer"
    return None


def _chat_format(columns: _Columns, messages: str) -> tuple[str, str]:
    keys = Counter(key for turns in columns.values(messages) for turn in _turns(turns) for key in turn)
    role, content = _most_used(ROLE_KEYS, keys, "from"), _most_used(CONTENT_KEYS, keys, "value")
    name = "openai" if (role, content) == ("role", "content") else "sharegpt"
    return name, f"because '{messages}' holds {role} and {content}"


def _most_used(candidates: Sequence[str], counts: Mapping[str, int], default: str) -> str:
    """The most frequent candidate: a few odd rows must not decide for a file."""
    used = [name for name in candidates if counts.get(name)]
    return max(used, key=lambda name: counts[name]) if used else default


_MAIN_ROLES = ("messages", "prompt", "response", "chosen", "rejected", "kto_tag")


def _assign(name: str, usual: _Columns, every: _Columns) -> dict[str, str]:
    """Role -> column for a format; what only few rows have is taken if it is required or changes no other role."""
    roles = _assigned(name, usual)
    if usual is not every:
        needed = [role for role in FORMATS[name].required if role not in roles]
        for role, column in _assigned(name, every).items():
            if role not in roles and column not in roles.values() and (role in needed or role not in _MAIN_ROLES):
                roles[role] = column
    return roles


def _assigned(name: str, columns: _Columns) -> dict[str, str]:
    """Role -> column for a format, each column used once, in the order of the format's roles."""
    info = FORMATS[name]
    roles: dict[str, str] = {}
    messages = columns.messages() if "messages" in (*info.required, *info.optional) else None
    if messages:
        roles["messages"] = messages
    for role in (*info.required, *info.optional):
        if role == "messages" or (messages and role in ("prompt", "query", "response", "history")):
            continue
        column = _column_for(name, role, columns, tuple(roles.values()))
        if column:
            roles[role] = column
    return roles


def _column_for(name: str, role: str, columns: _Columns, taken: tuple[str, ...]) -> str | None:
    if role == "kto_tag":
        return columns.find(role) if "kto_tag" in columns.given else columns.label() or columns.find(role)
    if name == "text" and role == "prompt":
        return columns.given.get("prompt") or columns.given.get("text") or columns.find("text")
    return columns.find(role, but=taken)


def _require(name: str, roles: Mapping[str, str], columns: _Columns) -> None:
    missing = [role for role in FORMATS[name].required if role not in roles]
    if name in ("kto", "prompts") and not ({"messages", "prompt"} & set(roles)):
        missing.append("prompt")
    if name == "kto" and "messages" not in roles and "response" not in roles:
        missing.append("response")
    if missing:
        have = ", ".join(columns.names[:12]) or "none"
        raise DataError(
            f"Format {name} needs a column for {' and '.join(missing)}, and {columns.where} has {have}; "
            f"name it in dataset.columns, e.g. {{{missing[0]}: {columns.names[0] if columns.names else 'column'}}}."
        )


def _turns(value: object) -> list[Mapping[str, object]]:
    if isinstance(value, Mapping):
        return _turns(value["messages"]) if isinstance(value.get("messages"), list) else [value]
    return [turn for turn in value if isinstance(turn, Mapping)] if isinstance(value, list) else []


def _sample_turns(roles: Mapping[str, str], rows: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    names = [roles[role] for role in ("messages", "chosen", "rejected", "prompt", "response") if role in roles]
    return [turn for row in rows for name in names for turn in _turns(row.get(name))]


def _tags(
    name: str, roles: Mapping[str, str], rows: Sequence[Mapping[str, object]], given: Mapping[str, str]
) -> dict[str, str]:
    """All seven tags: the given one, else what the sample rows use, else the usual names of that style."""
    turns = _sample_turns(roles, rows)
    if not turns and "messages" not in roles:
        return dict(given)
    keys = Counter(key for turn in turns for key in turn)
    role = given.get("role_tag") or _most_used(ROLE_KEYS, keys, "role" if name == "openai" else "from")
    content = given.get("content_tag") or _most_used(CONTENT_KEYS, keys, "content" if name == "openai" else "value")
    tags = {**(OPENAI_TAGS if role == "role" else SHAREGPT_TAGS), "role_tag": role, "content_tag": content}
    roles_used = Counter(str(turn.get(role)) for turn in turns)
    return {**tags, **{tag: _most_used(names, roles_used, tags[tag]) for tag, names in ROLE_NAMES.items()}, **given}


def _convert_reason(
    name: str, roles: Mapping[str, str], tags: Mapping[str, str], rows: Sequence[Mapping[str, object]]
) -> str:
    if name == "prompts":  # LLaMA-Factory never loads them
        return ""
    turns = _sample_turns(roles, rows)
    if any(turn.get("tool_calls") or turn.get(tags.get("role_tag", "")) == "tool" for turn in turns):
        return "tool calls in OpenAI's form: LLaMA-Factory encodes their arguments twice"
    if any(isinstance(turn.get(tags.get("content_tag", "")), list) for turn in turns):
        return "message contents that are lists of parts"
    answers = [row.get(roles[r]) for row in rows for r in ("chosen", "rejected") if r in roles]
    if any(isinstance(a, list) for a in answers):
        return "answers that are lists of messages: LLaMA-Factory takes text or one message"
    if "messages" not in roles and any(isinstance(a, Mapping) for a in answers):
        return "answers that are messages beside a prompt that is not a chat"
    if "messages" in roles and any(isinstance(a, str) for a in answers):
        return "answers that are text beside a prompt that is a chat"
    if any(isinstance(row.get(roles.get(role, "")), list | Mapping) for row in rows for role in ("prompt", "response")):
        return "prompts or answers that are lists of messages"
    if name == "kto" and any(not isinstance(row.get(roles["kto_tag"]), bool) for row in rows):
        return "labels that are not true or false"
    return ""
