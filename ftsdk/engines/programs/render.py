"""JobSpec -> the configuration of a program of `ftsdk.runtime.programs.trained`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING

from ftsdk.engines import shared
from ftsdk.engines.base import Arguments, Layout, Rendered
from ftsdk.engines.llamafactory import render as llamafactory
from ftsdk.engines.llamafactory.capabilities import METHODS
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.facts.facts import PROGRAM_FILE
from ftsdk.spec import JobSpec
from ftsdk.spec.program import BASE, Evaluate, Export, Generate, Judge, Merge, PythonFile, Serve, Train

if TYPE_CHECKING:
    from ftsdk.facts import Facts, ModelFacts

"""Key of config.json where weights are stored in fewer bits."""


READS = frozenset({
    "stage", "model_name_or_path", "adapter_name_or_path", "model_revision", "template", "cutoff_len", "dataset",
    "eval_dataset", "val_size", "max_samples", "dataset_dir", "media_dir", "seed", "train_on_prompt", "mask_history",
    "default_system", "enable_thinking", "tool_format", "preprocessing_num_workers", "trust_remote_code",
})  # fmt: skip
"""Arguments of LLaMA-Factory that say how rows become tokens."""
VERIFIABLE = frozenset({
    "llama", "mistral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "phi3", "gemma2", "gemma3_text", "nemotron",
    "falcon", "starcoder2", "stablelm",
})  # fmt: skip
"""Values of `model_type` whose GGUF files transformers reads back, which the job needs to compare them."""
OTHER_FORMATS = {
    "awq": "merge it, and quantise the result with llm-compressor",
    "gptq": "merge it, and quantise the result with llm-compressor or GPTQModel",
    "fp8": "merge it, and quantise the result with llm-compressor; vLLM also quantises a 16-bit model when it loads it",
    "mlx": "merge it, and convert the result with `mlx_lm.convert` on a Mac",
}
"""Formats whose libraries do not run beside the trainer (llm-compressor 0.14 needs transformers 5.15 or newer, the
trainer 5.6 or older; MLX needs Apple silicon), and what to do instead."""
FIXED = {"do_train": False, "do_eval": True, "report_to": "none", "bf16": False, "fp16": False}


def render(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """The program and its configuration. Raises SpecError and UnsupportedError for a job that the program refuses."""
    if spec.resources.num_nodes * spec.resources.accelerators_per_node > 1:
        raise UnsupportedError(f"program {spec.program.type} runs in one process: leave resources.num_nodes and "
                               f"resources.accelerators_per_node out.")  # fmt: skip
    if isinstance(spec.program, PythonFile):
        return _python(spec.program, facts, layout)
    _refuse_unread(facts.model)
    if isinstance(spec.program, Merge):
        return _merge(spec.program, spec, facts, layout)
    if isinstance(spec.program, Export):
        return _export(spec.program, spec, facts, layout)
    if isinstance(spec.program, Evaluate):
        return _evaluate(spec.program, spec, facts, layout)
    if isinstance(spec.program, Generate):
        return _generate(spec.program, spec, facts, layout)
    if isinstance(spec.program, Serve):
        raise UnsupportedError("program serve: a server has no end and is no job; use `ftsdk deploy MODEL -b BACKEND`.")
    raise UnsupportedError(f"program {spec.program.type}: no engine runs it.")


def model_arguments(spec: JobSpec, model: ModelFacts, layout: Layout) -> Arguments:
    """Where the program finds the model; an adapter stands beside its base model.

    Raises SpecError for an adapter without its base, UnsupportedError for a model that reads images.
    """
    _refuse_unread(model)
    if model.config is None and PurePath(model.base).is_absolute():
        raise SpecError(f"model {model.address}: its base model {model.base} is not on this machine; put it there, or "
                        f"name another base in the adapter's adapter_config.json.")  # fmt: skip
    if model.config and "vision_config" in model.config:
        raise UnsupportedError(f"model {model.address} reads images, too; the programs after training read text only.")
    return {
        "model_name_or_path": layout.inside(model.base),
        "adapter_name_or_path": layout.inside(model.address) if is_adapter(model) else None,
        "model_revision": spec.revision,
    }


def _refuse_unread(model: ModelFacts) -> None:
    if model.kind == "remote" and model.bytes is None:
        raise SpecError(
            f"model {model.address}: its bucket cannot be read from here, so whether it is an adapter is not known; "
            f"check the credentials and the region."
        )


def is_adapter(model: ModelFacts) -> bool:
    """Whether the model is an adapter on a base model."""
    return model.base != model.address


def _merge(program: Merge, spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    model = facts.model
    if not is_adapter(model) and model.kind in ("path", "remote"):
        raise SpecError(f"model {model.address} is no adapter: there is nothing to merge.")
    _refuse_quantized(model)
    rows = _compared_rows(spec, facts, layout)
    config = {
        **model_arguments(spec, model, layout),
        "dtype": program.dtype,
        "data": rows.config or None,
        "trained_bits": trained_bits(model),
    }
    return Rendered(trainer="trained.merger", config=_present(config), dataset_info=rows.dataset_info)


def trained_bits(model: ModelFacts) -> int | None:
    """Bits of the base weights in the training of an adapter that ftsdk made; None if they were not quantised."""
    tuning = (model.lineage or {}).get("spec", {}).get("tuning", {})
    bits = tuning.get("bits") if isinstance(tuning, dict) else None
    return bits if isinstance(bits, int) else None


def _export(program: Export, spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    model = facts.model
    if program.format in OTHER_FORMATS:
        raise UnsupportedError(f"program.format {program.format}: ftsdk exports gguf only; for this format "
                               f"{OTHER_FORMATS[program.format]}.")  # fmt: skip
    kind = (model.config or {}).get("model_type")
    if model.config and kind not in VERIFIABLE:
        raise UnsupportedError(f"model {model.address}: GGUF files of the architecture {kind} cannot be read back to "
                               f"compare them, and nothing is exported unproven; merge it instead.")  # fmt: skip
    _refuse_quantized(model)
    rows = _compared_rows(spec, facts, layout)
    config = {"model": _present(model_arguments(spec, model, layout)), "gguf": list(program.quant), "data": rows.config}
    return Rendered(
        trainer="trained.exporter",
        config={name: value for name, value in config.items() if value},
        dataset_info=rows.dataset_info,
    )


def _refuse_quantized(model: ModelFacts) -> None:
    if model.config and "quantization_config" in model.config:
        method = (model.config["quantization_config"] or {}).get("quant_method", "fewer bits")
        raise UnsupportedError(
            f"The base model {model.base} is stored quantised ({method}), and merged weights would be rounded to it: "
            f"name the 16-bit model it was made from in the adapter's adapter_config.json."
        )


def _compared_rows(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """The trainer's configuration of the rows whose predictions are compared; empty without a dataset."""
    if not spec.dataset.train:
        return Rendered(trainer="", config={}, dataset_info={})
    return _rows(spec, facts, layout)


