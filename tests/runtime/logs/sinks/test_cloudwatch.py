"""Lines and metrics in CloudWatch: all of them, once, in order, within the service's limits, whatever goes wrong."""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial

import pytest

from ftsdk import contract
from ftsdk.runtime.logs.sinks import cloudwatch as sink_module
from ftsdk.runtime.logs.sinks.cloudwatch import CloudWatchSink
from ftsdk.runtime.logs.sinks.segment_tail import SegmentTail
from ftsdk.runtime.retry import RetryPolicy
from ftsdk.runtime.storage.durable import DurableFolder
from tests.emulators.buckets import KEY, SECRET
from tests.emulators.cloudwatch_writes import REGION, CloudWatchServer
from tests.emulators.proxy import Network
from tests.runtime.harness import Supervised, script

SOON_S = 60.0


@pytest.fixture(scope="module")
def server():
    made = CloudWatchServer()
    yield made
    made.close()


@pytest.fixture
def service(server, monkeypatch, tmp_path):
    """The server, the environment that reaches it, and `settings` of the test's own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for name, seconds in (("POLL_S", 0.05), ("UNSURE_S", 0.05)):
        monkeypatch.setattr(sink_module, name, seconds)
    monkeypatch.setattr(sink_module, "RETRY", RetryPolicy(first_pause_s=0.05, max_pause_s=0.2))
    server.calls.clear(), server.puts.clear(), server.answers.clear()
    server.empty_pages = 0
    server.settings = {"job": "job-1", "region": REGION, "log_group": f"/{tmp_path.name}", "namespace": tmp_path.name}
    return server


def write(durable, lines, *, attempt=1, number=0, first=0):
    """Put a segment of stamped lines."""
    stamped = [f"{attempt}.0.{first + n}|{line}" for n, line in enumerate(lines)]
    data = "".join(f"{line}\n" for line in stamped).encode()
    durable.put(contract.segment_key(attempt, 0, number), data)
    return stamped


def sink(service, durable, attempt=1):
    return CloudWatchSink(service.settings, 0, partial(SegmentTail, durable, attempt, 0), os.environ)


def brought(service):
    return service.messages(service.settings["log_group"], "job-1/n0")


def test_all_lines_of_all_segments_come_once_and_in_order(service, tmp_path):
    durable = DurableFolder(tmp_path)
    lines = write(durable, [f"line {n}" for n in range(25_000)])
    lines += write(durable, ["", "汉字", "\x00\x07"], number=1, first=25_000)
    made = sink(service, durable)
    lines += write(durable, ["later"], number=2, first=25_003)
    assert made.drain(SOON_S)
    assert brought(service) == lines
    assert [len(events) for events in service.puts[:2]] == [10_000, 10_000]
    assert not made.notices()


def test_lines_of_megabytes_are_cut_within_the_limits(service, tmp_path):
    durable = DurableFolder(tmp_path)
    [long] = write(durable, ["界" * 700_000])
    write(durable, ["x" * 200_000 for _ in range(20)], number=1, first=1)
    assert sink(service, durable).drain(SOON_S)
    messages = brought(service)
    pieces = [message for message in messages if message.startswith("1.0.0|")]
    assert "".join(piece.partition("|")[2] for piece in pieces) == long.partition("|")[2]
    assert len(pieces) == 9 and len(messages) == 29


def test_throttling_and_server_errors_are_retried(service, tmp_path):
    durable = DurableFolder(tmp_path)
    lines = write(durable, [f"line {n}" for n in range(100)])
    service.answers += [(400, "ThrottlingException"), (503, "ServiceUnavailableException"), (500, "InternalFailure")]
    made = sink(service, durable)
    assert made.drain(SOON_S)
    assert brought(service) == lines
    assert made.notices() == ["CloudWatch does not take the log (ThrottlingException); it is tried again."]


def test_a_lost_answer_doubles_nothing(service, tmp_path):
    durable = DurableFolder(tmp_path)
    lines = write(durable, [f"line {n}" for n in range(15_000)])
    service.lost_answers = 2
    assert sink(service, durable).drain(SOON_S)
    assert brought(service) == lines


def test_lines_wait_while_the_network_is_gone(service, tmp_path, monkeypatch):
    network = Network(service.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", network.url)
    durable = DurableFolder(tmp_path)
    lines = write(durable, ["before"])
    made = sink(service, durable)
    wait_for(lambda: service.puts)
    network.down()
    lines += write(durable, [f"line {n}" for n in range(30_000)], number=1, first=1)
    assert not made.drain(0.5)
    network.up()
    assert made.drain(SOON_S)
    assert brought(service) == lines


def test_the_next_attempt_ships_the_remaining_lines_of_a_killed_one(service, tmp_path):
    durable = DurableFolder(tmp_path)
    lines = write(durable, [f"line {n}" for n in range(10)])
    assert sink(service, durable).drain(SOON_S)
    lines += write(durable, ["killed before this one came"], number=1, first=10)
    lines += write(durable, ["the second attempt"], attempt=2)
    assert sink(service, durable, attempt=2).drain(SOON_S)
    assert sink(service, durable, attempt=2).drain(SOON_S)
    assert brought(service) == lines


def test_an_empty_page_is_not_an_empty_stream(service, tmp_path):
    durable = DurableFolder(tmp_path)
    lines = write(durable, [f"line {n}" for n in range(10)])
    assert sink(service, durable).drain(SOON_S)
    lines += write(durable, ["after a restart"], number=1, first=10)
    service.empty_pages = 3
    assert sink(service, durable).drain(SOON_S)
    service.empty_pages = 0
    assert brought(service) == lines


def test_a_group_that_the_job_makes_keeps_its_lines_for_a_time(service, tmp_path):
    service.settings["retention_days"] = 30
    durable = DurableFolder(tmp_path)
    write(durable, ["line"])
    assert sink(service, durable).drain(SOON_S)
    (group,) = service.logs.describe_log_groups(logGroupNamePrefix=service.settings["log_group"])["logGroups"]
    assert group["retentionInDays"] == 30


def test_metrics_are_numbers_with_their_own_times(service, tmp_path):
    durable = DurableFolder(tmp_path)
    then = time.time() - 7200
    events = [
        contract.event_line(contract.EVENT_METRICS, step=n, time=then + n, loss=float(n), grad_norm="nan")
        for n in range(1, 1201)
    ]
    write(durable, ["a line without a time", *events, contract.event_line("commit", step=3, seconds=1, bytes=2)])
    assert sink(service, durable).drain(SOON_S)
    assert service.values(service.settings["namespace"], "loss", "job-1") == [float(n) for n in range(1, 1201)]
    assert service.values(service.settings["namespace"], "grad_norm", "job-1") == []
    assert service.calls.count("PutMetricData") == 3
    assert [event["timestamp"] // 1000 - int(then) for event in service.puts[0][:3]] == [1, 1, 2]


def test_refused_writes_are_reported_once(service, tmp_path):
    durable = DurableFolder(tmp_path)
    write(durable, ["line"])
    service.answers += [(400, "AccessDeniedException")] * 3
    made = sink(service, durable)
    assert made.drain(SOON_S)
    assert [notice for notice in made.notices() if "AccessDenied" in notice][1:] == []


def wait_for(condition):
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_whole_run_with_a_kill_is_in_cloudwatch(service, tmp_path):
    settings = service.settings
    trainer = script(tmp_path, "metrics(1, loss=2.5, time=time.time()); print('one', flush=True); time.sleep(600)")
    run = Supervised(tmp_path, trainer, cloudwatch=settings)
    run.wait_for("one")
    run.process.send_signal(signal.SIGKILL)
    run.process.communicate()
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}))
    environ = {contract.ENV_SECRETS_FILE: str(secrets)}
    second = Supervised(tmp_path, script(tmp_path, "print('two')"), attempt=2, cloudwatch=settings, environ=environ)
    assert second.wait() == contract.EXIT_SUCCEEDED
    assert brought(service) == run.stamped() + second.stamped()
    assert service.values(settings["namespace"], "loss", "job-1") == [2.5]


def test_without_a_network_training_goes_on_and_the_log_reports_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    settings = {"job": "job-1", "region": REGION, "log_group": "/x", "namespace": "x"}
    trainer = script(tmp_path, f"while not os.path.exists({str(tmp_path / 'end')!r}): time.sleep(0.05)")
    run = Supervised(tmp_path, trainer, cloudwatch=settings)
    run.wait_for("CloudWatch does not take the log")
    (tmp_path / "end").touch()
    wait_for(lambda: list(run.store.list(contract.outcome_key(1, 0))))
    assert run.outcome()["state"] == "SUCCEEDED"
    run.process.kill()
    run.process.communicate()
