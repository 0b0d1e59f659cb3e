"""Notices of real jobs to a real server on loopback: each once, signed, over watchers and restarts."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ftsdk import FtsdkError, SpecError
from ftsdk.jobs import notifying, webhooks
from tests.cli.test_cli import ftsdk
from tests.python_jobs import PREEMPTED_EACH_STEP, started

SECRET = "hidden-part-of-the-address"


class Receiver:
    """A web server that keeps what it is sent; `answers` are the codes of the next answers, then 200."""

    def __init__(self):
        self.taken, self.answers = [], []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = receiver.answers.pop(0) if receiver.answers else 200
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.taken.append((code, headers, body))
                self.send_response(code)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"

    def events(self):
        return [json.loads(body)["event"] for code, _, body in self.taken if code == 200]


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def configured(own_home, receiver, monkeypatch):
    monkeypatch.setenv("HOOK", receiver.url)
    (own_home / "ftsdk.toml").write_text('[notify]\nto = ["env:HOOK"]\nsecret = "signing key"\n')
    own_home.chmod(0o700)
    return receiver


def test_each_event_of_a_preempted_job_is_told_once_whoever_watches(spec_folder, configured):
    source = "TOTAL = 2\n" + PREEMPTED_EACH_STEP
    job = started(spec_folder, source, name="told", retry={"retries": 3})
    job.wait(120)
    assert sorted(configured.events()) == ["finished", "preempted", "resumed", "started"]
    job.wait(60)
    assert ftsdk("watch", job.uri, "--once").returncode == 0
    assert len(configured.taken) == 4
    _, headers, body = next(one for one in configured.taken if b'"finished"' in one[2])
    told = json.loads(body)
    assert (told["type"], told["job"], told["attempt"], told["state"]) == ("job.finished", job.uri, 2, "SUCCEEDED")
    assert (told["step"], told["id"]) == (2, headers["webhook-id"])
    named = {name: headers[name] for name in ("webhook-id", "webhook-timestamp")}
    assert headers["webhook-signature"] == webhooks.signature("signing key", named, body)


def test_a_failure_is_told_with_its_reason_when_nothing_follows(spec_folder, configured):
    job = started(spec_folder, "sys.exit(3)", name="fails", retry={"retries": 0})
    job.wait(60)
    told = [json.loads(body) for _, _, body in configured.taken]
    assert [one["event"] for one in told] == ["started", "failed"]
    assert told[1]["reason"] and told[1]["reason"] in told[1]["sentence"]


def test_a_server_that_fails_is_asked_again_and_one_that_refuses_is_named_without_its_secret(spec_folder, configured):
    job = started(spec_folder, "metrics(1)", name="told", retry={"retries": 0})
    configured.answers = [503, 503]
    job.wait(60)
    assert configured.events() == ["started", "finished"]
    configured.answers = [403]
    other = started(spec_folder, "metrics(2)", name="other", retry={"retries": 0})
    with pytest.warns(UserWarning, match="answered 403") as seen:
        other.wait(60)
    assert all(SECRET not in str(one.message) for one in seen)
    notifying.look(other, notifying.settings(), is_over=True)  # what was refused is tried again by the next look
    assert sorted(configured.events()) == ["finished", "finished", "started", "started"]


def test_a_redirect_is_not_followed(receiver):
    receiver.answers = [302]
    with pytest.raises(FtsdkError, match=r"http://127.0.0.1/… answered 302"):
        webhooks.send(receiver.url, {"id": "1"}, text="", secret=None)
    assert len(receiver.taken) == 1


def test_a_claim_of_a_watcher_that_was_killed_is_taken_over_with_the_same_id(spec_folder, configured):
    job = started(spec_folder, "metrics(1)", name="told", retry={"retries": 0})
    job.wait(60)
    keys = [item.key for item in job.store.list("notified/")]
    assert len(keys) == 2
    key = next(key for key in keys if "finished" in key)
    settings = notifying.settings()
    for age, more in ((10, 0), (notifying.RECLAIM_S + 1, 1)):
        before = json.loads(job.store.read(key))["time"]
        job.store.put(key, json.dumps({"time": before - age, "sent": False}).encode())
        count = len(configured.taken)
        notifying.look(job, settings, is_over=True)
        assert len(configured.taken) - count == more
    ids = [json.loads(body)["id"] for _, _, body in configured.taken if b'"finished"' in body]
    assert len(ids) == 2 and len(set(ids)) == 1


def test_signatures_are_those_of_standard_webhooks():
    headers = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330"}
    made = webhooks.signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", headers, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('[notify]\nto = ["env:NOBODY_SET_THIS"]', "NOBODY_SET_THIS, which is not set"),
        ('[notify]\nwhere = "x"', "no key 'where'"),
        ('[notify]\nto = ["https://a"]\non = ["finnished"]', "did you mean 'finished'"),
        ("[notify]\nto = 3", "to is a list of texts"),
    ],
)
def test_wrong_settings_are_one_sentence(own_home, toml, words):
    (own_home / "ftsdk.toml").write_text(toml)
    with pytest.raises(SpecError, match=words):
        notifying.settings()


def test_the_command_tries_every_address(configured, own_home):
    done = ftsdk("notify", "--json")
    assert (done.returncode, json.loads(done.stdout)[0]["problem"]) == (0, "")
    assert SECRET not in done.stdout + done.stderr
    configured.answers = [404]
    assert ftsdk("notify").returncode == 1
    (own_home / "ftsdk.toml").unlink()
    assert ftsdk("notify").returncode == 2


def test_other_schemes_go_through_apprise(receiver):
    address = receiver.url.replace("http://", "json://")
    webhooks.send(address, {"id": "1"}, text="finished: it", secret=None)
    assert "finished: it" in receiver.taken[0][2].decode()
    with pytest.raises(FtsdkError, match="no address that Apprise knows"):
        webhooks.send("nonsense://x", {"id": "1"}, text="", secret=None)
    assert webhooks.masked("slack://A/B/C") == "slack://…"
