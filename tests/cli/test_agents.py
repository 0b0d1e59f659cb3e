"""The tools for agents, asked by the protocol's own client: as old and new clients do, with and without a person."""

import os
import sys

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import ElicitResult

from ftsdk.cli.agents.limits import Limits
from ftsdk.cli.agents.server import server
from ftsdk.jobs.job import Job
from tests.python_jobs import started


def asked(limits, calls, *, answer=None, mode="auto"):
    """The results of calls by a client; `answer` is what its person answers, None for a client that cannot ask."""
    questions = []

    async def person(context, parameters):
        questions.append(parameters.message)
        return ElicitResult(action="accept", content={"start": answer})

    async def run():
        async with Client(server(limits), mode=mode, elicitation_callback=None if answer is None else person) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(run), questions


def text(result):
    return " ".join(part.text for part in result.content)


@pytest.fixture
def spec(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_folder)
    path = tmp_path / "job.yaml"
    path.write_text(f"name: by-agent\nmodel: {tiny_folder}/model\ndataset: {tiny_folder}/train.json\n"
                    "hyperparameters: {max_steps: 1, cutoff_len: 64}\n")  # fmt: skip
    return {"spec": str(path), "changes": []}


def test_a_plan_is_shown_and_a_mistake_is_a_sentence(spec):
    (planned, wrong), _ = asked(Limits(), [("plan", spec), ("plan", {**spec, "changes": ["learning_rat=1"]})])
    assert planned.structured_content["job"].startswith("local://by-agent-")
    assert planned.structured_content["most_cost_usd"] == 0.0
    assert wrong.is_error and "learning_rate" in text(wrong)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_without_a_yes_nothing_is_started(spec, mode, own_home):
    (refused,), questions = asked(Limits(), [("submit", spec)], answer=False, mode=mode)
    assert refused.is_error and "did not agree" in text(refused)
    assert len(questions) == 1 and "local://by-agent-" in questions[0] and "0.00 USD" in questions[0]
    (unable,), _ = asked(Limits(), [("submit", spec)], mode=mode)
    assert unable.is_error and "ftsdk submit" in text(unable)
    for limits in (Limits(backends=("docker",), max_cost_usd=9.0), Limits(max_cost_usd=9.0)):
        (outside,), _ = asked(limits, [("submit", spec)], mode=mode)
        assert outside.is_error
    assert not (own_home / "jobs").exists()


@pytest.mark.trainer
def test_with_a_yes_and_within_the_limits_a_training_starts_once(spec):
    (first,), questions = asked(Limits(), [("submit", spec)], answer=True)
    assert len(questions) == 1
    (again,), questions = asked(Limits(backends=("local",)), [("submit", spec)], answer=True)
    assert questions == []
    assert first.structured_content == again.structured_content
    job = Job.attach(first.structured_content["job"])
    job.wait(120)
    (followed, diagnosed), _ = asked(Limits(), [("follow", {"job": job.uri}), ("diagnose", {"job": job.uri})])
    assert followed.structured_content["state"] == "SUCCEEDED"
    assert diagnosed.structured_content == {"result": []}


def test_a_failure_is_diagnosed(spec_folder):
    job = started(spec_folder, "print('CUDA out of memory')\nsys.exit(1)\n", name="bad", retry={"retries": 0})
    job.wait(60)
    (found, none), _ = asked(Limits(), [("diagnose", {"job": job.uri}), ("follow", {"job": "local://no-0a1b2c3d"})])
    assert found.structured_content["result"][0]["code"] == "gpu_memory"
    assert none.is_error and "no-0a1b2c3d" in text(none)


def test_the_command_speaks_the_protocol_and_nothing_else_on_stdout(spec):
    async def run():
        command = "from ftsdk.cli import main; main()"
        parameters = StdioServerParameters(command=sys.executable, args=["-c", command, "mcp"], env={**os.environ})
        async with Client(stdio_client(parameters)) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert sorted(anyio.run(run)) == ["diagnose", "evaluate", "follow", "plan", "submit"]
