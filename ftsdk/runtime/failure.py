"""Why a training failed, in words: a reason, one sentence, and what to do. A table; the first row that fits wins."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from typing import NamedTuple


class Evidence(NamedTuple):
    """What is known about the end."""

    kind: str = ""
    """Class of the exception, with its module; empty if the process left no record."""
    message: str = ""
    trace: str = ""
    tail: Sequence[str] = ()
    """The last lines of output."""
    signal: int = 0
    """The signal that ended the trainer, 0 if none did."""
    exit_code: int = 0
    oom_kills: int = 0
    """How often the kernel killed for memory while the trainer ran."""


class Verdict(NamedTuple):
    """A reason from `contract.REASONS`, a sentence, and what to do."""

    reason: str
    message: str
    hint: str


class Sign(NamedTuple):
    """A row: `pattern` is searched in `Class: message`, and with `anywhere` in the trace and the last output too."""

    reason: str
    pattern: str
    what: str
    hint: str
    anywhere: bool = False


REFUSED = "The trainer refuses its configuration"
REFUSED_HINT = "Change the argument that the message names."
SIGNS: tuple[Sign, ...] = (
    Sign(
        "nan_loss",
        r"NonFiniteLossError",
        "The loss is no number any more",
        "Lower learning_rate, raise warmup_steps, or train in bf16 instead of fp16.",
    ),
    Sign(
        "oom",
        r"OutOfMemoryError|CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDA error: out of memory",
        "The accelerator ran out of memory",
        "Lower per_device_train_batch_size (and raise gradient_accumulation_steps), lower cutoff_len, use lora or "
        "qlora, or take a larger accelerator.",
        anywhere=True,
    ),
    Sign(
        "disk_full",
        r"No space left on device|Errno 28\b|Disk quota exceeded|PytorchStreamWriter failed writing",
        "The disk is full",
        "Raise resources.disk_gb, keep fewer checkpoints (checkpoint.keep), or free some space.",
        anywhere=True,
    ),
    Sign(
        "host_oom",
        r"MemoryError|DefaultCPUAllocator: (can't|not enough)|Cannot allocate memory",
        "The machine ran out of memory",
        "Take a machine with more memory (resources.memory_gb), or lower preprocessing_num_workers and batch sizes.",
    ),
    Sign(
        "auth",
        r"GatedRepoError|gated repo|\b401 Client Error|\b403 Client Error|401 Unauthorized|403 Forbidden"
        r"|Invalid (user )?token|invalid username or password",
        "The model hub refused access",
        "Accept the model's terms on its page, and pass a token: secrets: [HF_TOKEN].",
    ),
    Sign(
        "hub_unreachable",
        r"LocalEntryNotFoundError|OfflineModeIsEnabled|couldn't connect to '?https?://|We couldn't connect"
        r"|Max retries exceeded|NameResolutionError|Temporary failure in name resolution|ConnectTimeout"
        r"|ProxyError|(requests|httpx|urllib3)\.\S*Connection\w*Error|httpx\.Connect",
        "The model hub does not answer",
        "Check the network from where the job runs, set HF_ENDPOINT to a mirror, or give the model as a folder.",
    ),
    Sign(
        "bad_config",
        r"RepositoryNotFoundError|is not a local folder and is not a valid model identifier|RevisionNotFoundError",
        "There is no such model",
        "Check `model` and `revision`; a private model needs secrets: [HF_TOKEN].",
    ),
    Sign(
        "bad_config",
        r"torchvision::nms|libc10_cuda\.so|Could not import module 'PreTrainedModel'",
        "The trainer's installation is broken: CPU torch beside CUDA torchvision or torchaudio",
        "Run `ftsdk doctor`; pip uninstall torchvision torchaudio, or use `make setup`'s environment.",
        anywhere=True,
    ),
    Sign(
        "bad_data",
        r"DatasetGenerationError|JSONDecodeError|JSON parse error|ArrowInvalid|CastError|DataFilesNotFoundError"
        r"|Cannot open \S*dataset_info|Undefined dataset|File \S+ not found|Dataset file|Cannot find valid samples"
        r"|Column \S+ doesn't exist|does not have column|train_dataset.{0,40}empty|num_samples=0",
        "The data cannot be read or used",
        "Run `ftsdk plan` where the data is: it checks format and columns; then submit again.",
    ),
    Sign(
        "bad_data",
        r"KeyError: '(instruction|input|output|messages|conversations|prompt|response|chosen|rejected|from|value|role"
        r"|content|text|label|kto_tag)'",
        "A row of the data lacks a column",
        "Check dataset.format and dataset.columns against the file.",
    ),
    Sign(
        "bad_config",
        r"not used by the HfArgumentParser|HfArgumentParser|TypeError: .*__init__\(\) got an unexpected keyword",
        "The trainer does not know an argument",
        "Check the names under hyperparameters against LLaMA-Factory 0.9.5.",
    ),
    Sign(
        "communication",
        r"NCCL|ncclInternalError|ncclRemoteError|Gloo|gloo|DistNetworkError|DistStoreError|DistBackendError"
        r"|Connection closed by peer|Timed out after \d+ms waiting|Socket Timeout|c10d",
        "The training processes lost each other",
        "Starting again goes on from the newest checkpoint; if it repeats, check the network between the nodes.",
    ),
    Sign(
        "bad_config",
        r"(hparams/|training_args\.py|ImportError|ModuleNotFoundError|PackageNotFoundError)",
        REFUSED,
        REFUSED_HINT,
    ),
)

KILLED = "Something outside killed it; starting again goes on from the newest checkpoint."
PLAIN_HINT = "The log has the whole traceback: `ftsdk logs JOB`."
TRACE_OF_ARGUMENTS = "llamafactory/hparams/"
LONGEST_MESSAGE = 400


def classify(evidence: Evidence) -> Verdict:
    """The reason for a failure, from what the workers left, the output's end and the kernel's counters."""
    said = f"{evidence.kind}: {evidence.message}" if evidence.kind else ""
    everything = "\n".join((said, evidence.trace, *evidence.tail))
    for sign in SIGNS:
        if re.search(sign.pattern, everything if sign.anywhere else said):
            return Verdict(sign.reason, _sentence(sign.what, evidence), sign.hint)
    if TRACE_OF_ARGUMENTS in evidence.trace:
        return Verdict("bad_config", _sentence(REFUSED, evidence), REFUSED_HINT)
    if evidence.kind:
        return Verdict("error", f"The trainer failed: {_last_line(evidence)}", PLAIN_HINT)
    return _without_record(evidence)


def _without_record(evidence: Evidence) -> Verdict:
    """The trainer said nothing: a signal, or an exit code alone."""
    number = evidence.signal or _signal_in(evidence.tail)
    if evidence.oom_kills or (number == signal.SIGKILL and _tail_has(evidence, r"[Oo]ut of memory|oom")):
        hint = "Take a machine or container with more memory (resources.memory_gb), or lower the batch size."
        return Verdict("host_oom", "The machine ran out of memory and the kernel killed the trainer.", hint)
    if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        return Verdict("killed", f"The trainer was killed by {signal.Signals(number).name}.", KILLED)
    if number:
        hint = "Often a broken driver or library: the log has the last output; try again or another image."
        return Verdict("crashed", f"The trainer crashed with {signal.Signals(number).name}.", hint)
    last = next((line for line in reversed(evidence.tail) if line.strip()), "")
    ended = f"The trainer ended with exit code {evidence.exit_code}"
    return Verdict("error", f"{ended}: {_short(last)}" if last else f"{ended}.", PLAIN_HINT)


def _sentence(what: str, evidence: Evidence) -> str:
    last = _last_line(evidence)
    return f"{what}: {last}" if last else f"{what}."


def _last_line(evidence: Evidence) -> str:
    """`Class: message` in one line, the class without its module."""
    kind = evidence.kind.rpartition(".")[2]
    text = " ".join(evidence.message.split())
    return _short(f"{kind}: {text}" if kind and text else kind or text)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def _tail_has(evidence: Evidence, pattern: str) -> bool:
    return any(re.search(pattern, line) for line in evidence.tail)


def _signal_in(tail: Sequence[str]) -> int:
    """The signal that ended a worker, as torchrun's summary names it."""
    found = [match for line in tail if (match := re.search(r"exitcode\s*:\s*-(\d+)", line))]
    return int(found[0][1]) if found else 0
