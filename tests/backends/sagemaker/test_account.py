"""What surrounds jobs in an account: doctor, secrets, the registry, addresses, what a job leaves."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ftsdk import backends
from ftsdk.backends.base import JobState, SupportsSecretStore
from ftsdk.backends.sagemaker import SageMaker, policies
from ftsdk.backends.sagemaker.policies import Account
from ftsdk.backends.sagemaker.service import quota_hint
from ftsdk.cli import cli
from ftsdk.errors import AuthError, FtsdkError, JobNotFoundError, NotInstalledError, SpecError, UnsupportedError
from ftsdk.facts import inspect
from ftsdk.jobs import listing, removing
from ftsdk.jobs.job import Job
from ftsdk.jobs.starting import make_ready
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from tests.backends.sagemaker.account import options, put_image
from tests.emulators.sagemaker import BUCKET, KEYS, ROLE, SageMakerCloud
from tests.emulators.training_job import ACCOUNT, REGION

PAGE = Path(__file__).parents[3] / "docs" / "backends" / "sagemaker.md"


@pytest.fixture
def cloud(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    cloud = SageMakerCloud()
    cloud.make_account()
    for name, value in options(cloud).model_dump(include={"role", "endpoint_url"}).items():
        monkeypatch.setenv(f"FTSDK_SAGEMAKER_{name}".upper(), value)
    monkeypatch.setenv("FTSDK_SAGEMAKER_INSTANCE_TYPE", "ml.m5.xlarge")
    yield cloud
    cloud.close()


@pytest.fixture
def role(cloud):
    iam = cloud.client("iam")
    iam.create_role(RoleName="ftsdk", AssumeRolePolicyDocument=json.dumps(policies.TRUST))


def run(*words, **given):
    result = CliRunner().invoke(cli, words, **given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def checked(**changed):
    place = backends.get("sagemaker", changed)
    return {check.what: check for check in place.doctor()}


OURS = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ours:1"


# --- doctor --------------------------------------------------------------------------------------------------
def test_a_whole_account_passes_within_ten_seconds(cloud, role):
    put_image(cloud)
    cloud.quotas = {"ml.m5.xlarge for training job usage": 4}
    began = time.monotonic()
    found = checked(image=OURS)
    assert time.monotonic() - began < 10
    assert {what for what, check in found.items() if not check.ok} == set(), found
    assert set(found) == {"credentials", "role", "permissions", "bucket", "image", "quota"}
    assert found["quota"].detail == "4 x ml.m5.xlarge for training job usage"


def test_every_failed_check_has_a_remedy(cloud):
    cloud.role_lacks = {"s3:PutObject", "logs:PutLogEvents"}
    cloud.quotas = {"ml.m5.xlarge for training job usage": 0}
    found = checked(bucket="nobody-has-this", image=f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/none:1")
    missing = {what for what, check in found.items() if not check.ok}
    assert missing == {"role", "permissions", "bucket", "image", "quota"}
    assert found["permissions"].detail == "the role may not s3:PutObject, logs:PutLogEvents"
    assert '"Action": ["s3:GetObject"' in found["permissions"].remedy
    assert "aws s3 mb s3://nobody-has-this" in found["bucket"].remedy
    assert "ftsdk image push --backend sagemaker" in found["image"].remedy
    assert "servicequotas" in found["quota"].remedy


def test_an_image_for_another_processor_fails_the_check(cloud, role):
    put_image(cloud)
    cloud.platform = {"os": "linux", "architecture": "arm64"}
    found = checked(image=OURS)["image"]
    assert not found.ok
    assert "linux/arm64" in found.detail and "--platform linux/amd64" in found.remedy


def test_an_index_of_images_fails_the_check(cloud, role):
    kind = "application/vnd.oci.image.index.v1+json"
    amd64 = {"os": "linux", "architecture": "amd64"}
    attestation = {"os": "unknown", "architecture": "unknown"}
    manifests = [{"digest": "sha256:" + "1" * 64, "platform": place} for place in (amd64, attestation)]
    put_image(cloud, kind=kind, manifests=manifests)
    found = checked(image=OURS)["image"]
    assert not found.ok and "index of images" in found.detail


@pytest.mark.parametrize(
    ("quotas", "options", "ok", "word"),
    [
        ({"training job usage": 0, "spot training job usage": 4}, {}, True, "4 x ml.g5.xlarge for spot"),
        ({"training job usage": 0, "spot training job usage": 0}, {}, False, "0 x ml.g5.xlarge"),
        ({"training job usage": 4, "training warm pool usage": 0}, {}, True, "4 x"),
        ({"training job usage": 4, "training warm pool usage": 0}, {"keep_alive_minutes": 5}, False, "warm pool"),
    ],
)
def test_every_types_quota_of_its_usage_is_looked_up(cloud, role, quotas, options, ok, word):
    cloud.quotas = {"ml.m5.xlarge for training job usage": 8}
    cloud.quotas |= {f"ml.g5.xlarge for {usage}": count for usage, count in quotas.items()}
    place = backends.get("sagemaker", {"instance_type": "ml.m5.xlarge,ml.g5.xlarge", **options})
    first, second = [check for check in place.doctor() if check.what == "quota"]
    assert first.ok and "8 x ml.m5.xlarge" in first.detail
    assert second.ok == ok and word in second.detail + second.remedy


def test_the_policies_name_the_key(cloud):
    found = checked(role=None, kms_key="0123abcd", subnets="subnet-1", security_groups="sg-1", remote_debug=True)
    for word in ("kms:CreateGrant", "kms:Encrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0123abcd",
                 "ec2:CreateNetworkInterface", "ssmmessages:OpenDataChannel"):  # fmt: skip
        assert word in found["role"].remedy


def test_a_role_that_sagemaker_may_not_take(cloud):
    trust = json.dumps(policies.TRUST).replace("sagemaker", "ec2")
    cloud.client("iam").create_role(RoleName="ftsdk", AssumeRolePolicyDocument=trust)
    assert "may not take" in checked()["role"].detail


def test_without_a_role_the_policy_is_printed(cloud):
    found = checked(role=None)["role"]
    assert not found.ok
    assert f"arn:aws:s3:::{BUCKET}/ftsdk/*" in found.remedy
    assert f"-o role={ROLE}" in found.remedy


def test_without_credentials_doctor_reports_only_that(cloud, monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    found = checked(region=REGION)
    assert list(found) == ["credentials"]
    assert "aws configure sso" in found["credentials"].remedy
    with pytest.raises(AuthError, match="There are no AWS credentials"):
        list(backends.get("sagemaker", {"region": REGION}).list())


def test_without_a_network_it_reports_it(cloud):
    found = checked(endpoint_url="http://127.0.0.1:9")
    assert list(found) == ["credentials"]
    assert found["credentials"].remedy.endswith("check the network.")


@pytest.mark.parametrize(
    "config", ["[profile lost]\nsource_profile = gone\nrole_arn = r", "[profile lost]\nsso_session = none"]
)
def test_a_profile_that_is_broken_is_named(cloud, monkeypatch, tmp_path, config):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lost")
    found = checked()
    assert list(found) == ["credentials"]
    assert re.search("aws configure sso|AWS_PROFILE", found["credentials"].remedy)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-west-2", "us-west-2.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
        ("eusc-de-east-1", "eusc-de-east-1.console.amazonaws-eusc.eu"),
    ],
)
def test_a_quota_is_raised_in_the_partitions_own_console(region, host):
    assert f"https://{host}/servicequotas/" in quota_hint("", region)


def test_the_doctor_takes_options(cloud, role):
    result = CliRunner().invoke(cli, ["doctor", "-b", "sagemaker", "-o", "bucket=nobody-has-this", "--json"])
    assert (
        "nobody-has-this" in next(check for check in json.loads(result.stdout) if check["what"] == "bucket")["detail"]
    )
    assert CliRunner().invoke(cli, ["doctor", "-o", "bucket=x"]).exit_code == 2


def test_without_a_region_no_jobs_are_listed(cloud, monkeypatch):
    monkeypatch.delenv("AWS_REGION")
    assert list(backends.get("sagemaker").list()) == []
    assert "AWS_REGION" in checked()["credentials"].remedy
    with pytest.raises(SpecError, match="'region' is missing"):
        backends.get("sagemaker").describe("x-00000000")


@pytest.mark.parametrize("who", ["job", "caller"])
def test_the_page_has_the_policies(who):
    account = Account("us-west-2", "123456789012", "s3://BUCKET/ftsdk", ROLE, "ftsdk/")
    made = {"job": policies.job_policy, "caller": policies.caller_policy}[who](account)
    written = re.search(rf"<!-- policy: {who} -->\n\n```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert json.loads(written[1]) == made


# --- secrets and images --------------------------------------------------------------------------------------
def test_secrets_are_stored_from_the_environment_or_a_prompt(cloud, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "one")
    for value in ("two", "three"):
        printed = run("secrets", "put", "HF_TOKEN", "WANDB_API_KEY", "-b", "sagemaker", "--json", input=value)
        said = json.loads(printed[printed.index("{") :])  # click 8.1's test runner shows a hidden prompt on stdout
    assert said["HF_TOKEN"].startswith(f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:ftsdk/HF_TOKEN")
    read = cloud.client("secretsmanager").get_secret_value
    assert read(SecretId="ftsdk/HF_TOKEN")["SecretString"] == "one"
    assert read(SecretId="ftsdk/WANDB_API_KEY")["SecretString"] == "three"
    assert isinstance(SageMaker(), SupportsSecretStore)


def test_a_backend_without_a_secret_store_refuses():
    with pytest.raises(UnsupportedError, match="passes secrets to a job when it is submitted"):
        run("secrets", "put", "X", "-b", "local")


def test_the_image_goes_to_the_accounts_own_registry(cloud, monkeypatch, tmp_path):
    """ECR is moto's; docker is a program that writes down how it was called, because no registry runs here."""
    program = tmp_path / "docker"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "if 'Labels' in ''.join(sys.argv): sys.exit(print('null'))\n"
        "if sys.argv[1:3] == ['image', 'inspect']: sys.exit(print('linux/' + os.environ.get('BUILT_FOR', 'amd64')))\n"
        "said = sys.stdin.read() if '--password-stdin' in sys.argv else ''\n"
        "made = open(sys.argv[-1] + '/Dockerfile').read() if sys.argv[1] == 'build' else ''\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(json.dumps([sys.argv[1:], bool(said), made]) + '\\n')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for _ in range(2):  # the second time the repository is there
        address = run("image", "push", "-b", "sagemaker", "--tag", "ftsdk:9").strip()
    assert address == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ftsdk:9"
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()][-4:]
    assert [call[0][0] for call in calls] == ["login", "build", "tag", "push"]
    assert calls[0][1]
    assert calls[1][2] == "FROM ftsdk:9\nUSER root\n"
    assert calls[3][0] == ["push", address]
    monkeypatch.setenv("BUILT_FOR", "arm64")
    with pytest.raises(FtsdkError, match="--platform linux/amd64"):
        run("image", "push", "-b", "sagemaker", "--tag", "ftsdk:9")


