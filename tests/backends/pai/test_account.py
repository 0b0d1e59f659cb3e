"""What the backend asks of an account, over real HTTP with verified signatures; nothing here runs a container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from ftsdk.backends import image_contents
from ftsdk.backends.pai import Pai, jobs
from ftsdk.backends.pai.service import RETRY, AlibabaServices, failure
from ftsdk.errors import AuthError, BackendError, CapacityError, QuotaError, UnavailableError
from ftsdk.facts import platforms
from ftsdk.home import home_dir
from tests.backends.pai.account import ROLE, options
from tests.emulators.dlc import DlcCloud
from tests.golden import plans
from tests.golden.pai import REQUESTS

KIND = "ecs.g7.2xlarge"
ERRORS = {
    "Throttling.User": UnavailableError,
    "ServiceUnavailable": UnavailableError,
    "Forbidden.RAM": AuthError,
    "NoPermission": AuthError,
    "InvalidAccessKeyId.NotFound": AuthError,
    "SignatureDoesNotMatch": AuthError,
    "QuotaExceeded": QuotaError,
    "InstanceNoStock": CapacityError,
    "InvalidParameter": BackendError,
}


@pytest.fixture
def cloud(monkeypatch):
    cloud = DlcCloud()
    cloud.sold_out = {KIND}
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    for module in ("service", "jobs"):
        monkeypatch.setattr(f"ftsdk.backends.pai.{module}.RETRY", RETRY._replace(max_pause_s=0.0))
    yield cloud
    cloud.close()


@pytest.fixture
def facts():
    return plans.facts()


@pytest.fixture
def services(cloud):
    return AlibabaServices(options(cloud))


def request(attempt=1):
    made = REQUESTS["cpu-mounts-auth"]().for_attempt(attempt).request
    return {**made, "JobSpecs": [{**made["JobSpecs"][0], "EcsSpec": KIND}]}


@pytest.mark.parametrize("code", ERRORS)
def test_error_codes_become_ftsdk_errors(code):
    problem = failure(code, "code: 400, it rains. request id: 1234")
    assert isinstance(problem, ERRORS[code])
    assert "it rains" in str(problem)
    assert "request id" not in str(problem)


def test_a_request_arrives_as_it_was_planned(services, cloud):
    jobs.create(services, request())
    (job,) = cloud.jobs.values()
    assert {key: job.request[key] for key in request()} == {
        **request(),
        "JobSpecs": [{**request()["JobSpecs"][0], "ElasticSpotSpecs": [], "LocalMountSpecs": [],
                      "StartupDependencies": []}],
    }  # fmt: skip


@pytest.mark.parametrize("troubles", [["drop"], ["lose"], [429, 503], ["drop", "lose", 503]])
def test_a_create_is_looked_up_before_it_is_repeated(services, cloud, troubles):
    cloud.troubles["CreateJob"] = list(troubles)
    made = jobs.create(services, request())
    assert list(cloud.jobs) == [made]


def test_of_duplicate_jobs_the_oldest_is_kept(services, cloud):
    cloud.troubles["CreateJob"] = ["lose"]
    cloud.unseen = 1
    made = jobs.create(services, request())
    assert next(iter(cloud.jobs)) == made
    assert cloud.calls["StopJob"] >= 1
    assert [job.is_asked_to_stop for job in cloud.jobs.values()] == [False, True]
    assert [native.id for native in jobs.attempts(services, REQUESTS["cpu-mounts-auth"]().name)] == [made]


def test_a_service_that_never_answers_raises_unavailable_error(services, cloud):
    cloud.troubles["CreateJob"] = ["drop"] * 20
    with pytest.raises(UnavailableError, match="does not answer"):
        jobs.create(services, request())
    assert not cloud.jobs


def test_attempts_are_listed_by_the_jobs_name(services, cloud):
    for number in (1, 2, 11):
        jobs.create(services, request(number))
    jobs.create(services, {**request(), "DisplayName": "x" + request()["DisplayName"]})
    name = REQUESTS["cpu-mounts-auth"]().name
    assert [native.attempt for native in jobs.attempts(services, name)] == [1, 2, 11]
    assert [(info.name, info.attempt) for info in jobs.each(services)] == [(f"x{name}", 1), (name, 11)]


def test_jobs_of_earlier_years_are_listed(services, cloud):
    jobs.create(services, request())
    for job in cloud.jobs.values():
        job.created_at = "2024-01-01T00:00:00Z"
    assert len(list(services.jobs())) == 1


def test_all_pages_of_a_listing_are_read(services, cloud, monkeypatch):
    monkeypatch.setattr("ftsdk.backends.pai.service.PAGE", 2)
    for number in range(1, 6):
        jobs.create(services, request(number))
    assert len(list(services.jobs())) == 5


@pytest.mark.parametrize("trouble", ["drop", "lose", 503])
def test_storing_a_secret_is_retried(cloud, trouble):
    backend = Pai(options(cloud))
    for value in ("one", "two"):
        for action in ("CreateSecret", "PutSecretValue"):
            cloud.troubles[action] = [trouble, 429]
        assert backend.put_secret("A", value) == "ftsdk/A"
        assert cloud.secrets["ftsdk/A"] == value


def test_doctor_passes_on_a_complete_account(cloud):
    found = {check.what: check for check in Pai(options(cloud)).doctor()}
    assert {what: check.detail for what, check in found.items() if not check.ok} == {}
    assert {"credentials and workspace", "bucket", "image", "machine types", "role of the job"} == set(found)
    assert "kms:GetSecretValue" in found["role of the job"].detail


def test_a_bucket_that_overwrites_is_refused_by_doctor(cloud, monkeypatch):
    monkeypatch.setattr(cloud.oss, "versioned", {options(cloud).bucket})
    (check,) = [check for check in Pai(options(cloud)).doctor() if not check.ok]
    assert check.what == "bucket" and "versioning" in check.remedy


def test_doctor_says_which_machines_are_free(cloud):
    found = {check.what: check.detail for check in Pai(options(cloud, ecs_spec=None)).doctor()}
    here, _, spot = found["machine types"].partition("; spot: ")
    assert here == "ecs.gn7i-c8g1.2xlarge (discount 0.1), ecs.gn6v-c8g1.2xlarge"
    assert spot == "ecs.gn7i-c8g1.2xlarge (discount 0.1)"


def test_without_credentials_it_reports_it_at_once(cloud, tmp_path):
    """In another process: Alibaba Cloud's library reads the environment when it is imported."""
    kept = {name: value for name, value in os.environ.items() if name not in cloud.environment}
    given = {
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
    }
    named = options(cloud).model_dump(include={"workspace_id", "region", "bucket", "endpoint"})
    code = "from ftsdk.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "jobs", "-b", "pai"],
        env={**kept, **given, **{f"FTSDK_PAI_{name.upper()}": value for name, value in named.items()}},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr.startswith("pai: There are no Alibaba Cloud credentials: set ALIBABA_CLOUD_ACCESS_KEY_ID and ")
    assert done.stderr.count("\n") == 1
    assert not cloud.calls


