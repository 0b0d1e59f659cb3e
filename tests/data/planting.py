"""Makes training data of every format, with a known fault in known rows. Everything follows from a seed."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
VOCABULARY = """
    amber basin cedar delta ember fjord glade harbor island jungle kettle lantern meadow nectar orchard pepper quartz
    river saddle timber umbra valley willow xylem yarrow zephyr anchor bridge candle dragon engine forest garden hollow
    iron jasper kernel ladder marble needle oyster pillar quiver rocket shadow tunnel urchin velvet walnut yellow zigzag
"""


@dataclass
class Planted:
    """Lines of a JSONL file and what is wrong with which of them."""

    lines: list[bytes]
    expected: dict[int, set[str]] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return b"\n".join(self.lines) + b"\n"


def sentence(rng: random.Random, least: int = 12, most: int = 30) -> str:
    return " ".join(rng.choice(VOCABULARY.split()) for _ in range(rng.randint(least, most))).capitalize() + "."


def turns(rng: random.Random, names: tuple[str, str, str, str], pairs: int, *, open_ended: bool = False) -> list[Row]:
    role, content, user, assistant = names
    found = []
    for _ in range(pairs):
        found += [{role: user, content: sentence(rng)}, {role: assistant, content: sentence(rng)}]
    return found[:-1] if open_ended else found


OPENAI = ("role", "content", "user", "assistant")
SHAREGPT = ("from", "value", "human", "gpt")


def tool_chat(rng: random.Random) -> Row:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "look_up", "arguments": json.dumps({"q": sentence(rng)})},
    }
    return {
        "messages": [
            {"role": "system", "content": "Use tools."},
            {"role": "user", "content": sentence(rng)},
            {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "c2"}]},
            {"role": "tool", "tool_call_id": "c1", "content": "{}"},
            {"role": "tool", "tool_call_id": "c2", "content": ""},
            {"role": "assistant", "content": sentence(rng)},
        ],
        "tools": [{"type": "function", "function": {"name": "look_up", "parameters": {}}}],
    }


def sharegpt_tools(rng: random.Random) -> Row:
    return {
        "conversations": [
            {"from": "human", "value": sentence(rng)},
            {"from": "function_call", "value": json.dumps({"name": "look_up", "arguments": {"q": sentence(rng)}})},
            {"from": "observation", "value": "{}"},
            {"from": "gpt", "value": sentence(rng)},
        ],
        "tools": json.dumps([{"name": "look_up", "parameters": {}}]),
    }


CLEAN: dict[str, tuple[str, Callable[[random.Random], Row]]] = {
    "alpaca": ("sft", lambda r: {
        "instruction": sentence(r), "input": r.choice(["", sentence(r)]), "output": sentence(r)}),
    "question": ("sft", lambda r: {"question": sentence(r), "answer": sentence(r)}),
    "history": ("sft", lambda r: {
        "instruction": sentence(r), "output": sentence(r), "system": sentence(r),
        "history": [[sentence(r), sentence(r)]]}),
    "sharegpt": ("sft", lambda r: {"conversations": turns(r, SHAREGPT, r.randint(1, 3))}),
    "sharegpt_tools": ("sft", sharegpt_tools),
    "openai": ("sft", lambda r: {
        "messages": r.choice([[], [{"role": "system", "content": sentence(r)}]]) + turns(r, OPENAI, r.randint(1, 3))}),
    "openai_tools": ("sft", tool_chat),
    "pair": ("dpo", lambda r: {"prompt": sentence(r), "chosen": sentence(r), "rejected": sentence(r)}),
    "pair_chat": ("dpo", lambda r: {
        "conversations": turns(r, SHAREGPT, 2, open_ended=True),
        "chosen": {"from": "gpt", "value": sentence(r)}, "rejected": {"from": "gpt", "value": sentence(r)}}),
    "pair_lists": ("dpo", lambda r: {
        "prompt": sentence(r), "chosen": turns(r, OPENAI, 1), "rejected": turns(r, OPENAI, 1)[:0] or None}),
    "kto": ("kto", lambda r: {"prompt": sentence(r), "completion": sentence(r), "label": r.random() < 0.5}),
    "kto_chat": ("kto", lambda r: {"messages": turns(r, OPENAI, 1), "label": r.random() < 0.5}),
    "text": ("pt", lambda r: {"text": sentence(r)}),
    "prompts": ("grpo", lambda r: {"prompt": sentence(r), "answer": str(r.randint(0, 99))}),
}  # fmt: skip
del CLEAN["pair_lists"]


def pair_lists(rng: random.Random) -> Row:
    ask = {"role": "user", "content": sentence(rng)}
    say = [{"role": "assistant", "content": sentence(rng)} for _ in range(2)]
    return {"chosen": [ask, say[0]], "rejected": [ask, say[1]]}


CLEAN["pair_lists"] = ("dpo", pair_lists)

# --- faults ----------------------------------------------------------------------------------------------------
Fault = Callable[[random.Random, Row], bytes]


def dumped(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode()


def changed(row: Row, name: str, value: Any) -> bytes:
    return dumped({**row, name: value})


def without(row: Row, name: str) -> bytes:
    return dumped({key: value for key, value in row.items() if key != name})


TEXT_FAULTS: dict[str, tuple[str, Fault]] = {
    "cut": ("bad_json", lambda r, row: dumped(row)[: r.randint(1, len(dumped(row)) - 1)]),
    "comma": ("bad_json", lambda r, row: dumped(row)[:-1] + b",}"),
    "comma_space": ("bad_json", lambda r, row: dumped(row)[:-1] + b" , }"),
    "no_quotes": ("bad_json", lambda r, row: dumped(row).replace(b'"', b"'")),
    "nan": ("bad_json", lambda r, row: dumped(row)[:-1] + b', "score": NaN}'),
    "infinity": ("bad_json", lambda r, row: dumped(row)[:-1] + b', "score": [1, -Infinity]}'),
    "control": ("bad_json", lambda r, row: dumped(row)[:-1] + b', "x": "a	b"}'),
    "nul": ("bad_json", lambda r, row: dumped(row)[:-2] + b"\0" + dumped(row)[-2:]),
    "surrogate": ("bad_json", lambda r, row: dumped(row)[:-1] + b', "x": "\\ud83d"}'),
    "two_objects": ("bad_json", lambda r, row: dumped(row) * 2),
    "comment": ("bad_json", lambda r, row: dumped(row) + b" // fine"),
    "latin": ("encoding", lambda r, row: dumped(row)[:-2] + b"caf\xe9" + dumped(row)[-2:]),
    "gbk": ("encoding", lambda r, row: dumped(row)[:-2] + "你好世界".encode("gbk") + dumped(row)[-2:]),
    "cut_utf8": ("encoding", lambda r, row: dumped(row)[:-2] + "é".encode()[:1] + dumped(row)[-2:]),
    "list": ("not_object", lambda r, row: dumped([row])),
    "string": ("not_object", lambda r, row: dumped("x")),
    "null": ("not_object", lambda r, row: b"null"),
    "twice": ("duplicate_key", lambda r, row: dumped(row)[:-1] + b', "zz": 1, "zz": 2}'),
}  # fmt: skip

BLANKS = [" ", "\n\t", "\u3000", "\u200b", "\x1f"]
REQUIRED = {
    "alpaca": ("instruction", "output"), "question": ("question", "answer"), "history": ("instruction", "output"),
    "sharegpt": (), "sharegpt_tools": (), "openai": (), "openai_tools": (), "pair": ("prompt", "chosen", "rejected"),
    "pair_chat": (), "pair_lists": (), "kto": ("prompt", "completion"), "kto_chat": (), "text": ("text",),
    "prompts": ("prompt",),
}  # fmt: skip
CHATS = {
    "sharegpt": ("conversations", SHAREGPT), "openai": ("messages", OPENAI), "kto_chat": ("messages", OPENAI),
    "pair_chat": ("conversations", SHAREGPT), "openai_tools": ("messages", OPENAI),
    "sharegpt_tools": ("conversations", SHAREGPT),
}  # fmt: skip


def field_faults(shape: str) -> dict[str, tuple[str, Fault]]:
    """Faults of the fields of one shape of rows."""
    found: dict[str, tuple[str, Fault]] = {}
    for name in REQUIRED[shape]:
        found |= {
            f"no {name}": ("missing_field", lambda r, row, n=name: without(row, n)),
            f"null {name}": ("missing_field", lambda r, row, n=name: changed(row, n, None)),
            f"empty {name}": ("empty_field", lambda r, row, n=name: changed(row, n, "")),
            f"blank {name}": ("empty_field", lambda r, row, n=name: changed(row, n, r.choice(BLANKS))),
            f"number {name}": ("wrong_type", lambda r, row, n=name: changed(row, n, r.choice([7, 0, 1.5, True]))),
            f"list {name}": ("wrong_type", lambda r, row, n=name: changed(row, n, [row[n]])),
            f"object {name}": ("wrong_type", lambda r, row, n=name: changed(row, n, {"a": row[n]})),
        }  # fmt: skip
    if shape == "alpaca":
        found["number input"] = ("wrong_type", lambda r, row: changed(row, "input", 5))
    if shape == "history":
        found["odd history"] = ("wrong_type", lambda r, row: changed(row, "history", [["a"]]))
    if shape == "pair":
        found["same"] = ("same_pair", lambda r, row: changed(row, "rejected", row["chosen"]))
        found["same but blanks"] = ("same_pair", lambda r, row: changed(row, "rejected", f" {row['chosen']}\n"))
    if shape == "pair_chat":
        found["same"] = ("same_pair", lambda r, row: changed(row, "rejected", row["chosen"]))
        found["no chosen"] = ("missing_field", lambda r, row: without(row, "chosen"))
        found["text chosen"] = ("wrong_type", lambda r, row: changed(row, "chosen", "text"))
        found["human"] = ("role_order", lambda r, row: changed(row, "chosen", {"from": "human", "value": "x"}))
    if shape == "pair_lists":
        found["same"] = ("same_pair", lambda r, row: changed(row, "rejected", row["chosen"]))
        found["empty list"] = ("empty_field", lambda r, row: changed(row, "chosen", []))
        found["other prompt"] = ("pair_prompt", lambda r, row: changed(
            row, "rejected", [{"role": "user", "content": "Other?"}, row["rejected"][1]]))  # fmt: skip
    if shape in ("kto", "kto_chat"):
        found["no label"] = ("missing_field", lambda r, row: without(row, "label"))
        found["odd label"] = ("bad_label", lambda r, row: changed(row, "label", r.choice(["good", 1, 2, "true", []])))
    if shape == "prompts":
        found["no answer"] = ("missing_field", lambda r, row: without(row, "answer"))
    return found | (_chat_faults(*CHATS[shape], shape) if shape in CHATS else {})


def _chat_faults(name: str, names: tuple[str, str, str, str], shape: str) -> dict[str, tuple[str, Fault]]:
    role, content, user, assistant = names

    def edit(change: Callable[[random.Random, list[Row]], None]) -> Fault:
        def planted(rng: random.Random, row: Row) -> bytes:
            messages = json.loads(json.dumps(row[name]))
            change(rng, messages)
            return changed(row, name, messages)

        return planted

    def first_user(messages: list[Row]) -> Row:
        return next(m for m in messages if m[role] == user)

    faults: dict[str, tuple[str, Fault]] = {
        "no messages": ("missing_field", lambda r, row: without(row, name)),
        "empty messages": ("empty_field", lambda r, row: changed(row, name, [])),
        "text messages": ("wrong_type", lambda r, row: changed(row, name, "hello")),
        "text message": ("wrong_type", edit(lambda r, m: m.insert(0, "hello"))),
        "null message": ("wrong_type", edit(lambda r, m: m.append(None))),
        "unknown role": ("unknown_role", edit(
            lambda r, m: first_user(m).update({role: r.choice(["bot", "User", "narrator"])}))),
        "number role": ("wrong_type", edit(lambda r, m: first_user(m).update({role: 1}))),
        "no role": ("missing_field", edit(lambda r, m: first_user(m).pop(role) and None)),
        "no content": ("missing_field", edit(lambda r, m: first_user(m).pop(content) and None)),
        "number content": ("wrong_type", edit(lambda r, m: first_user(m).update({content: 3}))),
        "parts": ("wrong_type", edit(lambda r, m: first_user(m).update({content: [{"type": "refusal"}]}))),
        "empty content": ("empty_field", edit(lambda r, m: first_user(m).update({content: " "}))),
        "twice the same role": ("role_order", edit(
            lambda r, m: m.insert(m.index(first_user(m)), {role: user, content: "x"}))),
        "answer first": ("role_order", edit(
            lambda r, m: m.insert(m.index(first_user(m)), {role: assistant, content: "x"}))),
        "system late": ("role_order", edit(lambda r, m: m.insert(len(m) - 1, {role: "system", content: "x"}))),
        "ends wrong": ("role_order", edit(lambda r, m: m.append(
            {role: user if shape != "pair_chat" else assistant, content: "x"}))),
        "only system": ("role_order", edit(lambda r, m: m.__setitem__(slice(None), [{role: "system", content: "x"}]))),
        "twice in message": ("duplicate_key", lambda r, row: dumped(row).replace(
            f'"{role}": "{user}"'.encode(), f'"{role}": "{user}", "{role}": "{user}"'.encode(), 1)),
    }  # fmt: skip
    if role == "role":
        calls = [{"function": {"name": "f", "arguments": "{"}}]
        faults["bad calls"] = ("bad_tools", edit(lambda r, m: _last_answer(m).update(tool_calls=calls)))
    if shape == "openai_tools":
        faults |= {
            "bad arguments": ("bad_tools", edit(lambda r, m: m[2]["tool_calls"][0]["function"].update(arguments="{"))),
            "no function": ("bad_tools", edit(lambda r, m: m[2]["tool_calls"][0].pop("function") and None)),
            "no call": ("role_order", edit(lambda r, m: m.pop(2) and None)),
            "bad tools": ("bad_tools", lambda r, row: changed(row, "tools", "[{")),
        }
    if shape == "sharegpt_tools":
        faults |= {
            "bad call": ("bad_tools", edit(lambda r, m: m[1].update(value="look_up(q)"))),
            "nameless call": ("bad_tools", edit(lambda r, m: m[1].update(value='{"arguments": {}}'))),
            "no result": (
                "role_order",
                edit(lambda r, m: m.__delitem__(slice(2, 4)) or m.append({role: user, content: "x"})),
            ),
            "bad tools": ("bad_tools", lambda r, row: changed(row, "tools", "look_up")),
            "list tools": ("wrong_type", lambda r, row: changed(row, "tools", [{"name": "look_up"}])),
        }
    return faults


def _last_answer(messages: list[Row]) -> Row:
    return [message for message in messages if message["role"] == "assistant"][-1]


def clean_rows(shape: str, count: int, seed: int) -> list[Row]:
    rng = random.Random(f"{shape} {seed}")
    return [CLEAN[shape][1](rng) for _ in range(count)]


def planted(shape: str, seed: int, *, count: int = 400, share: float = 0.2) -> Planted:
    """Rows of one shape, about a fifth of them with one fault each, and a few exact duplicates."""
    rng = random.Random(f"faults {shape} {seed}")
    faults = list((TEXT_FAULTS | field_faults(shape)).values())
    made = Planted([])
    clean: list[bytes] = []
    for number, row in enumerate(clean_rows(shape, count, seed), 1):
        dice = rng.random()
        if dice < share and number > 5:
            code, fault = faults[rng.randrange(len(faults))]
            made.lines.append(fault(rng, row))
            made.expected[number] = {code}
        elif dice < share + 0.03 and len(clean) > 2:
            made.lines.append(rng.choice(clean))
            made.expected[number] = {"duplicate"}
        elif dice < share + 0.05:
            made.lines.append(b"")
            made.expected[number] = {"blank_line"}
        else:
            made.lines.append(dumped(row))
            clean.append(made.lines[-1])
    return made
