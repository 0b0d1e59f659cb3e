"""Why a training failed: a reason, one sentence, and what to do. The first matching row of a table applies."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from typing import NamedTuple


class FailureEvidence(NamedTuple):
    """What is known about a failed trainer."""

    causes: Sequence[str] = ()
    """`module.Class: message` of the exception and of what caused it, the first cause last; empty without a record."""
    trace: str = ""
    tail: Sequence[str] = ()
    """The last lines of output."""
    signal: int = 0
    """The signal that ended the trainer, 0 if none did."""
    exit_code: int = 0
    oom_kills: int = 0
    """How many processes the kernel killed for memory while the trainer ran."""


class Diagnosis(NamedTuple):
    """A reason from `contract.REASONS`, a sentence, and what to do."""

    reason: str
    message: str
    hint: str


class FailureSignature(NamedTuple):
    """A row of the table: `pattern` is searched in every cause, the first cause first."""

    reason: str
    pattern: str
    what: str
    hint: str
    anywhere: bool = False
    """Search the traceback and the last output too: native code prints instead of raising."""


REFUSED, REFUSED_HINT = "The trainer refuses its configuration", "Change the argument that the message names."
DATA_HINT = "Run `ftsdk plan` where the data is: it checks format and columns; then submit again."
MEMORY_HINT = "Take a machine or container with more memory (resources.memory_gb), or lower the batch size."
KILLED_HINT = "Something outside killed it; starting again goes on from the newest checkpoint."
CRASHED_HINT = "Often a broken driver or library: the log has the last output; try again or another image."
PLAIN_HINT = "The log has the whole traceback: `ftsdk logs JOB`."

SIGNATURES: tuple[FailureSignature, ...] = (
    FailureSignature(
        "bad_config",
        r"rewards\.RewardError",
        "A reward is broken",
        "Fix the function that the message names, try it on that row, and submit again.",
    ),
    FailureSignature(
        "bad_config",
        r"check\.ChatTemplateError",
        "The chat template is misread",
        "Name the template to train with in hyperparameters.template.",
    ),
    FailureSignature(
        "bad_config",
        r"modules\.UnmatchedModulesError",
        "A module name matches nothing in the model",
        "Correct the name under tuning.targets or additional_target; `tuning.targets: [all]` takes every linear layer.",
    ),
    FailureSignature(
        "model_mismatch",
        r"size mismatch for .*(embed_tokens|lm_head|wte|word_embeddings|output_layer)",
        "The weights do not fit the model: its vocabulary has another size than the one that they were made with",
        "Give the model and its tokenizer as they were saved together; an adapter with new tokens needs the base that "
        "it was made on, with resize_vocab: true.",
    ),
    FailureSignature(
        "model_mismatch",
        r"size mismatch for |Error\(s\) in loading state_dict",
        "The weights do not fit the model",
        "Check that the adapter or checkpoint was made on this base model (adapter_config.json names it).",
    ),
    FailureSignature(
        "bad_config",
        r"loading\.ModelError",
        "The model cannot be used",
        "Change what the message names, and submit again.",
    ),
    FailureSignature(
        "nan_loss",
        r"NonFiniteLossError",
        "The loss is no longer a number",
        "Lower learning_rate, raise warmup_steps, or train in bf16 instead of fp16.",
    ),
    FailureSignature(
        "oom",
        r"OutOfMemoryError|CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDA error: out of memory",
        "The accelerator ran out of memory",
        "Lower per_device_train_batch_size (and raise gradient_accumulation_steps), lower cutoff_len, use lora or "
        "qlora, or take a larger accelerator.",
        anywhere=True,
    ),
    FailureSignature(
        "disk_full",
        r"No space left on device|Errno 28\b|Disk quota exceeded|inline_container\.cc\S* \. unexpected pos"
        r"|PytorchStreamWriter failed writing",  # all that torch.save reports
        "The disk is full",
        "Raise resources.disk_gb, keep fewer checkpoints (checkpoint.keep), or free some space.",
        anywhere=True,
    ),
    FailureSignature(
        "host_oom",
        r"MemoryError|DefaultCPUAllocator: (can't|not enough)|Cannot allocate memory",
        "The machine ran out of memory",
        "Take a machine with more memory (resources.memory_gb), or lower preprocessing_num_workers and batch sizes.",
    ),
    FailureSignature(
        "auth",
        r"GatedRepoError|gated repo",
        "The model hub refused access",
        "Accept the model's terms on its page, and pass a token: secrets: [HF_TOKEN].",
    ),
    FailureSignature(
        "bad_config",
        r"RepositoryNotFoundError|RevisionNotFoundError|is not a valid model identifier|Repo id must",
        "The model does not exist",
        "Check `model` and `revision`; a private model needs a token: secrets: [HF_TOKEN].",
    ),
    FailureSignature(
        "auth",
        r"\b40[13] Client Error|401 Unauthorized|403 Forbidden|Invalid (user )?token|[Ii]nvalid username or password",
        "The model hub refused access",
        "Pass a token that may read the model: secrets: [HF_TOKEN].",
    ),
    FailureSignature(
        "hub_unreachable",
        r"LocalEntryNotFoundError|OfflineModeIsEnabled|[Cc]ouldn't connect to|Max retries exceeded|NameResolutionError"
        r"|[Nn]ame resolution|(httpx|httpcore|requests|urllib3)\.\S*(Connect|Timeout|Proxy)\w*:",
        "The model hub does not answer",
        "Check the network from where the job runs, set HF_ENDPOINT to a mirror, or give the model as a folder.",
    ),
    FailureSignature(
        "bad_config",
        r"torchvision::nms|libc10_cuda\.so|Could not import module 'PreTrainedModel'",
        "The trainer's installation is broken: CPU torch beside CUDA torchvision or torchaudio",
        "Run `ftsdk doctor`; pip uninstall torchvision torchaudio, or use the environment of `make setup`.",
        anywhere=True,
    ),
    FailureSignature(
        "bad_config",
        r"not used by the HfArgumentParser|TypeError: .*__init__\(\) got an unexpected keyword",
        "The trainer does not know an argument",
        "Check the names under hyperparameters against LLaMA-Factory 0.9.5.",
    ),
    FailureSignature(
        "bad_config",
        r"Template \S+ does not exist|ModuleNotFoundError|PackageNotFoundError|ImportError",
        REFUSED,
        "Change the argument, or install the package, that the message names.",
    ),
    FailureSignature(
        "bad_data",
        r"JSON parse error|JSONDecodeError|ArrowInvalid|DataFilesNotFoundError|DatasetGenerationCastError|CastError"
        r"|Undefined dataset|File \S+ not found|Cannot find (valid|sufficient) samples|num_samples=0",
        "The data cannot be read or used",
        DATA_HINT,
    ),
    FailureSignature("bad_data", r"DatasetGenerationError", "The data cannot be read or used", DATA_HINT),
    FailureSignature(
        "communication",
        r"NCCL|nccl\w*Error|[Gg]loo|DistNetworkError|DistStoreError|DistBackendError|Connection closed by peer"
        r"|Timed out after \d+ms waiting|Socket Timeout|c10d",
        "The training processes lost each other",
        "Starting again goes on from the newest checkpoint; if it repeats, check the network between the nodes.",
    ),
)

TRACEBACK_SIGNATURES: tuple[FailureSignature, ...] = (
    FailureSignature("bad_config", r"llamafactory/hparams/", REFUSED, REFUSED_HINT),
    FailureSignature(
        "bad_data",
        r"llamafactory/data/(converter|parser|loader|formatter|processor/)",
        "The data does not fit its format",
        "Check dataset.format and dataset.columns against the file.",
    ),
)
"""For exceptions that no other signature matches: searched in the traceback, for where they came from."""

LONGEST_MESSAGE = 400


def classify(evidence: FailureEvidence) -> Diagnosis:
    """The reason for a failure, from the workers' records, the last lines of output and the kernel's counters."""
    for signature in SIGNATURES:
        if (cause := _search(signature, evidence)) is not None:
            return Diagnosis(signature.reason, _sentence(signature.what, cause), signature.hint)
    if not evidence.causes:
        return _without_record(evidence)
    outermost = evidence.causes[0]
    for signature in TRACEBACK_SIGNATURES:
        if re.search(signature.pattern, evidence.trace):
            return Diagnosis(signature.reason, _sentence(signature.what, outermost), signature.hint)
    return Diagnosis("error", _sentence("The trainer failed", outermost), PLAIN_HINT)


def _search(signature: FailureSignature, evidence: FailureEvidence) -> str | None:
    """The cause or line that matches the signature; None if none does."""
    output = (*evidence.tail, *evidence.trace.splitlines()) if signature.anywhere else ()
    return next((text for text in (*reversed(evidence.causes), *output) if re.search(signature.pattern, text)), None)


def _without_record(evidence: FailureEvidence) -> Diagnosis:
    """For a trainer that left no record: its signal, or its exit code alone."""
    number = evidence.signal or _signal_in(evidence.tail)
    if evidence.oom_kills and number in (0, signal.SIGKILL):
        return Diagnosis("host_oom", "The machine ran out of memory and the kernel killed the trainer.", MEMORY_HINT)
    if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        return Diagnosis("killed", f"The trainer was killed by {signal.Signals(number).name}.", KILLED_HINT)
    if number:
        return Diagnosis("crashed", f"The trainer crashed with {signal.Signals(number).name}.", CRASHED_HINT)
    last = next((line for line in reversed(evidence.tail) if line.strip()), "")
    return Diagnosis("error", _sentence(f"The trainer ended with exit code {evidence.exit_code}", last), PLAIN_HINT)


def _sentence(what: str, cause: str) -> str:
    """`what: Class: message` in one line, the class without its module."""
    text = " ".join(re.sub(r"^[\w.]+\.(?=\w+: )", "", cause).split()).rstrip(": ")
    short = text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
    stop = "" if short.endswith((".", "!", "?", "…")) else "."  # a hint follows
    return f"{what}: {short}{stop}" if short else f"{what}."


def _signal_in(tail: Sequence[str]) -> int:
    """The signal that ended a worker, as torchrun's summary names it."""
    matches = [match for line in tail if (match := re.search(r"exitcode\s*:\s*-(\d+)", line))]
    return int(matches[0][1]) if matches else 0
