"""Secrets and personal data in texts, by pattern. Matches are masked: a report must not leak them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# A row (RE2, on the raw JSON line) without a match holds no secret. Deliberately wide; scanned once per row.
SUSPICIOUS = (
    r"@[0-9A-Za-z-]+\.|sk-|hf_|gh[pousr]_|github_pat_|xox[abprs]-|AIza|LTAI|AKIA|ASIA|eyJ|PRIVATE KEY|k_live_"
    r"|glpat-|npm_|pypi-|SG\.|hooks\.slack|ya29\.|AKID|AKLT|dop_v1_|:AA|[Bb]earer |密码|口令|\\u5bc6\\u7801"
    r"|(?i:passport)|护照|\\u62a4\\u7167"
    r"|(?i:key|secret|token|passw[a-z]*|pwd)[\"\\' ]*[:=]|://[^/\s:@]+:[^/\s:@]+@"
    r"|\d[\d ().-]{7,}[\dX]|[A-Z]{2}\d{2} ?[A-Z0-9]{4}"
)


_Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _Pattern:
    code: str
    name: str
    regex: re.Pattern[str]
    is_valid: _Test


def _always(_: str) -> bool:
    return True


_ISSUERS = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[0689]\d{12}|35\d{14}|6(?:011|4\d\d|5\d\d)\d{12}|62\d{14,17}"
)


def _card(text: str) -> bool:
    """The beginnings and lengths that issuers use, and the check digit (ISO/IEC 7812-1, annex B)."""
    digits = [int(c) for c in text if c.isdigit()]
    if not _ISSUERS.fullmatch("".join(map(str, digits))) or len(set(digits)) == 1:
        return False
    doubled = [d * 2 - 9 if d > 4 else d * 2 for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _chinese_id(text: str) -> bool:
    """GB 11643-1999: ISO 7064 MOD 11-2 over 17 digits."""
    total = sum(int(c) * pow(2, 17 - i, 11) for i, c in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()


def _iban(text: str) -> bool:
    """ISO 13616: the rearranged number is 1 modulo 97."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def _us_ssn(text: str) -> bool:
    """Never issued: area 000, 666 and 900 up, group 00, serial 0000 (SSA)."""
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


_PLACEHOLDERS = re.compile(r"(?i)your|xxx|example|placeholder|changeme|\*\*\*|<|\$\{|\{\{|\.\.\.|os\.environ|getenv")


def _looks_random(text: str) -> bool:
    """Letters and digits mixed, and no obvious placeholder."""
    value = text.partition("=")[2] or text.partition(":")[2]
    value = value.strip(" \"'\\")
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and len(set(value)) >= 6 and not _PLACEHOLDERS.search(value)


def _mixed(text: str) -> bool:
    """Its ASCII part has letters and digits, and is no placeholder."""
    value = "".join(c for c in text.removeprefix("Bearer").removeprefix("bearer") if c.isascii())
    varied = any(c.isdigit() for c in value) and any(c.isalpha() for c in value) and len(set(value)) >= 6
    return varied and not _PLACEHOLDERS.search(value)


def _enough_digits(text: str) -> bool:
    return 8 <= sum(c.isdigit() for c in text) <= 15


