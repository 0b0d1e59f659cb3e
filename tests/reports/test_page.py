"""The report of a job, as a browser shows it: offline, light and dark, with hostile names and lines."""

import json

import pytest

from ftsdk import FtsdkError
from ftsdk.reports.contents import gathered
from ftsdk.reports.page import html, write_report
from tests.browser import Browser
from tests.cli.test_cli import ftsdk
from tests.reports.jobs import TRAINS, finished

ATTACK = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
EVALUATION = {
    "num_rows": 4,
    "metrics": {"perplexity": {"value": 3.5, "against": 4.0, "low": -0.7, "high": -0.3, "verdict": "better"}},
    "samples": [{"prompt": f"Hi {ATTACK}", "reference": "Hello", "answer": "Hey", "against": None}],
}


@pytest.fixture
def job(spec_folder):
    """A finished job whose log and evaluation try to run scripts."""
    done = finished(spec_folder, name="shown", source=f"print({ATTACK!r}, flush=True)\n{TRAINS}")
    done.store.put("evaluations/held.json", json.dumps(EVALUATION).encode())
    return done


def test_the_report_shows_everything_and_escapes_what_others_wrote(job, tmp_path):
    path = tmp_path / "deep" / "report.html"
    done = ftsdk("report", job.uri, "-o", str(path))
    assert (done.returncode, done.stdout.strip()) == (0, str(path)), done.stderr
    text = path.read_text("utf-8")
    shown = ("SUCCEEDED", "Held", "perplexity", "better", "train.jsonl", "Data check: ", "learning_rate", "USD", "seed")
    assert [word for word in shown if word.lower() not in text.lower()] == []
    assert "window.hacked" in text
    assert "<script>window.hacked" not in text
    assert "<img" not in text
    assert text.count("<svg") == 4  # loss, learning rate, gradient norm, speed
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_a_job_that_failed_or_has_just_begun_has_a_report_too(spec_folder):
    contents = gathered(finished(spec_folder, name="bare", source="print('nothing')").uri)
    assert "Curves" not in html(contents)
    assert "nothing" in html(contents)


def test_changed_data_is_not_checked_again(job, spec_folder):
    (spec_folder / "train.jsonl").write_text('{"instruction": "a", "input": "", "output": "b"}\n')
    assert "changed since the training" in html(gathered(job.uri))


def test_a_report_that_cannot_be_written_is_reported_in_one_sentence(job, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FtsdkError, match="cannot be written"):
        write_report(job.uri, tmp_path / "file" / "report.html")
    refused = ftsdk("report", "local://nobody-0a1b2c3d")
    assert (refused.returncode, refused.stderr.count("\n")) == (20, 1)


@pytest.mark.browser
def test_a_browser_shows_it_offline_in_light_and_dark_and_zooms(job, tmp_path):
    path = write_report(job.uri, tmp_path / "report.html")
    with Browser(tmp_path / "profile") as browser:
        browser.open(path)
        assert browser.value("window.hacked") is None
        assert browser.value("document.querySelectorAll('svg').length") == 4
        assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert browser.screenshot(tmp_path / "light.png").startswith(b"\x89PNG")
        line = "document.querySelector('polyline.train').getAttribute('points').split(' ').length"
        before = browser.value(line)
        left, top, width, height = browser.value(
            "(b => [b.left, b.top, b.width, b.height])(document.querySelector('svg').getBoundingClientRect())"
        )
        middle = top + height / 2
        browser.drag((left + 0.3 * width, middle), (left + 0.7 * width, middle))
        assert 1 < browser.value(line) < before
        assert "loss" in browser.value("document.querySelector('output').textContent")
        browser.value("document.querySelector('svg').dispatchEvent(new MouseEvent('dblclick'))")
        assert browser.value(line) == before
        browser.open(path, width=400, dark=True)
        assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(17, 24, 39)"
        assert browser.value("document.documentElement.scrollWidth") <= 400
        assert browser.problems == []
        assert [url for url in browser.requests if not url.startswith("file://")] == []
