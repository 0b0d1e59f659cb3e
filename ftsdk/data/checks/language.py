"""Which language a text is in, by its script and its commonest words. A heuristic: empty when uncertain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

# Scripts that a single character identifies (RE2 classes), the more specific first: Japanese also uses Han.
SCRIPTS: tuple[tuple[str, str], ...] = (
    ("ja", r"[\p{Hiragana}\p{Katakana}]"),
    ("ko", r"\p{Hangul}"),
    ("zh", r"\p{Han}"),
    ("ru", r"\p{Cyrillic}"),
    ("ar", r"\p{Arabic}"),
    ("hi", r"\p{Devanagari}"),
    ("th", r"\p{Thai}"),
    ("he", r"\p{Hebrew}"),
    ("el", r"\p{Greek}"),
)
SPACELESS = ("ja", "zh", "th")
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "ja": "Japanese", "ko": "Korean", "zh": "Chinese", "ru": "Cyrillic script", "ar": "Arabic script",
        "hi": "Devanagari script", "th": "Thai", "he": "Hebrew", "el": "Greek", "en": "English", "de": "German",
        "fr": "French", "es": "Spanish", "pt": "Portuguese", "it": "Italian", "nl": "Dutch", "pl": "Polish",
        "tr": "Turkish", "vi": "Vietnamese", "id": "Indonesian", "sv": "Swedish", "": "unknown",
    }
)  # fmt: skip
_RANGES = (
    ("ja", 0x3040, 0x30FF), ("ko", 0xAC00, 0xD7A3), ("ko", 0x1100, 0x11FF), ("zh", 0x3400, 0x9FFF),
    ("ru", 0x400, 0x52F), ("ar", 0x600, 0x6FF), ("hi", 0x900, 0x97F), ("th", 0xE00, 0xE7F),
    ("he", 0x590, 0x5FF), ("el", 0x370, 0x3FF),
)  # fmt: skip
# Function words; one that several languages share counts for each of them, so the others decide.
_COMMON_WORDS = {
    "en": "the of and to in is that it for was with as are this be you have not which they from or an but what can",
    "de": "der die das und ist nicht ein eine zu den mit auf für sich des dem von wird sind auch werden oder als bei "
    "wenn aber du sie bitte kann noch diese einen im am hat war nach aus über",
    "fr": "le la les des est et une un dans que qui pour pas sur du avec ce il sont au par plus vous nous être cette "
    "ont a si tu elle te quand mais avant se ou en peut de l d",
    "es": "el la los las que es en y por con para una un del se su al lo más como pero sus está este son hay muy de si "
    "ella cuando antes otra puede o no a",
    "pt": "o a os as que é em e um uma não do da para com por dos das se mais como mas ao você são também foi "
    "de na no ela quando antes pode",
    "it": "il di che è la un una per non sono con del della si le come più ma gli anche nel alla questo dei ha e i "
    "lei quando prima può li",
    "nl": "de het een van en is dat niet op te zijn voor met die er aan ook als bij maar wordt deze kan door naar in "
    "je wanneer ze of",
    "pl": "i w na się nie że jest to z do jak ale po co tak za od są przez przy dla tego być może który",
    "tr": "ve bir bu için ile de da olarak çok daha olan gibi ne var kadar sonra ise değil her olduğu veya en",
    "vi": "của và là có được các cho không những một trong với này người khi đã để từ như cũng",
    "id": "yang dan di untuk dengan ini itu dari pada adalah dalam tidak akan ke juga atau karena dapat oleh ada",
    "sv": "och att det som en är på av för med till den har inte om ett de kan eller från men vi så ska i",
}
_WORDS = {language: frozenset(words.split()) for language, words in _COMMON_WORDS.items()}
_LANGUAGES_OF: dict[str, tuple[str, ...]] = {
    word: tuple(lang for lang, words in _WORDS.items() if word in words) for words in _WORDS.values() for word in words
}
_WORD = re.compile(r"[^\W\d_]+")
_HEAD_CHARS = 1000


def language(text: str) -> str:
    """A two-letter code, or an empty string for code, numbers, short texts and uncertain cases."""
    head = text[:_HEAD_CHARS]
    return (_by_script(head) if not head.isascii() else "") or _by_words(head)


def _by_script(text: str) -> str:
    letters = [ord(c) for c in text if c.isalpha()]
    counts = Counter(name for point in letters if point > 0x36F for name, low, high in _RANGES if low <= point <= high)
    if not counts or sum(counts.values()) < 0.3 * len(letters):
        return ""
    if counts["ja"] >= 0.05 * len(letters):
        return "ja"
    return counts.most_common(1)[0][0]


def _by_words(text: str) -> str:
    words = _WORD.findall(text.lower())
    hits = Counter(language for word in words for language in _LANGUAGES_OF.get(word, ()))
    if not hits:
        return ""
    (best, count), (_, second) = (*hits.most_common(2), ("", 0))[:2]
    sure = count >= 3 and count >= 0.12 * len(words) and count >= 1.25 * second
    return best if sure else ""
