"""The page in a browser: the list, a job's live curves, its log, hostile texts, both languages."""

import time
from urllib.parse import quote, urlsplit

import httpx
import pytest

from ftsdk.page.rendering import ENVIRONMENT
from ftsdk.page.server import serving
from ftsdk.page.words import CHINESE
from tests.browser import Browser
from tests.python_jobs import started

ATTACK = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
ENDS = f"""
print({ATTACK!r}, flush=True)
for number in range(12_000):
    print("line", number)
for step in range(1, TOTAL + 1):
    metrics(step, loss=2.0 / step, grad_norm=1.0)
"""
FAILS = "metrics(1, loss=2.0)\nprint('no more', flush=True)\nsys.exit(3)\n"
WAITS = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
metrics(1, loss=2.0)
while not pathlib.Path("GO").exists():
    time.sleep(0.05)
metrics(2, loss=1.0)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def page():
    with serving() as running:
        yield running


@pytest.fixture
def client(page):
    with httpx.Client(follow_redirects=True, base_url=f"http://{urlsplit(page.url).netloc}", timeout=30) as client:
        client.get(page.url)
        yield client


def test_the_list_has_every_job_and_a_job_its_metrics_and_lines(spec_folder, client):
    job = started(spec_folder, ENDS, name="ended")
    job.wait(60)
    rows = client.get("/rows").text
    assert rows.count('<tr class="job">') == 1
    assert f'href="/job?uri={quote(job.uri, safe="/")}"' in rows
    found = client.get("/metrics", params={"uri": job.uri}).json()
    assert (found["state"], found["is_over"], len(found["records"])) == ("SUCCEEDED", True, 10)
    later = client.get("/metrics", params={"uri": job.uri, "after": found["known"]}).json()
    assert (later["records"], later["known"]) == ([], 10)
    lines, after = [], ""
    while True:
        chunk = client.get("/lines", params={"uri": job.uri, "after": after}).json()
        lines, after = lines + chunk["lines"], chunk["cursor"]
        if not chunk["is_full"]:
            break
    assert [line for line in lines if line.startswith("line ")] == [f"line {number}" for number in range(12_000)]
    assert client.get("/lines", params={"uri": job.uri, "search": "LINE 11999"}).json()["lines"] == ["line 11999"]


def test_errors_are_pages_of_one_sentence(client):
    answer = client.get("/job", params={"uri": "local://nobody-0a1b2c3d"}, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "nobody-0a1b2c3d" in answer.text and "Traceback" not in answer.text
    assert client.get("/lines", params={"uri": "local://nobody-0a1b2c3d"}).json()["error"]
    assert client.get("/job").status_code == 400


def test_a_failed_job_is_submitted_again(spec_folder, client, page):
    job = started(spec_folder, FAILS, name="failed", retry={"retries": 0})
    job.wait(60)
    text = client.get("/job", params={"uri": job.uri}).text
    token = text.partition('name="form-token" content="')[2].partition('"')[0]
    headers = {"Origin": str(client.base_url).rstrip("/"), "X-Form-Token": token}
    assert client.post(f"/job/submit?uri={job.uri}", headers=headers).json() == {"uri": job.uri}
    assert job.wait(60).attempt == 2


def test_every_word_has_a_translation(client):
    asked = set()
    for name in ENVIRONMENT.list_templates(["html"]):
        source, *_ = ENVIRONMENT.loader.get_source(ENVIRONMENT, name)
        asked |= {piece.partition('"')[0] for piece in source.split('t("')[1:]}
    assert asked == set(CHINESE)
    chinese = client.get("/", headers={"Accept-Language": "zh-CN,zh"}).text
    assert '<html lang="zh">' in chinese and "任务" in chinese
    client.get("/?lang=zh")
    assert '<html lang="zh">' in client.get("/").text


class Shown:
    """A browser with the page open."""

    def __init__(self, browser, page):
        self.browser, self.base = browser, f"http://{urlsplit(page.url).netloc}"
        self.go(page.url.removeprefix(self.base))

    def go(self, path):
        self.browser.value("window.isLeft = true")
        self.browser("Page.navigate", url=self.base + path)
        self.until("document.readyState === 'complete' && !window.isLeft")

    def until(self, expression):
        deadline = time.monotonic() + 300  # a bound for what hangs; a busy machine takes a minute
        while not self.browser.value(expression):
            assert time.monotonic() < deadline, (expression, self.browser.value("document.body.innerText"))


@pytest.mark.browser
def test_a_browser_shows_jobs_live_curves_and_logs(spec_folder, page, tmp_path):
    ended = started(spec_folder, ENDS, name="ended")
    ended.wait(60)
    running = started(spec_folder, WAITS.replace("GO", str(tmp_path / "go")), name="running")
    with Browser(tmp_path / "profile") as browser:
        shown = Shown(browser, page)
        assert browser.value("location.search") == ""  # the token is not in the history
        assert browser.value("document.querySelectorAll('tr.job').length") == 2
        browser.value("filter.value = 'succ'; filter.dispatchEvent(new Event('input'))")
        assert browser.value("shown().length") == 1
        browser("Input.dispatchKeyEvent", type="keyDown", key="j", text="j")
        assert browser.value("document.activeElement.textContent") == ended.uri

        shown.go(f"/job?uri={running.uri}")
        line = "document.querySelector('[data-metric=loss] polyline')?.getAttribute('points').split(' ').length"
        shown.until(f"{line} === 1")
        (tmp_path / "go").touch()
        shown.until(f"{line} === 2")
        browser.value("window.confirm = () => true; document.querySelector('button[data-post]').click()")
        shown.until("document.getElementById('state')?.textContent === 'CANCELLED'")

        shown.go(f"/curves?uri={ended.uri}&uri={running.uri}")
        shown.until("document.querySelectorAll('[data-metric=loss] polyline').length === 2")

        shown.go(f"/job?uri={ended.uri}")
        shown.until("document.getElementById('report').textContent.includes('End of the log')")
        shown.go(f"/logs?uri={ended.uri}")
        shown.until("lines.length > 4000")
        browser.value("document.getElementById('end').click()")
        shown.until("lines.length > 12000 && [...document.querySelectorAll('.line')].at(-1)?.textContent.length > 0")
        assert browser.value("document.querySelectorAll('.line').length") < 200
        shown.go(f"/logs?uri={ended.uri}&search=hacked")
        shown.until("document.querySelectorAll('.line').length === 1")
        assert browser.value("document.querySelector('.line').textContent") == ATTACK
        assert browser.value("window.hacked") is None
        assert browser.problems == []
        assert {urlsplit(url).netloc for url in browser.requests if not url.startswith("data:")} == {
            urlsplit(page.url).netloc
        }
