"""Secrets, personal data and languages: what is meant is found, look-alikes are not, and nothing is shown."""

import pytest

from bench.data import quality
from ftsdk.data.checks.language import language
from ftsdk.data.checks.pii import masked, pii_findings


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("call bob.smith@mail.example.org today", "an e-mail address"),
        ("pay 4111 1111 1111 1111 now", "a card number"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "a bank account number (IBAN)"),
        ("id 11010519491231002X", "a Chinese identity number"),
        ("SSN 123-45-6789", "a US social security number"),
        ("ring +44 20 7946 0958", "a phone number"),
        ("ring (415) 555-0132", "a phone number"),
        ("key AKIAIOSFODNN7EXAMPLE", "an AWS access key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ("api_key: 'a1b2c3d4e5f6g7'", "a key or password"),
    ],
)
def test_shapes(text, name):
    ((_, message),) = pii_findings(text)
    assert name in message
    secret = max(text.split(), key=len)
    assert secret not in message or len(secret) < 8


@pytest.mark.parametrize(
    "text",
    [
        "pay 4111 1111 1111 1112 now",
        "id 110105194912310021",
        "SSN 000-45-6789",
        "DE88 3704 0044 0532 0130 00",
        "password = os.environ['PASSWORD1']",
        "on 2024-01-15 at 10.0.0.254, version 1.20.300.4000",
        "the decorator @property",
    ],
)
def test_look_alikes(text):
    assert list(pii_findings(text)) == []


def test_a_masked_secret_shows_too_little_to_use():
    assert masked("AKIAIOSFODNN7EXAMPLE") == "AKIA…LE (20 characters)"
    assert masked("1234567") == "12… (7 characters)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The house that is by the river was built with stones from the hills.", "en"),
        ("Das Haus am Fluss ist mit Steinen gebaut, die aus den Bergen sind.", "de"),
        ("La maison qui est au bord de la rivière a été construite avec des pierres.", "fr"),
        ("这座房子是用山上的石头建造的。", "zh"),
        ("この家は石で造られています。", "ja"),
        ("이 집은 돌로 지어졌습니다.", "ko"),
        ("Этот дом построен из камня.", "ru"),
        ("42", ""),
        ("def f(x): return x + 1", ""),
        ("Paris", ""),
    ],
)
def test_languages(text, expected):
    assert language(text) == expected


@pytest.mark.parametrize("code", quality.MAKERS)
def test_published_precision_and_recall(code):
    planted, found = quality.measured(code, quality.MAKERS[code])
    assert len(planted & found) / len(found) >= 0.98
    assert len(planted & found) / len(planted) >= 0.9