def _rows(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """The trainer's configuration of the held-out rows, as it reads them in a training."""
    if spec.method.stage not in METHODS or spec.method.stage in ("rm", "kto"):
        raise UnsupportedError(f"method {spec.method.stage}: rows of this method are not evaluated; use sft or dpo.")
    training = llamafactory.render(spec.model_copy(update={"program": Train()}), facts, layout)
    data = {name: value for name, value in training.config.items() if name in READS} | FIXED
    if not data.get("eval_dataset") and not data.get("val_size"):
        data["eval_dataset"] = data.pop("dataset")
    return Rendered(trainer="", config=data, dataset_info=training.dataset_info)


def _evaluate(program: Evaluate, spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    rows = _rows(spec, facts, layout)
    if program.against == BASE and not is_adapter(facts.model):
        raise SpecError(f"model {facts.model.address} is no adapter and names no base model: give the model to compare "
                        f"with as program.against.")  # fmt: skip
    config = {
        "model": _present(model_arguments(spec, facts.model, layout)),
        "against": _against(program, spec, facts, layout),
        "metrics": list(program.metrics),
        "judge": _judge(program, spec),
        "max_new_tokens": program.max_new_tokens,
        "data": rows.config,
    }
    return Rendered(
        trainer="trained.evaluator",
        config=_present(config),
        dataset_info=rows.dataset_info,
        warnings=tuple(_cost_of_judge(program.judge, facts)) if program.judge else (),
    )


def _judge(program: Evaluate, spec: JobSpec) -> Arguments | None:
    judge = program.judge
    if judge is None:
        return None
    if program.against is None:
        raise SpecError("program.judge compares the answers of two models: name the other one as program.against.")
    if spec.method.stage != "sft":
        raise SpecError(
            f"program.judge compares answers to prompts, and rows of {spec.method.stage} have none: use sft."
        )
    if judge.key and judge.key not in spec.secrets:
        raise SpecError(f"program.judge.key: {judge.key} is not among the job's secrets; add it there.")
    return _present(judge.model_dump())


def _cost_of_judge(judge: Judge, facts: Facts) -> Iterator[str]:
    counted = [source.num_rows for source in (facts.eval or facts.train)]
    rows = sum(number for number in counted if number is not None) if None not in counted else None
    many = f"{2 * rows:,} requests, two for each of at most {rows:,} rows" if rows is not None else "two requests a row"
    yield (f"The judge at {judge.url} gets {many}, each with a prompt, the right answer and both answers; that "
           f"service's price is their cost.")  # fmt: skip


def _against(program: Evaluate, spec: JobSpec, facts: Facts, layout: Layout) -> Arguments | None:
    if facts.against is not None:
        return _present({**model_arguments(spec, facts.against, layout), "model_revision": None})
    if program.against is None:
        return None
    return _present({**model_arguments(spec, facts.model, layout), "adapter_name_or_path": None})


def _generate(program: Generate, spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    names = shared.dataset_names(facts.train)
    settings = {
        "max_tokens": program.max_new_tokens,
        "temperature": program.temperature,
        "top_p": program.top_p,
    }
    config = {
        "model": _present(model_arguments(spec, facts.model, layout)),
        "dataset": names,
        "max_samples": spec.dataset.max_samples,
        "settings": _present(settings),
        "seed": spec.hyperparameters.seed,
    }
    entries = {name: shared.entry(source, layout) for name, source in zip(names, facts.train, strict=True)}
    return Rendered(trainer="trained.generator", config=_present(config), dataset_info=entries)


def _python(program: PythonFile, facts: Facts, layout: Layout) -> Rendered:
    file = next(item.path for item in facts.arguments if item.argument == PROGRAM_FILE)
    names = shared.dataset_names(facts.train)
    config = {
        "model": layout.inside(facts.model.address),
        "dataset": [layout.inside(source.file.path) if source.file else source.address for source in facts.train],
        "arguments": program.arguments,
    }
    entries = {name: shared.entry(source, layout) for name, source in zip(names, facts.train, strict=True)}
    return Rendered(trainer=layout.inside(file), config=config, dataset_info=entries)


def _present(arguments: Arguments) -> Arguments:
    return {name: value for name, value in arguments.items() if value is not None}
