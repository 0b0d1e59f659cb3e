"""Lines from CloudWatch: nothing lost, nothing doubled, the same places for every reader."""

import time

import pytest

from ftsdk import contract
from ftsdk.backends.sagemaker import log_streams
from ftsdk.backends.sagemaker.options import SageMakerOptions
from ftsdk.backends.sagemaker.service import AwsServices
from ftsdk.storage.records import parse_cursor
from tests.emulators.cloudwatch import EVENT_BYTES
from tests.emulators.sagemaker import KEYS, SageMakerCloud
from tests.emulators.training_job import REGION

NATIVE = "bot-0a1b2c3d-a1"
OUTCOME = contract.event_line(contract.EVENT_OUTCOME, state="SUCCEEDED")


@pytest.fixture
def cloud(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    cloud = SageMakerCloud()
    yield cloud
    cloud.close()


@pytest.fixture
def services(cloud):
    return AwsServices(SageMakerOptions(region=REGION, endpoint_url=cloud.url))


def write(cloud, stream, lines):
    name = f"{NATIVE}/{stream}"
    cloud.logs.open(name)
    cloud.logs.put(name, lines)


def stamped(first, texts, *, node=0, attempt=1):
    return [f"{attempt}.{node}.{first + number}|{text}" for number, text in enumerate(texts)]


def read(services, after=None, *, nodes=1, ended=0.0):
    tail = log_streams.CloudWatchReader(services, parse_cursor(after))
    return list(tail.attempt(NATIVE, 1, num_nodes=nodes, follow=False, ended=lambda: ended))


def test_lines_of_a_restart_that_numbers_again_are_kept_apart(cloud, services):
    write(cloud, "algo-1-100", stamped(0, ["a", "b", "lost with the machine"]))
    write(cloud, "algo-1-200", stamped(2, ["c", "d", OUTCOME]))
    lines = read(services)
    assert [line.text for line in lines] == ["a", "b", "lost with the machine", "c", "d", OUTCOME]
    assert [line.cursor for line in lines] == [f"1.0.{number}" for number in range(6)]
    for number, line in enumerate(lines):
        assert read(services, line.cursor) == lines[number + 1 :]


def test_lines_without_a_stamp_have_a_place_too(cloud, services):
    write(cloud, "algo-1-100", ["no module named x", *stamped(0, ["a"]), "Killed", *stamped(1, [OUTCOME])])
    lines = read(services)
    assert [line.text for line in lines] == ["no module named x", "a", "Killed", OUTCOME]
    assert read(services, lines[1].cursor) == lines[2:]


def test_nodes_have_places_of_their_own(cloud, services):
    write(cloud, "algo-1-100", stamped(0, ["a", OUTCOME]))
    write(cloud, "algo-2-100", stamped(0, ["x", "y", OUTCOME], node=1))
    lines = read(services, nodes=2)
    assert sorted(line.text for line in lines) == sorted(["a", OUTCOME, "x", "y", OUTCOME])
    for number, line in enumerate(lines):
        assert read(services, line.cursor, nodes=2) == lines[number + 1 :]


def test_all_pages_of_streams_and_events_are_read(cloud, services):
    for start in range(60):  # more than one page of DescribeLogStreams
        write(cloud, f"algo-1-{1000 + start}", stamped(start, [f"start {start}"]))
    big = ["x" * 300_000 for _ in range(8)]
    write(cloud, "algo-1-2000", [*stamped(60, big), *stamped(68, [OUTCOME])])
    texts = [line.text for line in read(services)]
    assert texts == [*(f"start {start}" for start in range(60)), *big, OUTCOME]


def test_a_line_that_the_platform_cut_is_one_again(cloud, services):
    long = "".join(f"{number} " for number in range(150_000))
    assert len(long) > 3 * EVENT_BYTES
    write(cloud, "algo-1-100", [*stamped(0, ["a", long, "b", long]), "Killed"])
    write(cloud, "algo-1-200", stamped(4, ["x" * EVENT_BYTES, OUTCOME]))
    lines = read(services)
    assert [line.text for line in lines] == ["a", long, "b", long, "Killed", "x" * EVENT_BYTES, OUTCOME]
    assert [line.cursor for line in lines] == [f"1.0.{number}" for number in range(7)]
    for number, line in enumerate(lines):
        assert read(services, line.cursor) == lines[number + 1 :]


def test_a_cut_line_whose_end_has_not_come_is_awaited(cloud, services):
    whole = "y" * (EVENT_BYTES + 5)
    write(cloud, "algo-1-100", stamped(0, ["a"]))
    cloud.logs.put(f"{NATIVE}/algo-1-100", ["1.0.1|" + whole[: EVENT_BYTES - len("1.0.1|")]])
    assert [line.text for line in read(services, ended=None)] == ["a"]
    cloud.logs.put(f"{NATIVE}/algo-1-100", [whole[EVENT_BYTES - len("1.0.1|") :]])
    assert [line.text for line in read(services, ended=None)] == ["a", whole]


def test_an_attempt_before_the_cursor_is_not_read(cloud, services):
    write(cloud, "algo-1-100", stamped(0, ["a", OUTCOME]))
    calls = cloud.calls["GetLogEvents"]
    assert read(services, "2.0.5") == []
    assert cloud.calls["GetLogEvents"] == calls


def test_a_job_without_a_log_has_no_lines(cloud, services):
    assert read(services) == []
    assert read(services, ended=None) == []


def test_late_lines_are_awaited_after_the_end(cloud, services):
    cloud.logs.delay_s = 1.0
    write(cloud, "algo-1-100", stamped(0, ["a", OUTCOME]))
    assert [line.text for line in read(services, ended=time.time())] == ["a", OUTCOME]
