"""Measures a model on held-out rows, beside another model if the job names one."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ftsdk.contract.programs import JudgeSettings
from ftsdk.runtime.programs.heartbeat import HEARTBEAT
from ftsdk.runtime.programs.interruption import StopRequest
from ftsdk.runtime.programs.session import session
from ftsdk.runtime.programs.trained.judge import Compared, Judgement, counts, judgements
from ftsdk.runtime.programs.trained.loading import ModelError, load_model, load_tokenizer
from ftsdk.runtime.programs.trained.metrics import METRICS, Answer, measure
from ftsdk.runtime.worker_protocol import Phase, TrainJob

REPORT, ROWS = "evaluation.json", "rows.jsonl"
NO_LABEL = -100
NUM_SAMPLES = 8
PREFERENCE = ("preference_accuracy", "margin")


class EncodedRow(NamedTuple):
    """Token ids of a row, and which of them the loss counts (`NO_LABEL` elsewhere); for preferences also the other."""

    input_ids: list[int]
    labels: list[int]
    rejected_ids: list[int] | None = None
    rejected_labels: list[int] | None = None

    @property
    def last_answer(self) -> tuple[int, int]:
        """Start and end of the last run of tokens that the loss counts."""
        end = max((i for i, label in enumerate(self.labels) if label != NO_LABEL), default=-1) + 1
        start = end
        while start and self.labels[start - 1] != NO_LABEL:
            start -= 1
        return start, end


def train(job: TrainJob, stop: StopRequest) -> None:
    """Evaluate as the job document says. Raises ModelError for rows that the metrics cannot use."""
    HEARTBEAT.enter(Phase.LOADING)
    with session():
        evaluate(job["document"]["config"], *read_rows(row_arguments(job)), Path(job["output"]))


def row_arguments(job: TrainJob) -> dict[str, Any]:
    """The trainer's configuration of the job's rows, its template checked as for a training."""
    from ftsdk.runtime.programs.chat_template.check import with_checked_template
    from ftsdk.runtime.programs.data import examples

    examples.install()
    document = job["document"]
    data = {"dataset_dir": job["data"], **document["config"]["data"], "output_dir": job["output"]}
    return with_checked_template(data, document.get("contents", []))


def evaluate(config: dict[str, Any], tokenizer: Any, rows: Sequence[EncodedRow], output: Path) -> None:
    """Write `evaluation.json` and `rows.jsonl` into a folder."""
    names = chosen_metrics(config["metrics"], rows)
    judge = config.get("judge")
    generates = config["max_new_tokens"] if judge or any(METRICS[name].generates for name in names) else 0
    models = [config["model"], *([config["against"]] if config.get("against") else [])]
    _require_one_tokenizer(models)
    answers = [list(_answers(model, tokenizer, rows, generates)) for model in models]
    judged = _judged(judge, tokenizer, rows, answers) if judge else []
    if judged:
        names.append("win_rate")
        answers = _with_scores(answers, judged)
    others = answers[1] if len(answers) > 1 else None
    measured = {name: measure(METRICS[name], answers[0], others)._asdict() for name in names}
    samples = [sample(tokenizer, row, *given) for row, *given in zip(rows, *answers, strict=True)]
    report = {"num_rows": len(rows), "metrics": measured, "samples": samples[:NUM_SAMPLES] if generates else []}
    if judge and judged:
        report["judge"] = {"model": judge["model"], **counts(judged)}
    (output / REPORT).write_text(json.dumps(report, indent=1, ensure_ascii=False), "utf-8")
    with (output / ROWS).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in samples)
    sys.stdout.write(json.dumps({name: line["value"] for name, line in measured.items()}) + "\n")


def read_rows(data: dict[str, Any]) -> tuple[Any, list[EncodedRow]]:
    """The tokenizer and the rows, tokenised by the trainer itself: the same template, cut and labels as in training."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    model_args, data_args, training_args, _, _ = get_train_args(data)
    loaded = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
    stage = "rm" if data["stage"] == "dpo" else data["stage"]
    held_out = get_dataset(template, model_args, data_args, training_args, stage=stage, **loaded)["eval_dataset"]
    return loaded["tokenizer"], [encoded(row) for row in held_out]


def chosen_metrics(requested: Sequence[str], rows: Sequence[EncodedRow]) -> list[str]:
    """The metrics by name, by default those of the rows' kind. Raises ModelError for metrics that the rows lack."""
    pairs = rows[0].rejected_ids is not None
    names = list(requested) or (["loss", "perplexity", *PREFERENCE] if pairs else ["loss", "perplexity"])
    if not pairs and (wrong := [name for name in names if name in PREFERENCE]):
        raise ModelError(f"metrics: {', '.join(wrong)} needs rows with a chosen and a rejected answer.")
    return names


