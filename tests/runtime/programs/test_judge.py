"""A judge behind OpenAI's API: asked in both orders, believed only where they agree."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ftsdk.runtime.programs.trained import judge
from ftsdk.runtime.programs.trained.judge import Compared, Judgement
from ftsdk.runtime.programs.trained.loading import ModelError

ROWS = [Compared("2 + 2?", "4", "4", "five"), Compared("Sky?", "blue", "green", "blue"), Compared("?", "x", "y", "y")]


@contextmanager
def judging(reply, status=200):
    """An endpoint whose model replies with `reply(question)`; yields its address and the requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, self.headers.get("Authorization"), body))
            content = reply(body["messages"][0]["content"])
            answer = {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": content}}]}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def by_rule(question):
    """Prefers the answer that is the right one."""
    parts = question.split("\n\n")
    right, first, second = (part.partition("\n")[2] for part in parts[-3:])
    return "tie" if (first == right) == (second == right) else f"Answer {'A' if first == right else 'B'}."


def test_the_better_answer_wins_in_both_orders(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "secret")
    with judging(by_rule) as (url, requests):
        made = list(judge.judgements({"url": url, "model": "wise", "key": "JUDGE_KEY"}, ROWS))
    assert made == [Judgement("ours", "ours"), Judgement("theirs", "theirs"), Judgement("tie", "tie")]
    assert judge.counts(made) == {"wins": 1, "ties": 1, "losses": 1, "order_decided": 0, "unreadable": 0}
    assert [(path, key, body["model"]) for path, key, body in requests] == [
        ("/v1/chat/completions", "Bearer secret", "wise")
    ] * 6


def test_a_judge_that_always_takes_the_first_decides_nothing():
    with judging(lambda question: "A") as (url, _):
        made = list(judge.judgements({"url": url, "model": "biased"}, ROWS))
    assert [judgement.score for judgement in made] == [0.5, 0.5, 0.5]
    assert judge.counts(made)["order_decided"] == 3


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("B", "B"),
        ("**A**", "A"),
        ("It is a tie.", "tie"),
        ("<think>A or B?</think>\nB", "B"),
        ("A is better than B", ""),
        ("", ""),
    ],
)
def test_a_reply_names_one_choice_or_none(reply, named):
    assert judge.choice(reply) == named


def test_a_judge_that_refuses_ends_the_job_with_a_sentence():
    with judging(by_rule, status=401) as (url, requests), pytest.raises(ModelError, match=r"judge at .* \(HTTP 401"):
        list(judge.judgements({"url": url, "model": "m"}, ROWS))
    assert len(requests) == 1


@pytest.mark.trainer
def test_an_evaluation_counts_what_the_judge_says(tmp_path, tiny_folder):
    from ftsdk.runtime.programs.trained import evaluator
    from ftsdk.runtime.programs.trained.evaluator import EncodedRow
    from ftsdk.runtime.programs.trained.loading import load_tokenizer

    model = {"model_name_or_path": str(tiny_folder / "model")}
    tokenizer = load_tokenizer(model)
    ids = tokenizer("sun moon river stone bird.")["input_ids"]
    rows = [EncodedRow(ids, [-100] * (len(ids) - 2) + ids[-2:])] * 3
    with judging(by_rule) as (url, requests):
        settings = {"url": url, "model": "wise"}
        config = {"model": model, "against": model, "metrics": ["loss"], "judge": settings, "max_new_tokens": 4}
        evaluator.evaluate(config, tokenizer, rows, tmp_path)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["metrics"]["win_rate"]["value"] == 0.5
    assert (report["judge"]["ties"], report["judge"]["model"], len(requests)) == (3, "wise", 6)
