"""The message when a training fails: the reason, in the trainer's own last lines."""

from __future__ import annotations

import signal

import pytest

from ftsdk import contract
from ftsdk.runtime.supervisor.outcome.failure import SIGNATURES, FailureEvidence, classify

CASES = [
    ("nan_loss", ["ftsdk.runtime.programs.callbacks.NonFiniteLossError: the loss is nan at step 2"]),
    ("oom", ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB"]),
    ("disk_full", ["builtins.OSError: [Errno 28] No space left on device: 'x'"]),
    ("disk_full", ["builtins.RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"]),
    ("host_oom", ["builtins.RuntimeError: [enforce fail at alloc.cpp] DefaultCPUAllocator: can't allocate memory"]),
    ("host_oom", ["builtins.MemoryError: "]),
    (
        "auth",
        ["builtins.OSError: Failed to load tokenizer.", "huggingface_hub.errors.GatedRepoError: 403 Client Error"],
    ),
    ("auth", ["huggingface_hub.errors.HfHubHTTPError: 401 Client Error: Unauthorized for url"]),
    ("bad_config", ["huggingface_hub.errors.RepositoryNotFoundError: 401 Client Error"]),
    ("hub_unreachable", ["builtins.OSError: Failed to load tokenizer.", "httpx.ConnectError: [Errno -2] no name"]),
    ("bad_config", ["builtins.RuntimeError: operator torchvision::nms does not exist"]),
    ("bad_config", ["builtins.ValueError: Some keys are not used by the HfArgumentParser: ['lr']"]),
    (
        "bad_data",
        ["datasets.exceptions.DatasetGenerationError: An error", "pyarrow.lib.ArrowInvalid: JSON parse error: x"],
    ),
    ("bad_data", ["datasets.exceptions.DatasetGenerationError: An error occurred"]),
    ("bad_data", ["builtins.RuntimeError: Cannot find valid samples, check `data/README.md` for the data format."]),
    ("communication", ["torch.distributed.DistBackendError: NCCL error in: ..."]),
    ("communication", ["builtins.RuntimeError: [gloo/transport/tcp] Connection closed by peer [127.0.0.1]:1"]),
    (
        "bad_config",
        ["ftsdk.runtime.programs.rewards.RewardError: r.py:f failed on row 3", "builtins.MemoryError: "],
    ),
    ("error", ["builtins.ZeroDivisionError: division by zero"]),
]


@pytest.mark.parametrize(("reason", "causes"), CASES)
def test_a_cause_has_its_reason(reason, causes):
    verdict = classify(FailureEvidence(causes=causes))
    assert verdict.reason == reason
    assert verdict.message.count("\n") == 0 and verdict.hint


def test_the_root_cause_is_in_the_message():
    verdict = classify(
        FailureEvidence(causes=["a.DatasetGenerationError: vague", "pyarrow.lib.ArrowInvalid: JSON parse error: 7"])
    )
    assert verdict.message == "The data cannot be read or used: ArrowInvalid: JSON parse error: 7."


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("llamafactory/data/converter.py", "bad_data"),
        ("llamafactory/hparams/parser.py", "bad_config"),
        ("else", "error"),
    ],
)
def test_an_exception_without_a_known_message_is_classified_by_its_module(place, reason):
    evidence = FailureEvidence(causes=["builtins.KeyError: 'instruction'"], trace=f'File "/x/{place}", line 3, in f')
    assert classify(evidence).reason == reason


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (FailureEvidence(signal=signal.SIGKILL), "killed"),
        (FailureEvidence(signal=signal.SIGKILL, oom_kills=1), "host_oom"),
        (FailureEvidence(signal=signal.SIGABRT), "crashed"),
        (FailureEvidence(exit_code=1, tail=["  exitcode  : -9 (pid: 12)"]), "killed"),
        (FailureEvidence(exit_code=1, tail=["  exitcode  : -9 (pid: 12)"], oom_kills=1), "host_oom"),
        (FailureEvidence(exit_code=1, tail=["torch.OutOfMemoryError: CUDA out of memory."]), "oom"),
        (FailureEvidence(exit_code=3, tail=["last lines", ""]), "error"),
        (FailureEvidence(exit_code=3), "error"),
    ],
)
def test_a_trainer_that_left_no_record_is_judged_by_its_end(evidence, reason):
    assert classify(evidence).reason == reason


def test_every_reason_is_one_of_the_contract():
    assert {sign.reason for sign in SIGNATURES} <= set(contract.REASONS)


def test_a_long_message_is_shortened():
    assert len(classify(FailureEvidence(causes=["x.Error: " + "long " * 1000])).message) < 500
