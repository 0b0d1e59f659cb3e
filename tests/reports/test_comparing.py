"""Jobs side by side: only what differs, the curves over each other, results and cost."""

import json
import struct

import pytest

import ftsdk
from ftsdk import SpecError
from ftsdk.reports.comparing import compare, differences
from tests.cli.test_cli import ftsdk as command
from tests.reports.jobs import finished


@pytest.fixture
def two(spec_folder):
    first = finished(spec_folder, name="low", hyperparameters={"learning_rate": 1e-4})
    second = finished(spec_folder, name="high", start=4.0, hyperparameters={"learning_rate": 1e-3})
    second.store.put("evaluations/held.json", b'{"metrics": {"perplexity": 3.5}}')
    return first, second


def test_a_comparison_has_differences_results_and_cost(two):
    found = ftsdk.compare(two)
    assert found.differences == {"hyperparameters.learning_rate": (1e-4, 1e-3)}
    rows = {row[0]: row[1:] for row in found.rows()}
    assert rows["final loss"] == ("0.2", "0.4")
    assert rows["best step"] == ("5", "5")
    assert rows["held perplexity"] == ("-", "3.5")
    assert rows["state"] == ("SUCCEEDED", "SUCCEEDED")
    assert all(cost.endswith(" USD") for cost in rows["cost"])
    assert all("CPUs" in hardware or "×" in hardware for hardware in rows["hardware"])
    assert "learning_rate" in found._repr_html_()


def test_the_command_draws_both_curves_and_a_png(two, tmp_path):
    png = tmp_path / "over.png"
    shown = command("compare", two[0].uri, two[1].name, "--plot", str(png))
    assert shown.returncode == 0, shown.stderr
    assert all(job.name in shown.stdout for job in two)
    assert "training 2 → 0.2" in shown.stdout
    assert "training 4 → 0.4" in shown.stdout
    assert struct.unpack(">II", png.read_bytes()[16:24]) == (1280, 720)
    data = json.loads(command("compare", two[0].uri, two[1].uri, "--json").stdout)
    assert data["jobs"][0]["best"]["step"] == 5
    assert len(data["jobs"][1]["metrics"]) == 12


def test_comparing_one_job_is_refused(two):
    with pytest.raises(SpecError, match="at least two different jobs"):
        compare([two[0], two[0].uri])
    refused = command("compare", two[0].uri, "local://nobody-0a1b2c3d")
    assert (refused.returncode, refused.stderr.count("\n")) == (20, 1)


def test_a_key_that_one_spec_lacks_differs():
    assert differences([{"tuning": {"type": "lora", "rank": 8}}, {"tuning": {"type": "full"}}]) == {
        "tuning.type": ("lora", "full"),
        "tuning.rank": (8, None),
    }
