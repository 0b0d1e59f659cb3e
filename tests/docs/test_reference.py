"""docs/reference/ says what the code says, and the hand-written tables leave nothing out."""

import re
import subprocess
import sys

from ftsdk import contract
from ftsdk.engines.shared import OWNED
from ftsdk.recipes.llamafactory_yaml import UNSET_MEANS
from tests.docs.pages import ROOT


def test_the_reference_is_not_stale():
    command = [sys.executable, "-m", "docs.generate", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_reason_has_a_section_that_says_what_to_do():
    page = (ROOT / "docs" / "failures.md").read_text("utf-8")
    titles = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert titles == list(contract.REASONS)
    for reason in contract.REASONS:
        section = page.partition(f"\n## {reason}\n")[2].partition("\n## ")[0]
        assert re.findall(r"^- \*\*(.+?):\*\* \S", section, re.MULTILINE) == ["Means", "Recognised by", "Do"], reason
        assert f"| [{reason}](#{reason}) |" in page


def test_every_exit_code_of_the_supervisor_is_explained():
    page = (ROOT / "docs" / "failures.md").read_text("utf-8")
    codes = [value for name, value in vars(contract).items() if name.startswith("EXIT_")]
    assert all(f"\n| {code} | " in page for code in codes)


def test_every_owned_argument_is_listed_with_its_reason():
    page = (ROOT / "docs" / "llamafactory.md").read_text("utf-8")
    assert [f"| `{name}` | {why} |" for name, why in OWNED.items() if f"| `{name}` | {why} |" not in page] == []
    assert [name for name in UNSET_MEANS if f"`{name}`" not in page] == []


def test_the_picture_of_the_rooms_is_not_stale():
    command = [sys.executable, "-m", "docs.architecture", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
