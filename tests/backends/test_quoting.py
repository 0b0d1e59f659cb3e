"""Names, paths and values arrive as they are, whatever is in them: nothing of a spec is read by a shell or as CSV."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.backends.docker.request import mount
from ftsdk.backends.skypilot import SkyPilot
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.errors import SpecError
from tests.golden import pai, plans

HOSTILE = " '\"\\$`;&|<>()*?[]{}!#~=%,:\tä"
words = st.text(st.sampled_from(HOSTILE + "ab"), min_size=1, max_size=12)
values = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=40)
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

RECORDER = """#!{python}
import json, os, sys
json.dump([sys.argv[1:], os.getcwd()], open({record!r}, "w"))
"""


@few
@given(word=words)
def test_skypilot_s_script_runs_what_it_names(tmp_path, word):
    """Read by a real shell: the folder, the interpreter and the runtime have hostile names."""
    home = tmp_path / "home"
    (home / word).mkdir(parents=True, exist_ok=True)
    python, record = home / word / f"python{word}", tmp_path / "record"
    python.write_text(RECORDER.format(python=sys.executable, record=str(record)))
    python.chmod(0o755)
    options = SkyPilotOptions(
        infra=("aws/us-west-2",), storage="s3://bucket/jobs", python=str(python), scratch=str(home / word)
    )
    task = SkyPilot(options).plan(plans.spec(), plans.facts()).request["task"]
    subprocess.run(
        ["bash", "-c", task["run"]], check=True, cwd=tmp_path, env={"SKYPILOT_NODE_RANK": "0", "PATH": "/usr/bin:/bin"}
    )
    arguments, folder = json.loads(record.read_text())
    base = next(path for path in task["file_mounts"] if path.endswith("/runtime.pyz"))
    assert arguments == [base, "supervise"]
    assert Path(folder) == Path(base).parent / "node0"


@few
@given(source=words, target=words)
def test_mount_paths_are_quoted_for_docker(source, target):
    (row,) = csv.reader([mount(f"/{source}", f"/{target}", readonly=True)])
    assert row == ["type=bind", f"source=/{source}", f"target=/{target}", "readonly"]


@few
@given(value=values)
def test_values_of_variables_reach_every_request_whole(value):
    spec = plans.spec(env={"WORD": value})
    docker = Docker(DockerOptions()).plan(spec, plans.facts())
    assert docker.document["env"] == {"WORD": value}
    assert "WORD" not in json.dumps(docker.request)
    sky = SkyPilot(SkyPilotOptions(infra=("aws/us-west-2",), storage="s3://bucket/jobs")).plan(spec, plans.facts())
    assert sky.document["env"] == {"WORD": value}


@few
@given(name=words)
def test_pai_s_command_holds_nothing_of_the_spec(name):
    made = pai.backend(ecs_spec="ecs.g7.2xlarge").plan(plans.spec(name=name), plans.facts())
    words_of_command = shlex.split(made.request["UserCommand"])
    assert words_of_command[:2] == ["exec", "python"] and words_of_command[3:] == ["supervise"]


@pytest.mark.parametrize("name", ["", "A=B", "A B", "A\nB", "1A", "-a", "A;B", "$A"])
def test_an_invalid_variable_name_is_refused(name):
    with pytest.raises(SpecError, match="is no name of a variable"):
        plans.spec(env={name: "x"})


def test_a_value_that_no_environment_can_hold_is_refused():
    with pytest.raises(SpecError, match="NUL"):
        plans.spec(env={"A": "x\0y"})
    assert plans.spec(env={"A.b-c": "x\ny"}).env == {"A.b-c": "x\ny"}
