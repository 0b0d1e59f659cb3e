"""A third-party backend passes the conformance suite, and variants of it with a planted fault fail the right test."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest

from ftsdk.backends.base import JobState
from ftsdk.errors import WaitTimeoutError
from ftsdk.facts import inspect
from ftsdk.spec.loading import parse
from ftsdk.testing import conformance, processes, tiny
from ftsdk.testing.programs import new_label
from ftsdk.testing.recovery import RecoveryConformance
from tests.conformance import shell_backend
from tests.conformance.shell_backend import Shell, ShellOptions

ENTRY_POINT = "[ftsdk.backends]\nshell = tests.conformance.shell_backend:Shell\n"


@pytest.fixture(autouse=True)
def installed(tmp_path_factory, monkeypatch):
    """The metadata by which an installed package adds a backend."""
    folder = tmp_path_factory.mktemp("installed")
    metadata = folder / "shell_backend-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shell-backend\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINT)
    monkeypatch.syspath_prepend(folder)


class Hooks(RecoveryConformance):
    @pytest.fixture
    def backend(self):
        return Shell(ShellOptions(python=tiny.TRAINER_PYTHON, grace_s=5))

    def public_words(self, plan):
        return processes.command_lines()

    def kill(self, job):
        processes.kill_supervisor(job.name)

    @contextmanager
    def break_start(self, plan):
        yield replace(plan, request={**plan.request, "command": ["false"]})


class TestShell(Hooks):
    @pytest.fixture
    def trained(self, tiny_fields):
        return tiny_fields


class KeepsClaim(Shell):
    def submit(self, plan, secrets):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shell_backend.folders, "release", lambda job, attempt: None)
            super().submit(plan, secrets)


class PutsSecretOnCommandLine(Shell):
    def submit(self, plan, secrets):
        python = f"{plan.request['python']} -X key={secrets.get('FTSDK_SECRET_WORD', '')}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shell_backend.shlex, "quote", str)
            super().submit(replace(plan, request={**plan.request, "python": python}), secrets)


class ShowsSecret(Shell):
    words = ""

    def submit(self, plan, secrets):
        super().submit(plan, secrets)
        type(self).words = str(dict(secrets))

    def describe(self, job_id):
        return replace(super().describe(job_id), native={"environment": self.words})


class RunsForEver(Shell):
    def describe(self, job_id):
        info = super().describe(job_id)
        return replace(info, state=JobState.RUNNING) if info.reason == "killed" else info


@pytest.mark.parametrize(
    ("kind", "test", "message"),
    [
        (KeepsClaim, "test_a_failed_start_leaves_no_claim", "is still RUNNING"),
        (PutsSecretOnCommandLine, "test_secrets_reach_the_job_and_nobody_else", "everybody can see"),
        (ShowsSecret, "test_secrets_reach_the_job_and_nobody_else", "describe shows"),
        (RunsForEver, "test_a_killed_supervisor_is_noticed", "RUNNING"),
    ],
)
def test_a_planted_fault_fails_its_test(kind, test, message, spec_folder, own_home, monkeypatch):
    monkeypatch.setattr(conformance, "PATIENCE_S", 6.0)
    backend = kind(ShellOptions(python=tiny.TRAINER_PYTHON, grace_s=5))
    spec = parse({"name": new_label(), "model": "model", "dataset": "train.jsonl"}, where="test")
    facts = inspect(spec, folder=spec_folder)
    suite = Hooks()
    arguments = (spec, facts, own_home) if "secrets" in test else (backend.plan(spec, facts),)
    with pytest.raises((AssertionError, WaitTimeoutError), match=message):
        getattr(suite, test)(backend, *arguments)