# --- jobs ----------------------------------------------------------------------------------------------------
@pytest.fixture
def job(cloud, spec_folder):
    """A job whose machines are not to be had: no container is needed."""
    cloud.sold_out = {"ml.m5.xlarge"}
    spec = parse({"name": "sold-out", "model": "model", "dataset": "train.jsonl"}, where="test")
    place = backends.get("sagemaker")
    made = submit(place.plan(spec, inspect(spec, folder=spec_folder)), place, secrets={}, on_attach=print)
    made.wait(30)
    return made


def test_an_address_is_enough_to_attach(job, monkeypatch, tmp_path):
    monkeypatch.setenv("FTSDK_HOME", str(tmp_path / "another-machine"))
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("FTSDK_SAGEMAKER_ROLE")
    assert job.uri.startswith(f"sagemaker://{REGION}/sold-out-")
    assert Job.attach(job.uri).info() == job.info()


def test_the_listing_has_addresses_that_attach(job, monkeypatch, tmp_path):
    monkeypatch.setenv("FTSDK_HOME", str(tmp_path / "another-machine"))
    found = list(listing.list_jobs("sagemaker", on_problem=print))
    assert [(uri, info.state, info.reason) for uri, info in found] == [(job.uri, JobState.FAILED, "")]
    assert job.info().reason == "capacity"  # the listing does not say, a look does


