"""Rows in other projects' forms, rewritten into the usual ones while they are read.

- contents in parts: OpenAI's and Anthropic's `[{"type": "text", "text": …}]`, Bedrock's `[{"text": …}]`;
- OpenAI's role `developer`, which is a system message;
- turns in pairs: Firefly's and ms-swift's `{"human": …, "assistant": …}`, xtuner's `{"system", "input", "output"}`.

What a part or a pair says besides stays a field of its message, so that it is counted as unused. Parts that name an
image, video or audio file become a placeholder, and the file an entry of the row's column; TRL writes only the
placeholder. What cannot be rewritten is left as it is, and the rules say what is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from ftsdk.data.formats.catalog import CONTENT_KEYS, ROLE_KEYS, SPELLINGS
from ftsdk.data.formats.rules import parse

REASON: Final = "messages in parts or in pairs, or with the role 'developer'"
_DEVELOPER: Final = b'"developer"'
_LIST: Final = re.compile(
    rb'\[\s*\{\s*"(?:type|text|image|image_url|video|audio|cachePoint|human|assistant|system|input|output)"'
)
_PAIRS: Final = (("human", "assistant"), ("input", "output"))
_LOSS: Final = "output_with_loss"
"""xtuner's name for whether an answer is learned."""
_CHATS: Final = frozenset(
    name for role in ("messages", "prompt", "response", "chosen", "rejected") for name in SPELLINGS[role]
)
_MEDIA: Final = {"image": "images", "image_url": "images", "video": "videos", "audio": "audios"}
_PART_TEXT: Final = ("type", "text")


def may_differ(data: bytes) -> bool:
    """Whether JSON text may hold a row in another form. A quick test that errs on the side of yes."""
    return _DEVELOPER in data or _LIST.search(data) is not None


def usual_text(text: bytes) -> bytes:
    """The JSON text of a row in a usual form; the same text if it has one, or is no row."""
    row, faults = parse(text.decode())
    usual = row if row is None or faults else usual_row(row)
    return text if usual == row else json.dumps(usual, ensure_ascii=False).encode("utf-8", "surrogatepass")


def usual_row(row: dict[str, object]) -> dict[str, object]:
    """The row with its messages in the usual form."""
    media: dict[str, list[str]] = {}
    usual = {name: _usual_value(name, value, media) for name, value in row.items()}
    if any(name in row for name in media):  # two places say which files belong to the row
        return row
    return {**usual, **media}


def _usual_value(name: str, value: object, media: dict[str, list[str]]) -> object:
    column = name.strip().lower()
    if column in SPELLINGS["system"] and isinstance(value, list):
        return _text_of(value, media) or value
    if column not in _CHATS:
        return value
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        return {**value, "messages": _usual_messages(value["messages"], media)}
    return _usual_messages(value, media) if isinstance(value, list) else value


def _usual_messages(messages: list[object], media: dict[str, list[str]]) -> list[object]:
    return [usual for message in messages for usual in _usual_message(message, media)]


def _usual_message(message: object, media: dict[str, list[str]]) -> Iterator[object]:
    if not isinstance(message, dict):
        yield message
        return
    role = next((key for key in ROLE_KEYS if key in message), None)
    if role is None:
        yield from _from_pair(message)
        return
    if message[role] == "developer":
        message = {**message, role: "system"}
    content = next(((key, message[key]) for key in CONTENT_KEYS if isinstance(message.get(key), list)), None)
    text = _text_of(content[1], media) if content else None
    yield message if content is None or text is None else {**message, content[0]: text, **_further(*content)}


def _from_pair(pair: dict[str, object]) -> Iterator[dict[str, object]]:
    """The messages of a pair; a pair that is none is left as it is."""
    names = next((names for names in _PAIRS if set(names) <= pair.keys()), None)
    if names is None:
        yield pair
        return
    ask, answer = names
    if pair.get("system"):
        yield {"role": "system", "content": pair["system"]}
    further = {key: value for key, value in pair.items() if key not in (ask, answer, "system", _LOSS)}
    yield {"role": "user", "content": pair[ask], **further}
    yield {"role": "assistant", "content": pair[answer], **({"loss": pair[_LOSS]} if _LOSS in pair else {})}


def _text_of(parts: list[object], media: dict[str, list[str]]) -> str | None:
    """The parts' texts one after the other, as chat templates write them; None if a part cannot be read."""
    of_parts: dict[str, list[str]] = {}
    texts = [_part_text(part, of_parts) for part in parts]
    if not texts or any(text is None for text in texts):
        return None
    for column, files in of_parts.items():
        media.setdefault(column, []).extend(files)
    return "".join(text for text in texts if text is not None)


def _part_text(part: object, media: dict[str, list[str]]) -> str | None:
    if not isinstance(part, dict):
        return None
    kind = part.get("type", "text" if "text" in part else None)
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind not in _MEDIA:
        return None
    file = _file_of(part, str(kind))
    if file is not None and (not isinstance(file, str) or ":" in file[:10]):  # an address, or the picture itself
        return None
    if file is not None:
        media.setdefault(_MEDIA[str(kind)], []).append(file)
    return f"<{str(kind).removesuffix('_url')}>"


def _file_of(part: Mapping[str, object], kind: str) -> object:
    value = next((part[key] for key in (kind, "path", "url") if part.get(key) is not None), None)
    return value.get("url") if isinstance(value, dict) else value


def _further(content: str, parts: list[object]) -> dict[str, object]:
    """What parts say besides their text, by a name that tells where it stood."""
    known = {*_PART_TEXT, *_MEDIA, "path", "url"}
    objects = (part for part in parts if isinstance(part, dict))
    return {f"{content}[].{key}": value for part in objects for key, value in part.items() if key not in known}