def _require_one_tokenizer(models: Sequence[dict[str, Any]]) -> None:
    """Raise ModelError for models whose tokens differ: a loss per token of one says nothing about the other."""
    first, *others = (load_tokenizer(model).get_vocab() for model in models)
    if any(other != first for other in others):
        raise ModelError(f"{models[1]['model_name_or_path']} has another tokenizer: evaluate it on its own.")


def encoded(row: dict[str, Any]) -> EncodedRow:
    """A row of the trainer's dataset."""
    if "chosen_input_ids" in row:
        return EncodedRow(
            row["chosen_input_ids"], row["chosen_labels"], row["rejected_input_ids"], row["rejected_labels"]
        )
    return EncodedRow(row["input_ids"], row["labels"])


# --- one model ----------------------------------------------------------------------------------------------
def _answers(
    model_config: dict[str, Any], tokenizer: Any, rows: Sequence[EncodedRow], new_tokens: int
) -> Iterator[Answer]:
    HEARTBEAT.enter(Phase.LOADING)
    model = load_model(model_config, tokenizer)
    for row in rows:
        yield answer(model, tokenizer, row, new_tokens)
    del model
    gc.collect()


def answer(model: Any, tokenizer: Any, row: EncodedRow, new_tokens: int = 0) -> Answer:
    """What a loaded model makes of a row, and its own answer if it may have `new_tokens`."""
    HEARTBEAT.enter(Phase.EVALUATION)
    loss, count = _loss(model, row.input_ids, row.labels)
    rejected, _ = _loss(model, row.rejected_ids, row.rejected_labels or []) if row.rejected_ids else (loss, 0)
    start, end = row.last_answer
    reference = tokenizer.decode(row.input_ids[start:end], skip_special_tokens=True)
    text = _generated(model, tokenizer, row.input_ids[:start], new_tokens) if new_tokens else ""
    return Answer(loss, count, rejected - loss, text, reference)


def _loss(model: Any, input_ids: list[int], labels: list[int]) -> tuple[float, int]:
    """Sum of the negative log-likelihoods of the labelled tokens, in nats, and their number."""
    import torch

    device = model.get_input_embeddings().weight.device
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([input_ids], device=device)).logits[0, -len(input_ids) : -1].float()
    targets = torch.tensor(labels[1:], device=logits.device)
    loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=NO_LABEL, reduction="sum")
    return float(loss), int((targets != NO_LABEL).sum())


def _generated(model: Any, tokenizer: Any, prompt: list[int], new_tokens: int) -> str:
    """The most probable answer (greedy decoding)."""
    import torch

    ids = torch.tensor([prompt], device=model.get_input_embeddings().weight.device)
    with torch.inference_mode():
        made = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, do_sample=False,
            use_cache=True, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
    return str(tokenizer.decode(made[0, len(prompt) :], skip_special_tokens=True))


def _judged(
    judge: JudgeSettings, tokenizer: Any, rows: Sequence[EncodedRow], answers: Sequence[Sequence[Answer]]
) -> list[Judgement]:
    """What the judge says of each row's two answers."""
    prompts = (tokenizer.decode(row.input_ids[: row.last_answer[0]], skip_special_tokens=True) for row in rows)
    compared = (
        Compared(prompt, ours.reference, ours.text, theirs.text)
        for prompt, ours, theirs in zip(prompts, *answers, strict=True)
    )
    return list(judgements(judge, compared))


def _with_scores(answers: Sequence[Sequence[Answer]], judged: Sequence[Judgement]) -> list[list[Answer]]:
    """The answers of both models with what the judge says of them."""
    ours, theirs = answers
    return [
        [answer._replace(won=made.score) for answer, made in zip(ours, judged, strict=True)],
        [answer._replace(won=1 - made.score) for answer, made in zip(theirs, judged, strict=True)],
    ]


def sample(tokenizer: Any, row: EncodedRow, made: Answer, other: Answer | None = None) -> dict[str, Any]:
    """A row as people read it: prompt, reference, and what each model made of it."""
    start, _ = row.last_answer
    prompt = tokenizer.decode(row.input_ids[:start], skip_special_tokens=True)
    line = {"prompt": prompt, "reference": made.reference, "answer": made.text, "loss": made.loss}
    return line if other is None else {**line, "against": other.text, "against_loss": other.loss}
