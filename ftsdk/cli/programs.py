"""`ftsdk merge`, `export`, `evaluate` and `generate`: jobs that work on a model that exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import reduce, wraps
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from ftsdk.cli.completion import complete_backend, complete_job
from ftsdk.cli.output import emit, json_option, say, table
from ftsdk.errors import SpecError

if TYPE_CHECKING:
    from ftsdk.jobs.job import Job
    from ftsdk.models.evaluation import Evaluation, Judged, Sample
    from ftsdk.models.model import Model

SHOWN_SAMPLES, SHOWN_CHARACTERS = 3, 200
FILE, ANSWERS, FIDELITY = "evaluation.json", "answers.jsonl", "fidelity.json"
FORMATS = ("gguf", "awq", "gptq", "fp8", "mlx")
COMPARED = "Rows on which predictions are compared; left out: those that the model's job held out, else our own texts."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where and how a program runs: the options that every one has."""

    backend: str
    options: tuple[str, ...]
    changes: tuple[str, ...]
    copy: bool
    no_size_check: bool
    only_plan: bool
    detach: bool
    as_json: bool


def program_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """MODEL and the options that every program has; the command gets the latter as `place`."""
    options = [
        click.argument("model", shell_complete=complete_job),
        click.option("--backend", "-b", default="local", show_default=True, shell_complete=complete_backend,
                     help="Where to run; `ftsdk backends` shows all."),
        click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE",
                     help="An option of the backend. Repeatable."),
        click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
                     help="Set a field of the job's spec, e.g. resources.accelerator=A10G. Repeatable."),
        click.option("--copy", is_flag=True, help="Copy a model that is elsewhere first; --plan shows size and cost."),
        click.option("--no-size-check", is_flag=True, help="Run although the estimate exceeds memory or budget."),
        click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and do nothing."),
        click.option("--detach", is_flag=True, help="Return once the job is started, and print its URI."),
        json_option,
    ]  # fmt: skip

    @wraps(command)
    def run(**given: Any) -> None:
        place = RunOptions(**{field.name: given.pop(field.name) for field in fields(RunOptions)})
        command(place=place, **given)

    return reduce(lambda decorated, option: option(decorated), reversed(options), run)


@click.command()
@program_options
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto",
              help="Number format of the merged weights; the base model's own if left out.")  # fmt: skip
@click.option("--data", metavar="FILE", help=COMPARED)
def merge(model: str, place: RunOptions, dtype: str, data: str | None) -> None:
    """Merge the adapter MODEL into its base model: the result is a whole model.

    MODEL is a job that made an adapter, or an adapter's folder. The job measures how far the predictions of the merged
    model are from those of base and adapter, and fails where they differ by more than 0.001 nats per token.
    """
    address = model_address(model)
    program = {"type": "merge", "dtype": dtype}
    job = started({**compared_fields(address, data), "model": address, "program": program}, place)
    if job is None:
        return
    merged, report = finished(job).uri, document(job, FIDELITY)
    emit({"uri": job.uri, "model": merged, **report}, place.as_json, lambda: merged)
    if not place.as_json:
        say(f"Merged in {report['dtype']}; {report['mean_kl']:.2g} nats per token from base and adapter.")


@click.command()
@program_options
@click.option("--format", "file_format", type=click.Choice(FORMATS), default="gguf", show_default=True,
              help="The others are refused with what to use instead.")  # fmt: skip
@click.option("--quant", metavar="NAME,...", default="f16", show_default=True, help="Number formats, one file each: "
              "f32, f16, bf16, q8_0; with llama-quantize on PATH also q6_k, q5_k_m, q4_k_m, q2_k ….")  # fmt: skip
