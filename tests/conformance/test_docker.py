"""The docker backend passes the conformance suite, with real containers."""

import subprocess
from contextlib import contextmanager
from dataclasses import replace

import pytest

from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.backends.image import default_tag
from ftsdk.testing import processes
from ftsdk.testing.recovery import RecoveryConformance

pytestmark = pytest.mark.docker


class TestDocker(RecoveryConformance):
    @pytest.fixture
    def backend(self):
        return Docker(DockerOptions(image=default_tag("cpu"), grace_s=5))

    @pytest.fixture
    def trained(self, tiny_fields):
        return tiny_fields

    def public_words(self, plan):
        argv = ["docker", "inspect", *plan.request["containers"]]
        shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        logs = ["docker", "logs", plan.request["containers"][0]]
        said = subprocess.run(logs, capture_output=True, text=True, check=True).stdout
        return shown + said + processes.command_lines()

    def kill(self, job):
        subprocess.run(["docker", "kill", *job.plan.request["containers"]], capture_output=True, check=True)

    @contextmanager
    def break_start(self, plan):
        *first, last = plan.request["commands"]
        broken = [word if word != default_tag("cpu") else "ftsdk:no-such-image" for word in last]
        yield replace(plan, request={**plan.request, "commands": [*first, broken]})
