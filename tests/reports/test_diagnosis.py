"""Diagnoses: lines that public reports show, written anew, are named rightly; ordinary lines are not named at all."""

import json
from typing import get_args, get_type_hints

import pytest

from ftsdk.reports.diagnosis.catalogue import causes, recognised
from ftsdk.reports.diagnosis.diagnose import ADVICE, diagnose
from ftsdk.terminal.figures import Concern
from tests.cli.test_cli import ftsdk
from tests.python_jobs import started

LINES = {
    "gpu_memory": [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.30 GiB. GPU 0 has 23.68 GiB",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
    "main_memory": ["MemoryError", "OSError: [Errno 12] Cannot allocate memory"],
    "shared_memory": ["RuntimeError: unable to open shared memory object </torch_71_2> in read-write mode"],
    "worker_killed": ["RuntimeError: DataLoader worker (pid 4821) is killed by signal: Killed."],
    "disk_full": ["OSError: [Errno 28] No space left on device: '/opt/ml/checkpoints/x'"],
    "loss_not_finite": ["NonFiniteLossError: the loss is nan at step 40"],
    "gated_model": ["huggingface_hub.errors.GatedRepoError: 403 Client Error. Cannot access gated repo for url"],
    "hub_token": ["requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/api"],
    "hub_missing": ["huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error."],
    "hub_revision": ["OSError: v9 is not a valid git identifier (branch name, tag name or commit id)"],
    "hub_offline": ["socket error: Failed to resolve 'huggingface.co' ([Errno -3] Temporary failure)"],
    "hub_rate": ["HTTPError: 429 Client Error: Too Many Requests for url: https://huggingface.co/x"],
    "no_tokenizer": ["OSError: Can't load tokenizer for './model'. If you were trying to load it from the hub"],
    "unknown_model_type": [
        "ValueError: The checkpoint has model type `qwen9` but Transformers does not recognize this architecture."
    ],
    "remote_code": ["ValueError: Loading this model requires you to execute the configuration file in that repo"],
    "size_mismatch": ["\tsize mismatch for lm_head.weight: copying a param with shape torch.Size([151646, 896])"],
    "corrupt_weights": ["safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge"],
    "lora_targets": [
        "ValueError: Target modules {'q_prj'} not found in the base model. Please check the target modules"
    ],
    "no_trainable": ["RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn"],
    "bf16_unsupported": ["ValueError: Your setup doesn't support bf16/gpu. You need Ampere+ GPU with cuda>=11.0"],
    "fp16_unscale": ["ValueError: Attempting to unscale FP16 gradients."],
    "flash_missing": [
        "ImportError: FlashAttention2 has been toggled on, but it cannot be used: flash_attn is not there"
    ],
    "kernel_missing": ["RuntimeError: CUDA error: no kernel image is available for execution on the device"],
    "driver_old": ["RuntimeError: The NVIDIA driver on your system is too old (found version 11040)."],
    "no_gpu": ["RuntimeError: No CUDA GPUs are available"],
    "gpu_fell_off": ["kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=912, GPU has fallen off the bus."],
    "device_assert": ["RuntimeError: CUDA error: device-side assert triggered"],
    "nccl_timeout": ["[Rank 3] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=812, OpType=ALLREDUCE)"],
    "nccl_network": ["ncclSystemError: System call (e.g. socket, malloc) or external library call failed"],
    "nccl_tcp": ["ip-10-0-0-7:212:212 [0] NCCL INFO Using network Socket"],
    "port_taken": ["The server socket has failed to listen on any local network address. EADDRINUSE, port: 29500"],
    "bad_rows": ["datasets.exceptions.DatasetGenerationError: An error occurred while generating the dataset"],
    "missing_column": ["KeyError: 'instruction'"],
    "no_rows": ["RuntimeError: Cannot find valid samples, check `data/README.md` for the data format."],
    "template": ["ValueError: Template qwen9 does not exist."],
    "package_missing": ["ModuleNotFoundError: No module named 'bitsandbytes'"],
    "quota": ["botocore.errorfactory.ResourceLimitExceeded: The account-level service limit is 0 Instances"],
    "capacity": ["InsufficientInstanceCapacity: We currently do not have sufficient p4d.24xlarge capacity"],
    "credentials": ["ClientError: An error occurred (ExpiredToken) when calling PutObject"],
    "reward_function": ["RewardError: reward function accuracy raised ZeroDivisionError in row 7"],
    "stopped_by_hand": ["KeyboardInterrupt"],
    "fragmented_memory": ["If reserved by PyTorch but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF"],
}
ORDINARY = """\
{'loss': '5.546', 'grad_norm': '0.8935', 'learning_rate': '0.0006183', 'epoch': '0.618'}
[INFO|trainer.py:2668] 2026-11-30 10:48:20,871 >>   Num examples = 48
Setting `pad_token_id` to `eos_token_id`:151645 for open-end generation.
tokenizer has new PAD/BOS/EOS tokens that differ from the model config
Loading checkpoint shards: 100%|██████████| 4/4 [00:07<00:00,  1.9s/it]
NCCL version 2.27.3+cuda12.9
Template: qwen, cutoff_len 2048
the capacity of the reservoir is one million tokens
What is a memory error? A memory error is raised when ...
`use_cache=True` is incompatible with gradient checkpointing. Setting `use_cache=False`.
[rank0]: Traceback (most recent call last):
Fine-tuning method: LoRA, trainable params: 4,399,104 || all params: 498,431,872
"""


def test_forty_causes_are_known_and_each_has_a_line_that_shows_it():
    assert set(LINES) == {cause.code for cause in causes()}
    assert len(LINES) >= 40


@pytest.mark.parametrize(("code", "line"), [(code, line) for code, lines in LINES.items() for line in lines])
def test_a_line_is_named_rightly_and_nothing_else_is_sure_of_it(code, line):
    found = recognised(line)
    assert code in [cause.code for cause in found]
    assert [cause.code for cause in found if cause.sure == "sure"] in ([], [code])


def test_ordinary_lines_are_not_named():
    assert [(line, recognised(line)) for line in ORDINARY.splitlines() if recognised(line)] == []


def test_every_concern_has_advice():
    assert set(ADVICE) == set(get_args(get_type_hints(Concern)["kind"]))


def test_out_of_memory_gets_the_command_that_trains_the_same_with_less(spec_folder):
    line = LINES["gpu_memory"][0]
    source = f"metrics(1, loss=2.0)\nprint({line!r}, flush=True)\nsys.exit(1)\n"
    batch = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    job = started(spec_folder, source, name="large", retry={"retries": 0}, hyperparameters=batch)
    job.wait(60)
    first, *_ = diagnose(job)
    assert (first.code, first.sure, first.evidence) == ("gpu_memory", "sure", line)
    assert "--set per_device_train_batch_size=2 --set gradient_accumulation_steps=4" in first.command
    done = ftsdk("diagnose", job.uri, "--json")
    assert json.loads(done.stdout)["findings"][0]["code"] == "gpu_memory"
    assert "do:" in ftsdk("diagnose", job.uri).stdout


def test_a_diverged_training_says_where_it_began(spec_folder):
    source = "metrics(1, loss=2.0)\nmetrics(2, loss='nan')\nsys.exit(1)\n"
    job = started(spec_folder, source, name="diverged", retry={"retries": 0})
    job.wait(60)
    first, *_ = diagnose(job)
    assert (first.code, first.evidence) == ("not_finite", "the loss is nan; it was finite until step 1")


def test_an_unknown_failure_is_never_surely_wrong_and_a_success_is_fine(spec_folder):
    failed = started(spec_folder, "print('odd', flush=True)\nsys.exit(1)\n", name="odd", retry={"retries": 0})
    failed.wait(60)
    assert {finding.sure for finding in diagnose(failed)} == {"likely"}
    talks = "".join(f"print({lines[0]!r}, flush=True)\n" for lines in LINES.values())
    fine = started(spec_folder, f"{talks}metrics(1, loss=2.0)\n", name="fine")
    fine.wait(60)
    assert diagnose(fine) == []
    assert "nothing looks wrong" in ftsdk("diagnose", fine.uri).stdout