@click.option("--data", metavar="FILE", help=COMPARED)
def export(model: str, place: RunOptions, file_format: str, quant: str, data: str | None) -> None:
    """Write MODEL, merged with its adapter, as GGUF files for llama.cpp, Ollama and LM Studio.

    Each file is read back and compared with MODEL: what it predicts, its chat template, its tokens and where it stops.
    A file that differs fails the job, and nothing is kept.
    """
    address = model_address(model)
    quants = [name.strip() for name in quant.split(",") if name.strip()]
    program = {"type": "export", "format": file_format, "quant": quants}
    job = started({**compared_fields(address, data), "model": address, "program": program}, place)
    if job is None:
        return
    made, report = finished(job), document(job, FIDELITY)
    emit({"uri": job.uri, "model": made.uri, "files": report}, place.as_json, lambda: made.uri)
    if not place.as_json:
        say("\n".join(f"{name}: {measured['mean_kl']:.2g} nats per token from it" for name, measured in report.items()))


@click.command()
@program_options
@click.option("--data", metavar="FILE", help="Held-out rows; left out: those that the model's job held out.")
@click.option("--method", type=click.Choice(["pt", "sft", "dpo"]), help="What the rows are for; the job's own method "
              "if left out, else sft.")  # fmt: skip
@click.option("--metrics", metavar="NAME,...", default="", help="loss, perplexity, exact_match, accuracy, precision, "
              "recall, f1, bleu, rouge1, rouge2, rougeL, preference_accuracy, margin.")  # fmt: skip
@click.option("--against", metavar="MODEL", help="Measure this model on the same rows, too; `base` is the base model.")
@click.option("--judge", metavar="URL", help="An OpenAI-compatible address whose model compares the answers with those "
              "of --against, each row in both orders.")  # fmt: skip
@click.option("--judge-model", default="model", show_default=True, help="The judge's name in requests.")
@click.option("--judge-key", metavar="VARIABLE", help="The environment variable with the judge's key.")
@click.option("--max-tokens", type=click.IntRange(1), default=256, show_default=True, help="Tokens of an answer.")
def evaluate(
    model: str, place: RunOptions, data: str | None, method: str | None, metrics: str, against: str | None,
    judge: str | None, judge_model: str, judge_key: str | None, max_tokens: int,
) -> None:  # fmt: skip
    """Measure MODEL on held-out rows, with the template, the cut and the loss of its training.

    With --against, each metric has a 95 % interval of the difference (a paired bootstrap over the rows) and a verdict.
    """
    from ftsdk.jobs.held_out import evaluation_fields
    from ftsdk.models.evaluation import Evaluation

    address = model_address(model)
    program = {
        "type": "evaluate",
        "metrics": [name.strip() for name in metrics.split(",") if name.strip()],
        "against": model_address(against) if against and against != "base" else against,
        "judge": {"url": judge, "model": judge_model, "key": judge_key} if judge else None,
        "max_new_tokens": max_tokens,
    }
    rows = evaluation_fields(address, data=data, method=method)
    secrets = [judge_key] if judge and judge_key else []
    job = started({**rows, "model": address, "program": program, "secrets": secrets}, place)
    if job is None:
        return
    made = finished(job)
    evaluated = model_of_job(address)
    result = evaluated.keep_evaluation(made) if evaluated else Evaluation.from_json(job.uri, document(job, FILE))
    emit(result.to_json(), place.as_json, lambda: _evaluation_text(result))


@click.command()
@program_options
@click.option(
    "--prompts", required=True, metavar="FILE", help="Rows with a `prompt` or `messages`, in any data format."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the answers to this new file.")
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="Tokens of an answer.")
@click.option("--temperature", type=float, help="0 takes the most probable tokens; the model's default if left out.")
def generate(
    model: str, place: RunOptions, prompts: str, output: Path | None, max_tokens: int, temperature: float | None
) -> None:  # fmt: skip
    """Let MODEL answer the prompts of a file, as a job that goes on after an interruption.

    The answers are JSON lines with `messages`, `answer` and `finish_reason`, in the order of the prompts.
    """
    if output and output.exists():
        raise SpecError(f"{output} exists already: choose another file, or remove it.")
    program = {"type": "generate", "max_new_tokens": max_tokens, "temperature": temperature}
    job = started({"model": model_address(model), "dataset": prompts, "program": program}, place)
    if job is None:
        return
    made = finished(job)
    address = f"{made.uri}/{ANSWERS}"
    if output:
        output.write_bytes(made.store.read(f"model/{ANSWERS}"))
        address = str(output)
    emit({"uri": job.uri, "answers": address}, place.as_json, lambda: address)


