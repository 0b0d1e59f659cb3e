"""docs/trainer-checks.md has every check of the installed trainers that arguments can reach."""

from __future__ import annotations

import pytest

from docs import trainer_checks


def test_the_page_is_made_of_the_judgements():
    assert trainer_checks.PAGE.read_text("utf-8") == trainer_checks.page()


def test_every_judgement_says_what_and_how():
    for key, item in trainer_checks.judgements().items():
        assert item["verdict"] in trainer_checks.VERDICTS and item["about"] and item["why"], key


@pytest.mark.trainer
def test_every_check_of_the_installed_trainers_is_in_the_table():
    assert {check.key for check in trainer_checks.installed()} == set(trainer_checks.judgements())
