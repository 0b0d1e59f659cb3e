r"""A prefilter in SQL that passes rows without faults, so that Python applies the exact rules to the others only.

The prefilter may send a row without faults to the rules, which costs time; it never passes a row with faults. Where
DuckDB's JSON reader is more lenient than the trainer's (a comma before a closing bracket, NaN and Infinity, duplicate
names), the prefilter tests for it. A property test compares it with `formats.rules` over generated rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from ftsdk.contract.messages import SWITCHES, THOUGHTS
from ftsdk.data.checks.hygiene import SUSPECT, SUSPECT_ENTITY, SUSPECT_ESCAPE
from ftsdk.data.checks.language import SCRIPTS
from ftsdk.data.checks.pii import SUSPICIOUS
from ftsdk.data.formats.rules import PLACEHOLDERS, Rules

_SPACES = "' ' || chr(9) || chr(10) || chr(13)"
_MARKS = (*SWITCHES, *THOUGHTS)
HEAD = 300
"""Characters of each text that are compared."""
FIELD = "chr(31)"
TURN = "chr(30)"
_BLANK = r"""'^"(?:[\s\p{Z}\p{Cc}\p{Cf}\x{2800}\x{3164}\x{fe0f}]|\\[nrtbf]|\\u00[0-9A-Fa-f]{2})*"$'"""
_NO_NUMBER = r"-?(?i:nan|inf(?:inity)?)\s*[,\]}]"
_OBJECT_INSIDE = r'(?:"\s*:|[\[,])\s*\{'
_LISTS_INSIDE = r'"\s*:\s*\[\s*\['
_LENIENT = (rf",\s*(?:[}}\]]|{_NO_NUMBER})", rf":\s*{_NO_NUMBER}", rf"\[\s*{_NO_NUMBER}")
_TEXT_ROLES = ("system", "tools", "history", "prompt", "query", "messages", "response", "chosen", "rejected")


def prefilter_query(rules: Rules, *, prompts: bool, heuristics: bool) -> str:
    """A query over the table `feed` (row, line) of one file; its columns are

    - row, valid: the row number, and whether the line is a JSON object;
    - names, odd_keys: its columns, and the fields of those messages that have others than role and content;
    - ok: the rules find no fault;
    - key, prompt_key: a digest of everything that is learned from the row, and of its prompt (if `prompts`);
    - text_bytes, tokens: an upper bound and an estimate of its tokens; turns: an upper bound of its messages;
    - hot: it may contain a secret or personal data (if `heuristics`);
    - odd: its texts may be unclean (see `hygiene`);
    - label: whether a labelled answer is good;
    - script: the script in which its answer begins (see `language.SCRIPTS`), 0 for ASCII;
    - text: the beginnings of its texts, for near-duplicates.
    """
    roles = {role: f"v[{index}]" for index, role in enumerate(rules.columns, 1)}
    paths = ", ".join(f"'{_path(name)}'" for name in rules.columns.values()) or "'$'"
    messages = _turns_sql(rules)
    texts = [roles[role] for role in _TEXT_ROLES if role in roles]
    values = {**roles, "turns": "m"} if messages else roles
    return f"""
        with picked as (
            select row, line as raw, try(json_extract(line, [{paths}]::varchar[])::varchar[]) as v from feed
        ),
        checked as (select *, v is not null and starts_with(ltrim(raw, {_SPACES}), '{{') as valid from picked),
        guarded as (select *, case when valid then raw end as line, json_keys(line) as names from checked),
        parsed as (select *, {messages or "null::varchar[]"} as m, {_message_keys(rules)} as keys from guarded)
        select row, valid, names, list_filter(keys, lambda k: k <> {_usual_keys(rules)}) as odd_keys,
            coalesce(valid and {_strict(rules)} and {_clean(rules, values)}, false) as ok,
            case when valid then {_key(rules, values)} end as key,
            case when valid then {_prompt_key(rules, values) if prompts else "null"} end as prompt_key,
            coalesce(len(m), 1) + {len(texts)} as turns,
            {_sum([f"strlen({t})" for t in texts])} as text_bytes,
            {_sum([_token_estimate(t) for t in texts])} as tokens,
            {f"regexp_matches(raw, '{_quoted(SUSPICIOUS)}')" if heuristics else "false"} as hot,
            {_odd(rules, values)} as odd,
            {_label(values)} as label,
            {_script(_answer(rules, values))} as script,
            {_compared(rules, values)} as text
        from parsed"""


def _odd(rules: Rules, values: Mapping[str, str]) -> str:
    """It may be unclean. A pattern is applied only where a faster test allows a match; `and` would apply it always."""
    patterns = (
        ("strlen(raw) <> length(raw)", SUSPECT),
        ("contains(raw, chr(92) || 'u')", SUSPECT_ESCAPE),
        ("contains(raw, '&')", SUSPECT_ENTITY),
    )
    tests = [f"case when {test} then regexp_matches(raw, '{_quoted(pattern)}') end" for test, pattern in patterns]
    tests.append("contains(raw, chr(127))")
    tests += [_spaced(values[role]) for role in ("prompt", "query", "response", "chosen", "rejected") if role in values]
    if "turns" in values:
        tests.append(f"len(list_filter(m, lambda x: {_spaced(_member('x', rules.chat.content_key))})) > 0")
    for first in list(rules.columns.values())[:1]:  # a header holds its own name
        tests.append(f"v[1] = '{_quoted(json.dumps(first, ensure_ascii=False))}'")
    return " or ".join(f"coalesce({test}, false)" for test in tests)


def _spaced(value: str) -> str:
    """The JSON text begins or ends with a space or a tab."""
    ends = (" ", "\\t")
    return " or ".join(f"starts_with({value}, '\"{end}') or ends_with({value}, '{end}\"')" for end in ends)


def _path(name: str) -> str:
    """A JSON path to a column, inside a SQL string."""
    inner = name.replace("\\", "\\\\").replace('"', '\\"')
    return _quoted(f'$."{inner}"')


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _sum(parts: Sequence[str]) -> str:
    return " + ".join(f"coalesce({part}, 0)" for part in parts) or "0"


def _turns_sql(rules: Rules) -> str:
    """Messages as a list of structs, from the column that holds them."""
    if "messages" not in rules.columns:
        return ""
    index = list(rules.columns).index("messages") + 1
    shape = json.dumps([dict.fromkeys(("tool_calls", rules.chat.role_key, rules.chat.content_key), "JSON")])
    return f"case when json_type(v[{index}]) = 'ARRAY' then from_json(v[{index}], '{_quoted(shape)}') end"


def _strict(rules: Rules) -> str:
    """True only for JSON that the trainer's reader accepts; DuckDB's is more lenient."""
    tests = [f"not regexp_matches(line, '{_quoted(pattern)}')" for pattern in _LENIENT]
    tests += [_no_doubles("names", rules.usual_names), _flat(rules)]
    tests += [_no_row_weight(rules, name) for name in rules.row_weights]
    if "messages" in rules.columns:
        usual = (rules.chat.role_key, rules.chat.content_key)
        tests.append(
            f"len(list_filter(keys, lambda k: not ({_no_doubles('k', usual)} and {_no_marks('k', usual)}))) = 0"
        )
    return " and ".join(tests)


def _message_keys(rules: Rules) -> str:
    """The names of the fields of each message."""
    if "messages" not in rules.columns:
        return "null::varchar[][]"
    return f"json_keys(line, '{_path(rules.columns['messages'])}[*]')"


def _usual_keys(rules: Rules) -> str:
    return _list((rules.chat.role_key, rules.chat.content_key))


def _list(names: Sequence[str]) -> str:
    """A list of texts in SQL."""
    return "[" + ", ".join(f"'{_quoted(name)}'" for name in names) + "]::varchar[]"


def _no_marks(names: str, usual: Sequence[str]) -> str:
    """No field that says whether an answer is learned, and no thoughts: the rules read them."""
    return f"case when {names} = {_list(usual)} then true else not list_has_any({names}, {_list(_MARKS)}) end"


def _no_row_weight(rules: Rules, name: str) -> str:
    """No weight of the row, or the weight 1."""
    if name not in rules.usual_names:
        return f"not list_contains(names, '{_quoted(name)}')"
    value = f"json_extract(line, '{_path(name)}')::varchar"
    return f"coalesce({value} in ('1', '1.0', 'null', 'true'), true)"


def _flat(rules: Rules) -> str:
    """No objects inside except messages, because names could be duplicated there, and no lists of lists."""
    lists = f"not regexp_matches(line, '{_LISTS_INSIDE}')"
    if "messages" not in rules.columns:
        return f"{lists} and not regexp_matches(line, '{_OBJECT_INSIDE}')"
    return f"{lists} and len(regexp_extract_all(line, '{_OBJECT_INSIDE}')) <= len(m)"


def _no_doubles(names: str, usual: Sequence[str]) -> str:
    """No duplicate names; the usual list of names is only compared, which is faster."""
    return f"case when {names} = {_list(usual)} then true else len({names}) = len(list_distinct({names})) end"


def _filled(value: str) -> str:
    return f"starts_with({value}, '\"') and not regexp_matches({value}, {_BLANK})"


def _clean(rules: Rules, values: Mapping[str, str]) -> str:
    """True only for rows without faults."""
    tests = [f"{_or_empty(values['tools'])} = ''"] if "tools" in values else []
    lists = [values[role] for role in ("history", *PLACEHOLDERS) if role in values]
    tests += [f"coalesce({value} in ('null', '[]'), true)" for value in lists]
    tests += [f"not contains(line, '{mark}')" for role, mark in PLACEHOLDERS.items() if role in values]
    tests += [
        f"coalesce({values[role]} = 'null' or starts_with({values[role]}, '\"'), true)"
        for role in ("query", "system")
        if role in values
    ]
    if "turns" in values:
        tests.append(_chat_clean(rules, values["turns"]))
    elif "prompt" in values:
        tests.append(_filled(values["prompt"]))  # a prompt that is a list of messages is left to the rules
    tests += [_filled(values[role]) for role in ("response",) if role in values]
    if rules.format == "preference":
        tests.append(_pair_clean(rules, values["chosen"], values["rejected"]))
    if rules.format == "kto":
        label = values["kto_tag"]
        tests.append(f"{label} in ('true', 'false')" if rules.label_shape == "true or false" else "false")
    if "answer" in values:
        tests.append(f"{values['answer']} <> 'null'")
    if rules.prompt_shape != "text":
        tests.append("false")
    return " and ".join(f"({test})" for test in tests) or "false"


def _chat_clean(rules: Rules, turns: str) -> str:
    """Roles in order, contents filled, no tool calls."""
    role, content = (_member("x", key) for key in (rules.chat.role_key, rules.chat.content_key))
    names = {kind: re.escape(json.dumps(name, ensure_ascii=False)) for name, kind in rules.chat.kinds.items()}
    system, user, assistant = names["system"], names["user"], names["assistant"]
    body = f"(?:{user},{assistant},)+" if rules.format not in ("preference", "prompts") else (
        f"{user},(?:{assistant},{user},)*"
    )  # fmt: skip
    roles = f"concat(array_to_string(list_transform({turns}, lambda x: coalesce({role}, '?')), ','), ',')"
    quoted_system = _quoted(json.dumps(_name_of(rules, "system"), ensure_ascii=False))
    bad = (
        f"""x is null or {content} is null or not starts_with({content}, '"') """
        f"or ({role} <> '{quoted_system}' and regexp_matches({content}, {_BLANK})) "
        f"or coalesce({_member('x', 'tool_calls')} not in ('null', '[]'), false)"
    )
    return (
        f"regexp_full_match({roles}, '{_quoted(f'(?:{system},)?{body}')}') "
        f"and len(list_filter({turns}, lambda x: {bad})) = 0"
    )


def _name_of(rules: Rules, kind: str) -> str:
    return next(name for name, of in rules.chat.kinds.items() if of == kind)


def _member(struct: str, name: str) -> str:
    return f"{struct}['{_quoted(name)}']::varchar"


def _pair_clean(rules: Rules, chosen: str, rejected: str) -> str:
    if rules.answer_shape != "text":
        return "false"
    spaces = r"""'(?:[\s\p{Z}\x{85}]|\\[nrtbf]|\\u00[0-9A-Fa-f]{2})'"""
    squeezed = (f"regexp_replace({side}, {spaces}, '', 'g')" for side in (chosen, rejected))
    return f"{_filled(chosen)} and {_filled(rejected)} and {' <> '.join(squeezed)}"


def _kind(rules: Rules, role: str) -> str:
    """The meaning of a role, so that the same chat with other names for its roles is the same."""
    cases = " ".join(
        f"when '{_quoted(json.dumps(name, ensure_ascii=False))}' then '{kind}'"
        for name, kind in rules.chat.kinds.items()
    )
    return f"case {role} {cases} else {role} end"


def _turns_text(rules: Rules, turns: str) -> str:
    role, content, calls = (_member("x", k) for k in (rules.chat.role_key, rules.chat.content_key, "tool_calls"))
    parts = f"coalesce({_kind(rules, role)}, ''), coalesce({content}, ''), coalesce({calls}, '')"
    return f"coalesce(array_to_string(list_transform({turns}, lambda x: concat_ws({FIELD}, {parts})), {TURN}), '')"


def _or_empty(value: str) -> str:
    """A value; an empty text, an empty list, null and a missing value are all an empty string."""
    return f"""case when coalesce({value} in ('null', '""', '[]'), true) then '' else {value} end"""


_BESIDES = ("answer", "audios", "chosen", "history", "images", "kto_tag", "rejected", "tools", "videos")


def _parts(rules: Rules, values: Mapping[str, str], roles: Sequence[str], *, answered: bool = True) -> str:
    """The content of a row as one text that does not depend on its format: its system prompt, its chat, and `roles`."""
    if not rules.columns:
        return "line"
    system = _or_empty(values["system"]) if "system" in values else "''"
    if "turns" in values:
        first = f"{_member('m[1]', rules.chat.role_key)} = '{_quoted(json.dumps(_name_of(rules, 'system')))}'"
        last = "" if answered else "-2"
        body = f"case when {first} then m[2:{last}] else m[1:{last}] end"
        content = _or_empty(_member("m[1]", rules.chat.content_key))
        texts = [f"case when {first} then {content} else {system} end", _turns_text(rules, body)]
    else:
        texts = [system, _exchange(values, answered=answered)]
    texts += [_or_empty(values[role]) if role in values else "''" for role in roles]
    return f"concat_ws({FIELD}, {', '.join(texts)})"


def _exchange(values: Mapping[str, str], *, answered: bool) -> str:
    """A prompt and its answer, written as the messages of a chat; the trainer puts the query below the prompt."""
    prompt = values.get("prompt", "''")
    if "query" in values:
        joined = rf"concat({prompt}[:-2], '\n', {values['query']}[2:])"
        empty = f"{_or_empty(values['query'])} = '' or not starts_with({prompt}, '\"')"
        prompt = f"case when {empty} then {prompt} else {joined} end"
    turns = [f"'user', coalesce({prompt}, ''), ''"]
    turns += [f"'assistant', coalesce({values['response']}, ''), ''"] if answered and "response" in values else []
    return f" || {TURN} || ".join(f"concat_ws({FIELD}, {turn})" for turn in turns)


def _key(rules: Rules, values: Mapping[str, str]) -> str:
    """A digest of everything that is learned from a row."""
    return _digest(_parts(rules, values, _BESIDES))


def _prompt_key(rules: Rules, values: Mapping[str, str]) -> str:
    """A digest of the prompt of a row; for labelled answers of prompt and answer."""
    if rules.format == "kto":
        return _digest(_parts(rules, values, [role for role in _BESIDES if role != "kto_tag"]))
    if not {"prompt", "messages"} & set(rules.columns):  # pairs whose prompt is inside the answers
        return _key(rules, values)
    prompt_roles = [role for role in _BESIDES if role not in ("answer", "chosen", "rejected")]
    return _digest(_parts(rules, values, prompt_roles, answered=rules.format in ("preference", "prompts")))


def _digest(text: str) -> str:
    """DuckDB's 64-bit hash and the length: over 1,000,000 rows a false match has a chance below 1 in 10,000,000."""
    return f"(hash({text})::uhugeint << 32) + strlen({text})"