def test_doctor_says_what_is_missing(cloud):
    found = {check.what: check for check in Pai(options(cloud, bucket="none", image=None, ecs_spec="ecs.x.y")).doctor()}
    assert [what for what, check in found.items() if not check.ok] == [
        "bucket",
        "image",
        "machine types",
        "role of the job",
    ]
    assert all(check.remedy for check in found.values() if not check.ok)
    cloud.denied = {"ListJobs"}
    (check,) = Pai(options(cloud)).doctor()
    assert not check.ok
    assert '"paidlc:CreateJob"' in check.remedy
    assert '"pai:CreateJob"' in check.remedy


def test_the_default_role_needs_the_default_bucket(cloud, facts):
    """Otherwise the job could save nothing; for a role of the user's own no request is sent."""
    cloud.default_bucket = "theirs"
    (check,) = [check for check in Pai(options(cloud)).doctor() if check.what == "role of the job"]
    assert not check.ok
    assert "default bucket 'theirs'" in check.remedy
    warned = Pai(options(cloud)).plan(plans.spec(), replace(facts, platforms=platforms.kept(home_dir())))
    assert any("default bucket 'theirs'" in warning for warning in warned.warnings)
    with pytest.raises(AuthError, match="-o role=acs:ram"):
        Pai(options(cloud)).submit(warned, {})
    assert not cloud.jobs
    assert Pai(options(cloud, role=ROLE)).plan(plans.spec(), facts).warnings == ()
    cloud.denied = {"ListConfigs"}
    (check,) = [check for check in Pai(options(cloud)).doctor() if check.what == "role of the job"]
    assert check.ok
    assert "could not be queried" in check.detail