_NAMED_SECRET = (
    r"(?i)\b(?:[a-z]+[_-])*(?:api[_-]?key|access[_-]?key|account[_-]?key|secret(?:[_-]?key)?|token|passw(?:or)?d|pwd)"
    r"[\"']?\s*[:=]\s*[\"']?[^\s\"',;)]{8,}"
)
_PHONE = r"(?<![\w.+-])"
_SECRETS: tuple[tuple[str, str, _Test], ...] = (
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", _always),
    ("an API key", r"\bsk-[A-Za-z0-9_-]{20,}", _always),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}\b", _always),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})\b", _always),
    ("a Slack token", r"\bxox[abprs]-[A-Za-z0-9-]{10,}", _always),
    ("a Google API key", r"\bAIza[0-9A-Za-z_-]{35}", _always),
    ("an Alibaba Cloud access key", r"\bLTAI[A-Za-z0-9]{12,24}\b", _always),
    ("a Stripe key", r"\b[sr]k_live_[0-9A-Za-z]{20,}\b", _always),
    ("a JSON web token", r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}", _always),
    ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----", _always),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{18,}", _always),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36,}\b", _always),
    ("a PyPI token", r"\bpypi-[A-Za-z0-9_-]{50,}", _always),
    ("a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}", _always),
    ("a Slack address for messages", r"hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{20,}", _always),
    ("a Google OAuth token", r"\bya29\.[A-Za-z0-9_-]{20,}", _always),
    ("a Tencent Cloud key", r"\bAKID[A-Za-z0-9]{32}\b", _always),
    ("a Volcengine key", r"\bAKLT[A-Za-z0-9]{20,}\b", _always),
    ("a DigitalOcean token", r"\bdop_v1_[0-9a-f]{64}\b", _always),
    ("a Telegram bot's token", r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,}", _always),
    ("a bearer token", r"\b[Bb]earer [A-Za-z0-9._~+/-]{20,}=*", _mixed),
    ("a password", r"(?:密码|口令)(?:是|为)?\s*[:：=]?\s*[A-Za-z0-9!@#$%^&*_.+-]{6,}", _mixed),
    ("a password in a URL", r"\b[a-z][a-z0-9+]*://[^/\s:@]+:[^/\s:@]{3,}@", _always),
    ("a key or password", _NAMED_SECRET, _looks_random),
)
_PERSONAL: tuple[tuple[str, str, _Test], ...] = (
    ("an e-mail address", r"\b[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b", _always),
    ("a Chinese identity number", r"(?<!\d)[1-9]\d{5}(?:19|20)\d{9}[\dXx](?!\d)", _chinese_id),
    ("a card number", r"(?<![\d.-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\d-])", _card),
    ("a US social security number", r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])", _us_ssn),
    ("a bank account number (IBAN)", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b", _iban),
    ("a phone number", _PHONE + r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,12}(?![\w-])", _enough_digits),
    ("a phone number", _PHONE + r"(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])", _always),
    ("a phone number", _PHONE + r"1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?![\w-])", _always),
    ("a phone number", _PHONE + r"(?:\(0\d{2,3}\) ?|0\d{2,3}[ -])[2-9]\d{2,3}[ -]?\d{4}(?![\w-])", _always),
    ("a passport number", r"(?:(?i:passport)|护照)[^\n]{0,20}?\b[A-Z]{1,2}\d{7,8}\b", _always),
)
_PATTERNS = tuple(
    _Pattern(code, name, re.compile(regex, re.ASCII), is_valid)  # a Chinese character is no part of a number or key
    for code, patterns in (("secret", _SECRETS), ("personal_data", _PERSONAL))
    for name, regex, is_valid in patterns
)


def pii_findings(text: str) -> Iterator[tuple[str, str]]:
    """(code, message) for each kind of secret or personal data in a text, with the match masked."""
    reported: set[str] = set()
    taken: list[tuple[int, int]] = []
    for pattern in _PATTERNS:
        for match in pattern.regex.finditer(text):
            overlaps = any(match.start() < end and start < match.end() for start, end in taken)
            if overlaps or not pattern.is_valid(match.group()):
                continue
            taken.append(match.span())
            if pattern.name not in reported:
                reported.add(pattern.name)
                yield pattern.code, f"contains what looks like {pattern.name}: {masked(match.group())}"


def masked(text: str) -> str:
    """The first and last characters and the length: enough to find the text again, too little to use it."""
    shown = 2 if len(text) < 16 else 4
    return f"{text[:shown]}…{text[-2:] if len(text) > 8 else ''} ({len(text)} characters)"
