"""Inside a SageMaker training job: the cluster, and what is left for the platform."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ftsdk import contract
from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.platforms import aws_secrets, sagemaker
from ftsdk.runtime.storage import aws_credentials
from ftsdk.runtime.supervisor.start import JobRefusedError, read_start


def resources(root, **told):
    folder = root / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "resourceconfig.json").write_text(json.dumps(told))
    return root


def test_one_host_is_a_cluster_of_one(tmp_path):
    cluster = sagemaker.read_cluster(resources(tmp_path, current_host="algo-1", hosts=["algo-1"]))
    assert cluster == (1, 0, "127.0.0.1", 29500)
    assert sagemaker.network(tmp_path) == {}


def test_ranks_follow_the_hosts_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port: [host])
    hosts = [f"algo-{number}" for number in (10, 2, 1, 3, 4, 5, 6, 7, 8, 9)]
    root = resources(tmp_path, current_host="algo-10", hosts=hosts, network_interface_name="eth0")
    assert sagemaker.read_cluster(root) == (10, 9, "algo-1", 29500)
    assert sagemaker.network(root) == {"NCCL_SOCKET_IFNAME": "eth0", "GLOO_SOCKET_IFNAME": "eth0"}


def test_a_late_host_is_awaited(tmp_path, monkeypatch):
    asked = []

    def resolve(host, port):
        asked.append(host)
        if len(asked) < 3:
            raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    monkeypatch.setattr(sagemaker, "HOST_POLL_S", 0.0)
    sagemaker.read_cluster(resources(tmp_path, current_host="algo-2", hosts=["algo-1", "algo-2"]))
    assert asked == ["algo-1"] * 3


def test_a_host_that_never_comes_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sagemaker, "HOST_TIMEOUT_S", -1.0)
    root = resources(tmp_path, current_host="no.such.host.invalid", hosts=["no.such.host.invalid", "x.invalid"])
    with pytest.raises(ValueError, match="cannot be resolved"):
        sagemaker.read_cluster(root)


def test_a_broken_resourceconfig_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"resourceconfig\.json cannot be read"):
        sagemaker.read_cluster(tmp_path)


def test_the_failure_is_cut_where_the_platform_cuts(tmp_path):
    sagemaker.write_failure("oom: " + "ä" * 2000, tmp_path)
    assert len((tmp_path / "output" / "failure").read_text("utf-8")) == 1024


def test_a_failure_that_cannot_be_left_has_no_effect(tmp_path):
    (tmp_path / "output").write_text("a file where the folder should be")
    sagemaker.write_failure("x", tmp_path)


def test_the_model_folder_is_hard_linked_not_copied(tmp_path):
    made = tmp_path / "made" / "a.bin"
    made.parent.mkdir()
    made.write_bytes(b"weights")
    for _ in range(2):
        sagemaker.copy_model({"sub/a.bin": made}, tmp_path)
    assert (tmp_path / "model" / "sub" / "a.bin").stat().st_ino == made.stat().st_ino


# --- secrets -------------------------------------------------------------------------------------------------
@pytest.fixture
def account(monkeypatch):
    pytest.importorskip("moto")
    from tests.emulators.sagemaker import KEYS, SageMakerCloud

    cloud = SageMakerCloud()
    cloud.make_account()
    yield cloud, {**KEYS, "AWS_ENDPOINT_URL": cloud.url}
    cloud.close()


def test_secrets_come_from_secrets_manager_then_ssm(account):
    cloud, environ = account
    cloud.client("secretsmanager").create_secret(Name="ftsdk/HF_TOKEN", SecretString="one")
    cloud.client("ssm").put_parameter(Name="/ftsdk/WANDB_API_KEY", Value="two", Type="SecureString")
    told = json.dumps({"aws": ["HF_TOKEN", "WANDB_API_KEY"], "prefix": "ftsdk/"})
    assert aws_secrets.fetch(told, environ) == {"HF_TOKEN": "one", "WANDB_API_KEY": "two"}
    cloud.trouble = 0.2
    assert aws_secrets.fetch(told, environ) == {"HF_TOKEN": "one", "WANDB_API_KEY": "two"}


def test_a_signature_is_what_botocore_makes(account, monkeypatch):
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    _, environ = account
    keys = aws_secrets.AwsKeys("AKIA", "secret", "token")
    made = aws_secrets._signed("ssm", "AmazonSSM.GetParameter", b'{"Name": "/x"}', environ, keys)
    headers = {name.lower(): value for name, value in made.header_items()}
    theirs = AWSRequest("POST", made.full_url, data=made.data)
    for name in ("content-type", "host", "x-amz-date", "x-amz-security-token", "x-amz-target"):
        theirs.headers[name] = headers[name]
    theirs.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(Credentials(*keys), "ssm", environ["AWS_REGION"])
    signature = auth.signature(auth.string_to_sign(theirs, auth.canonical_request(theirs)), theirs)
    assert headers["authorization"].endswith(f"Signature={signature}")


def test_the_roles_credentials_are_fetched(monkeypatch):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"AccessKeyId": "A", "SecretAccessKey": "S", "Token": self.path}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.handle_request, daemon=True).start()
    monkeypatch.setattr(aws_credentials, "CONTAINER_HOST", f"http://127.0.0.1:{server.server_port}")
    keys = aws_secrets._keys({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/role"})
    server.server_close()
    assert keys == ("A", "S", "/role")


def test_a_missing_secret_is_named(account, tmp_path):
    _, environ = account
    document = dict.fromkeys(JobDocument.__required_keys__, "")
    document |= {"contract": contract.VERSION, "name": "bot-0a1b2c3d", "durable": "s3://b/x", "num_nodes": 1}
    (tmp_path / "job.json").write_text(json.dumps(document))
    environ[contract.ENV_JOB] = str(tmp_path / "job.json")
    environ[contract.ENV_SECRETS_FROM] = json.dumps({"aws": ["HF_TOKEN"], "prefix": "ftsdk/"})
    with pytest.raises(JobRefusedError, match=r"secret ftsdk/HF_TOKEN is neither in .*`ftsdk secrets put`"):
        read_start(environ)