def test_files_of_a_job_are_listed_and_removed(job):
    store = job.store
    assert {item.key for item in store.list()} == {"job.json", "attempts/a1/claim.json"}
    found = removing.remains(job.uri)
    assert list(found.places) == [f"s3://{BUCKET}/ftsdk/jobs/{job.name}"]
    assert found.bytes > 0
    removing.remove(found)
    assert list(store.list()) == []


def test_a_job_that_runs_is_not_removed(job, cloud):
    native = next(iter(cloud.jobs.values()))
    native.status, native.secondary = "InProgress", "Training"
    with pytest.raises(FtsdkError, match="cancel it first"):
        removing.remains(Job(job.uri, backends.get("sagemaker")).uri)


def test_a_name_of_an_existing_training_job_is_refused(cloud, job, spec_folder):
    native = next(iter(cloud.jobs.values()))
    native.request["Environment"]["FTSDK_DIGEST"] = "another"
    place = backends.get("sagemaker")
    spec = parse({"name": "sold-out", "model": "model", "dataset": "train.jsonl"}, where="test")
    plan = place.plan(spec, inspect(spec, folder=spec_folder))
    make_ready(plan)
    with pytest.raises(FtsdkError, match="of another spec"):
        place.submit(plan, {})


def test_a_job_deleted_in_the_console_raises_job_not_found(cloud, job):
    cloud.client("sagemaker").delete_training_job(TrainingJobName=f"{job.name}-a1")
    with pytest.raises(JobNotFoundError):
        Job.attach(job.uri)


def test_the_vendors_own_handle_needs_its_sdk(job):
    if "sagemaker" not in sys.modules:
        with pytest.raises(NotInstalledError, match=r"ftsdk\[sagemaker-sdk\]"):
            job.native()