def _label(values: Mapping[str, str]) -> str:
    if "kto_tag" not in values:
        return "null::boolean"
    text = f"lower(trim({values['kto_tag']}, '\"'))"
    return f"case when {text} in ('true', '1') then true when {text} in ('false', '0') then false end"


def _answer(rules: Rules, values: Mapping[str, str]) -> str:
    """The answer as JSON text; of a chat the last message."""
    role = next((r for r in ("response", "chosen", "turns", "prompt") if r in values), None)
    if role == "turns":
        return _member("m[-1]", rules.chat.content_key)
    return values[role] if role else "line"


def _compared(rules: Rules, values: Mapping[str, str]) -> str:
    """The beginnings of the texts, of a chat also the end; without the system prompt, which many rows share."""
    parts = [f"left({values[r]}, {HEAD})" for r in ("prompt", "query", "response", "chosen", "rejected") if r in values]
    if "turns" in values:
        role, content = (_member("x", key) for key in (rules.chat.role_key, rules.chat.content_key))
        system = _quoted(json.dumps(_name_of(rules, "system"), ensure_ascii=False))
        contents = f"list_transform(list_filter(m, lambda x: {role} <> '{system}'), lambda x: {content})"
        whole = f"array_to_string({contents}, ' ')"
        parts += [f"left({whole}, {HEAD})", f"right(substr({whole}, {HEAD + 1}), {HEAD})"]
    return f"concat_ws(' ', {', '.join(parts)})" if parts else "''"


def _script(text: str) -> str:
    """0 where few characters are beyond ASCII, else the number of the script that a text begins in."""
    head = f"left({text}, 400)"
    tests = " ".join(f"when regexp_matches({head}, '{pattern}') then {n}" for n, (_, pattern) in enumerate(SCRIPTS, 1))
    return f"case when strlen({head}) < 1.3 * length({head}) then 0 {tests} else 0 end"


def _token_estimate(text: str) -> str:
    """Tokens without a tokenizer: see `tokens.estimate`."""
    wide = f"((strlen({text}) - length({text})) / 2)"
    return f"((length({text}) - {wide}) / 4.0 + {wide} * 0.75)"
