"""Near-duplicates: MinHash over words in the engine finds candidates, Jaccard over word triples decides.

The sketch (Broder 1997, "On the resemblance and containment of documents"): the words of the first 300 characters of
each text (of a chat the first and the last 300, without its system prompt), in lower case, are hashed to 64 bits
(DuckDB's `hash`), and each with the next word once more; in scripts without spaces a word is one character. About 32
of these pairs are kept (those whose first word hashes low, the lower the more words there are), and the minimum under
each of 12 permutations (XOR with a constant) is noted. Rows that share three minima in one of four bands are compared:
eight or more equal minima of twelve make a candidate. Candidates, at most 50,000 and the most equal first, are read
again; a row is a near-duplicate if at least 0.8 of all word triples (case and punctuation ignored) are common to both.
Rows of fewer than eight words are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

from ftsdk.data.checks.language import SCRIPTS, SPACELESS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SIMILAR = 0.8
WORDS_MIN = 8
KEPT_WORDS = 32
MINIMA = 12
AGREEING_MIN = 8
BANDS = 4
PAIRS_MAX = 50_000
_SPACELESS_NUMBERS = ", ".join(str(n) for n, (name, _) in enumerate(SCRIPTS, 1) if name in SPACELESS)
_PERMUTATIONS = tuple(int.from_bytes(blake2b(bytes([n]), digest_size=8).digest()) for n in range(MINIMA))
_ONE_LINE = r"replace(lower(text), '\n', ' ')"  # a line break is still escaped here
_SPLIT = f"string_split(replace(replace({_ONE_LINE}, '  ', ' '), '  ', ' '), ' ')"
_WORD = re.compile(r"\w+")
_SPACELESS = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")


def with_sketch(rows: str) -> str:
    """A query that adds `minima` (12 × 32 bits, or null) to one that has `text` and `script`."""
    words = f"case when script in ({_SPACELESS_NUMBERS}) then string_split(text, '') else {_SPLIT} end"
    top = f"{2**64 - 1} // greatest(len(h), {KEPT_WORDS}) * {KEPT_WORDS}"
    minima = ", ".join(
        f"(list_min(list_transform(h, lambda x: xor(x, {c}::ubigint))) & 4294967295)::uinteger" for c in _PERMUTATIONS
    )
    # DuckDB copies values captured by a lambda for each element, so the bound `top` is computed one query earlier.
    return f"""
        with hashed as (select *, list_transform({words}, lambda w: hash(w)) as h from ({rows})),
        bounded as (select *, len(h) as n, {top} as top from hashed),
        kept as (select * replace (list_filter(list_zip(h, h[2:]), lambda p: p[1] <= top) as h) from bounded),
        pairs as (select * replace (list_transform(h, lambda p: hash(p)) as h) from kept)
        select * exclude (h, n, top, text), case when n >= {WORDS_MIN} then [{minima}] end as minima from pairs"""


def candidates(connection: DuckDBPyConnection) -> list[tuple[int, int, int, int]]:
    """(file, row, earlier file, earlier row) of rows whose sketches agree, at most PAIRS_MAX; exact repeats aside."""
    width = MINIMA // BANDS
    bands = ", ".join(f"hash({n}, minima[{n * width + 1}:{(n + 1) * width}])" for n in range(BANDS))
    pairs = connection.execute(f"""
        with sketched as (
            select file, row, minima from rows anti join repeats using (file, row) where minima is not null
        ), banded as (select file, row, unnest([{bands}]) as band from sketched),
        crowded as (select band from banded group by band having count(*) > 1),
        pairs as (
            select file, row, minima, unnest([
                first_value({{'file': file, 'row': row, 'minima': minima}}) over same,
                lag({{'file': file, 'row': row, 'minima': minima}}) over same]) as other
            from banded semi join crowded using (band) join sketched using (file, row)
            window same as (partition by band order by file, row)
        ), agreeing as (
            select distinct file, row, other.file as other_file, other.row as other_row,
                len(list_filter(list_zip(minima, other.minima), lambda p: p[1] = p[2])) as agreed
            from pairs where other is not null and (other.file, other.row) < (file, row)
        )
        select file, row, other_file, other_row from agreeing where agreed >= {AGREEING_MIN}
        order by agreed desc, file, row, other_file, other_row limit {PAIRS_MAX}""").fetchall()
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in pairs]


def triples(text: str) -> frozenset[tuple[str, ...]]:
    """All runs of three words (characters in scripts without spaces), case and punctuation ignored."""
    words = _WORD.findall(_SPACELESS.sub(r" \g<0> ", text.lower()))
    return frozenset(zip(words, words[1:], words[2:], strict=False)) or frozenset({tuple(words)})


def similarity(one: str, other: str) -> float:
    """Jaccard: common triples over all triples of two texts."""
    a, b = triples(one), triples(other)
    return len(a & b) / len(a | b)


def similar_pairs(
    pairs: list[tuple[int, int, int, int]], texts: Mapping[tuple[int, int], str]
) -> dict[tuple[int, int], tuple[int, int, float]]:
    """(file, row) -> the earlier row that it is almost the same as, and how much."""
    best: dict[tuple[int, int], tuple[int, int, float]] = {}
    for file, row, earlier_file, earlier_row in pairs:
        share = similarity(texts[file, row], texts[earlier_file, earlier_row])
        if share >= SIMILAR and share > best.get((file, row), (0, 0, 0.0))[2]:
            best[file, row] = (earlier_file, earlier_row, share)
    return best