def _evaluation_text(result: Evaluation) -> str:
    rows = [
        (
            name,
            f"{m.value:.4g}",
            *((f"{m.against:.4g}", f"{m.low:+.3g} to {m.high:+.3g}", m.verdict) if m.verdict else ()),
        )
        for name, m in result.metrics.items()
    ]
    header = ("METRIC", "VALUE", "AGAINST", "DIFFERENCE (95 %)", "VERDICT")
    shown = table(header[: len(rows[0])], rows)
    samples = "".join(_sample_text(sample) for sample in result.samples[:SHOWN_SAMPLES])
    judged = f"\n{_judge_text(result.judge)}" if result.judge else ""
    return f"{shown}\n{result.num_rows} rows{judged}{samples}"


def _judge_text(judge: Judged) -> str:
    return (f"judge {judge.model}: {judge.wins} wins, {judge.ties} ties, {judge.losses} losses; the order decided "
            f"{judge.order_decided} ties, {judge.unreadable} had an unreadable reply")  # fmt: skip


def _sample_text(sample: Sample) -> str:
    lines = {"prompt": sample.prompt, "expected": sample.reference, "answer": sample.answer, "against": sample.against}
    cut = {name: shorten(text, SHOWN_CHARACTERS) for name, text in lines.items() if text is not None}
    return "\n\n" + "\n".join(f"{name + ':':10}{text}" for name, text in cut.items())


def compared_fields(address: str, data: str | None) -> Mapping[str, object]:
    """The dataset on which a converted model is compared with its original; empty for texts of our own."""
    from ftsdk.jobs.held_out import evaluation_fields

    try:
        given = evaluation_fields(address, data=data)
    except SpecError:
        if data is not None:
            raise
        return {}
    method = given["method"]
    stage = method if isinstance(method, str) else method["stage"]
    return given if stage in ("pt", "sft", "dpo") else {}


def model_of_job(address: str) -> Model | None:
    """The model of the job with this URI; None for another address."""
    from ftsdk import backends
    from ftsdk.jobs.job import Job

    scheme, mark, _ = address.partition("://")
    return Job.attach(address).model() if mark and scheme in backends.names() else None


def model_address(model: str) -> str:
    """MODEL as a spec writes it: a folder's path, an address, a hub id, or the URI of the job of this name or label.

    Raises JobNotFoundError for a name that no job has.
    """
    from ftsdk.jobs.reference import uri_of

    return model if "://" in model or "/" in model or Path(model).exists() else uri_of(model)


def started(given: Mapping[str, object], place: RunOptions) -> Job | None:
    """Start the job of these fields, or attach to an equal one; None where a plan or a URI is all that is wanted."""
    from ftsdk.cli.run import pairs, plan_text, warn
    from ftsdk.estimator import Estimator
    from ftsdk.recipes import specfile

    address = str(given["model"])
    if made := model_of_job(address):
        given = {**given, "resources": made.resources_on(place.backend).model_dump(mode="json")}
    loaded = specfile.from_data(given, where=address, folder=Path(), changes=place.changes)
    estimator = Estimator(loaded.spec, backend=place.backend, options=pairs(place.options))
    if place.only_plan:
        plan = estimator.plan()
        for sentence in plan.warnings:
            warn(sentence)
        emit(plan.to_json(), place.as_json, lambda: plan_text(plan))
        return None
    job = estimator.fit(wait=False, copy=place.copy, size_check=not place.no_size_check, on_warning=warn)
    if not place.detach:
        return job
    emit({"uri": job.uri}, place.as_json, lambda: job.uri)
    return None


def finished(job: Job) -> Model:
    """Show the job's progress to its end and return what it made."""
    from ftsdk.cli.follow import follow_job

    return follow_job(job)


def document(job: Job, name: str) -> Any:
    """A JSON file among those that the job made."""
    from ftsdk import contract
    from ftsdk.storage.records import read_json

    return read_json(job.store, f"{contract.MODEL_DIR}/{name}") or {}