def test_drivers_that_doctor_has_seen_are_in_the_plan(cloud, facts):
    gpu, old = "ecs.gn7i-c8g1.2xlarge", "ecs.gn6v-c8g1.2xlarge"
    list(Pai(options(cloud, ecs_spec=None)).doctor())
    known = replace(facts, platforms=platforms.kept(home_dir()))

    def settings(ecs_spec, tag, **given):
        made = Pai(options(cloud, ecs_spec=ecs_spec, image=f"o/ftsdk:1-lf-{tag}", **given)).plan(plans.spec(), known)
        return made.request["Settings"].get("Driver"), [w for w in made.warnings if "NVIDIA driver" in w]

    assert settings(gpu, "cuda") == ("580.82.07", [])
    assert settings(gpu, "cuda12") == (None, [])
    assert settings(gpu, "cuda", driver="590.1") == ("590.1", [])
    driver, (warning,) = settings(old, "cuda")
    assert driver is None
    assert "470.199.02" in warning
    assert "--torch cuda12" in warning
    found = {check.what: check for check in Pai(options(cloud, ecs_spec=old, image="o/f:1-lf-cuda")).doctor()}
    assert not found["machine types"].ok


@pytest.mark.parametrize("every", [2, 3])
def test_throttled_calls_are_retried(services, cloud, every):
    cloud.throttled_every = every
    made = jobs.create(services, request())
    assert [native.id for native in jobs.attempts(services, REQUESTS["cpu-mounts-auth"]().name)] == [made]
    assert list(cloud.jobs) == [made]


@pytest.fixture
def docker_calls(monkeypatch, tmp_path):
    """docker is a program that writes down how it was called, because no registry runs here."""
    program, calls = tmp_path / "docker", tmp_path / "calls"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        "said = sys.stdin.read() if '--password-stdin' in sys.argv else ''\n"
        "if sys.argv[1] == 'image':\n    print('{\"ftsdk.packages\": \"deepspeed\"}')\n"
        f"else:\n    open({str(calls)!r}, 'a').write(json.dumps([*sys.argv[1:], said]) + '\\n')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return lambda: [json.loads(line) for line in calls.read_text().splitlines()]


@pytest.mark.parametrize(
    ("image", "given", "host", "login"),
    [
        ("registry-vpc.cn-x.aliyuncs.com/o/f:1", {}, "registry.cn-x.aliyuncs.com", "cr_temp_user passing"),
        ("registry-vpc.cn-x.aliyuncs.com/o/f:1", {"network": "vpc"}, "registry-vpc.cn-x.aliyuncs.com",
         "cr_temp_user passing"),
        ("lab-registry-vpc.cn-beijing.cr.aliyuncs.com/o/f:1", {}, "lab-registry.cn-beijing.cr.aliyuncs.com",
         "cr_temp_user of-cri-lab"),
        ("crpi-1.cn-hangzhou.personal.cr.aliyuncs.com/o/f:1", {"image_auth": "ACR_LOGIN"},
         "crpi-1.cn-hangzhou.personal.cr.aliyuncs.com", "me pw:1"),
    ],
)  # fmt: skip
def test_the_image_goes_where_jobs_find_it(cloud, monkeypatch, docker_calls, image, given, host, login):
    monkeypatch.setenv("ACR_LOGIN", "me:pw:1")
    assert Pai(options(cloud, image=image, **given)).push_image("ftsdk:9", print) == image
    user, _, password = login.partition(" ")
    assert docker_calls() == [
        ["login", "--username", user, "--password-stdin", host, password],
        ["tag", "ftsdk:9", f"{host}/o/f:1", ""],
        ["push", f"{host}/o/f:1", ""],
    ]
    assert image_contents.packages_of(image, platforms.kept(home_dir())) == {"deepspeed"}


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("crpi-1.cn-hangzhou.personal.cr.aliyuncs.com/o/f:1", "-o image_auth=VARIABLE"),
        ("other-registry.cn-hangzhou.cr.aliyuncs.com/o/f:1", "no ACR instance 'other'"),
    ],
)
def test_without_a_login_nothing_is_pushed(cloud, image, words):
    with pytest.raises(AuthError, match=words):
        Pai(options(cloud, image=image)).push_image("ftsdk:9", print)


def test_a_registry_password_is_in_the_request_and_not_in_the_plan(cloud, monkeypatch):
    plan = REQUESTS["cpu-mounts-auth"]()
    assert plan.request["JobSpecs"][0]["ImageConfig"] == {"Auth": "$ACR_LOGIN"}
    backend = Pai(options(cloud))
    with pytest.raises(AuthError, match="export ACR_LOGIN=USER:PW"):
        backend.submit(plan, {})
    assert not cloud.jobs
