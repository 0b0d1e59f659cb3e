"""Durable storage in a bucket: whole or not at all, put once, and what is tried again, over real HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import obstore
import pytest

from ftsdk.runtime.checkpoints.checkpoints import Identity, committed, publish, restore, retain
from ftsdk.runtime.retry import RetryPolicy
from ftsdk.runtime.storage import aliyun_credentials, connection
from ftsdk.runtime.storage.aws_regions import bucket_region
from ftsdk.runtime.storage.base import STORAGE_RETRY
from ftsdk.runtime.storage.bucket import PIECE_BYTES, BucketStore
from ftsdk.runtime.storage.oss_api import own_endpoint
from ftsdk.runtime.storage.spool import DurableBucket
from tests.emulators.buckets import KEY, SECRET, TOKEN, Buckets, GcsBuckets, OssBuckets, oss_signature
from tests.emulators.proxy import Network
from tests.runtime.stores import check_objects_are_put_whole_and_once, keys

SOON_S = 30.0


def s3_address(server, monkeypatch):
    return "s3://bucket/a/b", {"endpoint": server.url}, {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


def oss_address(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)  # so that the request names the real host
    environ = {"OSS_ACCESS_KEY_ID": KEY, "OSS_ACCESS_KEY_SECRET": SECRET, "OSS_SESSION_TOKEN": TOKEN}
    return "oss://bucket/a/b", {"endpoint": f"http://{OssBuckets.host}", "region": "cn-hangzhou"}, environ


def gcs_address(server, monkeypatch):
    return "gs://bucket/a/b", {"endpoint": server.url}, {"GOOGLE_BEARER_TOKEN": "token"}


DIALECTS = {"s3": (Buckets, s3_address), "oss": (OssBuckets, oss_address), "gs": (GcsBuckets, gcs_address)}


@pytest.fixture(params=DIALECTS)
def durable(request, monkeypatch, tmp_path):
    kind, address = DIALECTS[request.param]
    server = kind()
    server.make_bucket()
    made = DurableBucket(*address(server, monkeypatch), tmp_path / "spool")
    made.delete_folder("")
    made.server = server
    yield made
    server.close()


@pytest.mark.parametrize(
    ("time", "more", "signature"),
    [
        ("20231216T162057Z", "", "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"),
        ("20231216T172512Z", "abc;zabc", "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f"),
    ],
)
def test_the_emulated_oss_signs_as_alibaba_s_own_client(time, more, signature):
    """Examples of aliyun/alibabacloud-oss-python-sdk-v2, tests/unit/signer/test_v4.py."""
    names = f"AdditionalHeaders={more}," if more else ""
    headers = {
        "x-oss-head1": "value",
        "abc": "value",
        "zabc": "value",
        "xyz": "value",
        "content-type": "text/plain",
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "x-oss-date": time,
        "authorization": f"OSS4-HMAC-SHA256 Credential=ak/20231216/cn-hangzhou/oss/aliyun_v4_request,{names}Signature=",
    }
    query = "param1=value1&%2Bparam1=value3&%7Cparam1=value4&%2Bparam2=&%7Cparam2=&param2="
    assert oss_signature("PUT", "/bucket/1234%2B-/123/1.txt", query, headers, "sk") == signature


def test_oss_creates_by_its_own_api_alone(monkeypatch):
    """Its S3 protocol overwrites whatever the header says, and so does a bucket with versioning."""
    server = OssBuckets()
    server.make_bucket()
    store = BucketStore(*oss_address(server, monkeypatch), retry_s=1)
    odd = "claims/a b+数据~!*'().json"
    assert store.put_if_absent(odd, b"one") and not store.put_if_absent(odd, b"two")
    assert store.read(odd) == b"one"
    server.lost_answers = 1
    assert store.put_if_absent("lost", b"mine")
    monkeypatch.setattr(server, "versioned", {"bucket"})
    assert store.put_if_absent(odd, b"three")
    uri, storage, environ = oss_address(server, monkeypatch)
    wrong = BucketStore(uri, storage, {**environ, "OSS_ACCESS_KEY_SECRET": "other"}, retry_s=1)
    with pytest.raises(PermissionError, match=r"oss://bucket/a/b/claim: access was refused \(403 SignatureDoesNot"):
        wrong.put_if_absent("claim", b"")
    server.close()
    with pytest.raises(ConnectionError, match="oss://bucket/a/b/claim does not answer"):
        store.put_if_absent("claim", b"")


@pytest.mark.parametrize(
    ("s3_protocol", "own"),
    [
        ("https://b.s3.oss-cn-hangzhou.aliyuncs.com", "https://b.oss-cn-hangzhou.aliyuncs.com"),
        ("https://s3.oss-cn-hangzhou-internal.aliyuncs.com", "https://oss-cn-hangzhou-internal.aliyuncs.com"),
        ("https://data.example.com", "https://data.example.com"),
    ],
)
def test_both_protocols_of_oss_have_their_hosts(s3_protocol, own):
    assert own_endpoint(s3_protocol) == own


@pytest.fixture
def bucket(s3):
    return BucketStore(s3.address, {}, os.environ, retry_s=20)


def test_objects_are_put_whole_and_once(durable, tmp_path):
    check_objects_are_put_whole_and_once(durable, tmp_path)


def test_stored_files_are_read_back_unchanged(durable, tmp_path):
    for number, size in enumerate((0, 1000, 2 * PIECE_BYTES + 5)):
        source = tmp_path / f"数据 #{number} [1].bin"
        source.write_bytes(os.urandom(size))
        written = durable.put_file(f"m/{source.name}", source)
        assert durable.fetch(f"m/{source.name}", tmp_path / "back") == written
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert durable.server.count("PUT", "partNumber=3") == 1


def test_checkpoints_are_committed_restored_and_retired(durable, tmp_path):
    identity = Identity(digest="d" * 64, attempt=1, num_nodes=1, node=0, world_size=1)
    for step in (5, 10, 15):
        source = tmp_path / f"checkpoint-{step}"
        source.mkdir()
        (source / "state.txt").write_text(str(step))
        publish(durable, identity, step, source, lambda: False)
        retain(durable, identity.digest, 2)
    assert [commit.step for commit in committed(durable, identity.digest)] == [15, 10]
    restore(durable, committed(durable, identity.digest)[0], tmp_path / "back")
    assert (tmp_path / "back" / "state.txt").read_text() == "15"
    assert not list(durable.list("checkpoints/checkpoint-000005/"))


# --- what goes wrong ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("answer", [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")])
def test_temporary_errors_are_retried(s3, bucket, answer):
    s3.answers += [answer] * 3
    bucket.put("key", b"data")
    s3.answers += [answer] * 3
    assert bucket.read("key") == b"data"
    s3.answers += [answer] * 2
    assert bucket.put_if_absent("other", b"data")


def test_put_if_absent_succeeds_when_its_response_was_lost(s3, bucket):
    s3.lost_answers = 1
    assert bucket.put_if_absent("claim", b"mine")
    s3.lost_answers = 1
    assert not bucket.put_if_absent("claim", b"theirs")
    assert bucket.read("claim") == b"mine"


def test_only_one_concurrent_put_if_absent_succeeds(s3, bucket):
    wins = []
    threads = [
        threading.Thread(target=lambda name=name: wins.append(bucket.put_if_absent("claim", b"%d" % name)))
        for name in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 7 + [True]


def test_a_refusal_is_raised_without_retries_in_one_sentence(s3, bucket):
    s3.answers.append((403, "AccessDenied"))
    with pytest.raises(PermissionError, match=r"s3://bucket/.*/key: access was refused \(403 AccessDenied\)"):
        bucket.put("key", b"")
    assert s3.count("PUT", "key") == 1
    s3.answers.append((400, "ExpiredToken"))
    with pytest.raises(PermissionError, match="ExpiredToken"):
        bucket.read("key")
    nowhere = BucketStore("s3://no-such-bucket/x", {}, os.environ, retry_s=5)
    for act in (lambda: nowhere.put("key", b""), lambda: nowhere.read("key"), lambda: list(nowhere.list(""))):
        with pytest.raises(OSError, match=r"the bucket of s3://no-such-bucket/x.* does not exist") as caught:
            act()
        assert not isinstance(caught.value, FileNotFoundError)


def test_an_unreachable_server_raises_after_the_deadline(monkeypatch, s3):
    gone = BucketStore("s3://bucket/x", {"endpoint": "http://127.0.0.1:9"}, os.environ, retry_s=1)
    with pytest.raises(ConnectionError, match="s3://bucket/x/key does not answer"):
        gone.put("key", b"")
    with pytest.raises(ConnectionError, match="does not answer"):
        gone.read("key")


def test_a_file_survives_a_network_that_goes_away(s3, tmp_path):
    network = Network(s3.url)
    bucket = BucketStore(s3.address, {"endpoint": network.url}, os.environ, retry_s=60)
    source = tmp_path / "file"
    source.write_bytes(os.urandom(4 * PIECE_BYTES))

    def fail():
        network.down()
        time.sleep(2)
        network.up()

    threading.Timer(0.05, fail).start()
    written = bucket.put_file("file", source)
    threading.Timer(0.05, network.cut).start()
    assert bucket.fetch("file", tmp_path / "back") == written


def test_lines_are_shipped_while_they_come_and_segments_in_order(s3, tmp_path, monkeypatch):
    durable = DurableBucket(s3.address, {}, os.environ, tmp_path / "spool")
    first = durable.appender("logs/1")
    for number in range(200):
        first.write(b"line %d\n" % number)
    wait_for(lambda: keys(durable, "logs/") == ["logs/1"])
    first.close()
    second = durable.appender("logs/2")
    second.write(b"more\n")
    second.close()
    again = durable.appender("logs/2")
    again.write(b"and more\n")
    again.close()
    durable.settle(SOON_S)
    assert durable.read("logs/1") == b"".join(b"line %d\n" % number for number in range(200))
    assert durable.read("logs/2") == b"more\nand more\n"
    assert s3.count("PUT", "logs/1") <= 3
    assert not (tmp_path / "spool" / "logs_1").exists()


def test_lines_wait_for_a_bucket_that_does_not_answer(s3, tmp_path):
    network = Network(s3.url)
    durable = DurableBucket(s3.address, {"endpoint": network.url}, os.environ, tmp_path / "spool")
    log = durable.appender("logs/1")
    log.write(b"before\n")
    durable.settle(SOON_S)
    network.down()
    for number in range(1000):
        log.write(b"%d\n" % number)
    later = durable.appender("logs/2")
    later.write(b"later\n")
    network.up()
    durable.settle(SOON_S)
    assert durable.read("logs/1").count(b"\n") == 1001 and durable.read("logs/2") == b"later\n"


def wait_for(condition):
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- regions --------------------------------------------------------------------------------------------
def test_a_bucket_of_another_region_is_reported_without_retries(s3, bucket):
    s3.region = "eu-west-1"
    began = time.monotonic()
    for call in (lambda: bucket.put("key", b"x"), lambda: bucket.read("key"), lambda: list(bucket.list())):
        with pytest.raises(OSError, match="another region") as told:
            call()
        assert not isinstance(told.value, ConnectionError)
        assert STORAGE_RETRY.is_final(told.value)
    assert time.monotonic() - began < 5.0
    s3.region = ""


def test_the_region_of_a_bucket_is_looked_up(s3, monkeypatch):
    s3.region = "eu-west-1"
    assert bucket_region("bucket", s3.url) == "eu-west-1"
    assert bucket_region("bucket", "http://127.0.0.1:9") is None
    monkeypatch.setattr(connection, "s3_endpoint", lambda region: f"{s3.url}/" if region == "eu-west-1" else s3.url)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    store = connection.connect("s3://bucket.x/a", {}, {**os.environ, "AWS_REGION": "us-west-2"}, RetryPolicy()).store
    assert store.config["region"] == "eu-west-1"
    s3.region = ""


# --- credentials --------------------------------------------------------------------------------------------
class Platform(BaseHTTPRequestHandler):
    """What gives credentials to a container or an instance."""

    def do_PUT(self):
        self._say("token")

    def do_GET(self):
        if self.path.endswith("security-credentials/"):
            return self._say("role")
        ends = {"Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2020-01-01T00:00:00Z", "Code": "Success"}
        aws = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "Type": "AWS-HMAC"}
        return self._say(json.dumps({**ends, **aws, "AccessKeySecret": SECRET, "SecurityToken": TOKEN}))

    def _say(self, text):
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def platform():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def without_keys(monkeypatch, home):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))


@pytest.mark.parametrize("place", ["container", "instance"])
def test_credentials_of_a_containers_and_an_instances_role_are_used(s3, platform, monkeypatch, tmp_path, place):
    without_keys(monkeypatch, tmp_path)
    if place == "container":
        (tmp_path / "token").write_text("token")
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{platform}/v2/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    else:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", platform)
    BucketStore(s3.address, {}, os.environ, retry_s=5).put("key", b"data")
    headers = s3.requests[-1][2]
    assert f"Credential={KEY}/" in headers["authorization"] and headers["x-amz-security-token"] == TOKEN


def test_credentials_of_a_profile_are_read_through_boto3(s3, monkeypatch, tmp_path):
    without_keys(monkeypatch, tmp_path)
    (tmp_path / ".aws").mkdir()
    said = "[work]\naws_access_key_id = AKPROFILE\naws_secret_access_key = s\n"
    (tmp_path / ".aws" / "credentials").write_text(said)
    monkeypatch.setenv("AWS_PROFILE", "work")
    BucketStore(s3.address, {}, os.environ, retry_s=5).put("key", b"data")
    assert "Credential=AKPROFILE/" in s3.requests[-1][2]["authorization"]


def test_credentials_of_alibaba_cloud_are_read(platform, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = aliyun_credentials.AliyunCredentials({"ALIBABA_CLOUD_CREDENTIALS_URI": platform})()
    assert (found["access_key_id"], found["token"]) == (KEY, TOKEN)
    (tmp_path / ".aliyun").mkdir()
    profile = {"name": "work", "mode": "AK", "access_key_id": "AKPROFILE", "access_key_secret": "s"}
    (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({"current": "work", "profiles": [profile]}))
    monkeypatch.setattr(aliyun_credentials, "find_spec", lambda name: None)  # an image without it
    assert aliyun_credentials.AliyunCredentials({})()["access_key_id"] == "AKPROFILE"


def test_profiles_are_read_through_alibaba_clouds_library(tmp_path):
    """In another process: it reads the environment when it is imported."""
    (tmp_path / ".alibabacloud").mkdir()
    said = "[default]\ntype = access_key\naccess_key_id = AKPROFILE\naccess_key_secret = s\n"
    (tmp_path / ".alibabacloud" / "credentials.ini").write_text(said)
    code = (
        "from ftsdk.runtime.storage.aliyun_credentials import AliyunCredentials as A; print(A({})()['access_key_id'])"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALIBABA_CLOUD")}
    given = {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    assert done.stdout == "AKPROFILE\n"


def test_an_address_that_says_too_little_is_refused():
    with pytest.raises(ValueError, match="region"):
        BucketStore("oss://bucket/x", {}, {}, retry_s=1)
    with pytest.raises(ValueError, match="no address"):
        BucketStore("s3:///x", {}, {}, retry_s=1)


def test_hosts_are_those_of_the_cloud():
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    keys |= {"OSS_ACCESS_KEY_ID": KEY, "OSS_ACCESS_KEY_SECRET": SECRET}

    def host(address, **storage):
        opened = connection.connect(address, storage, keys, RetryPolicy(deadline_s=1))
        return obstore.sign(opened.store, "GET", "key", timedelta(hours=1)).partition("?")[0]

    assert host("s3://b/p", region="eu-west-1") == "https://b.s3.eu-west-1.amazonaws.com/p/key"
    assert host("s3://b.c/p", region="cn-north-1") == "https://s3.cn-north-1.amazonaws.com.cn/b.c/p/key"
    assert host("oss://b/p", region="cn-hangzhou") == "https://b.s3.oss-cn-hangzhou.aliyuncs.com/p/key"
    inside = "https://s3.oss-cn-hangzhou-internal.aliyuncs.com"
    assert host("oss://b/p", endpoint=inside) == "https://b.s3.oss-cn-hangzhou-internal.aliyuncs.com/p/key"
    assert host("oss://b/p", endpoint="data.example.com", addressing="cname") == "https://data.example.com/p/key"
