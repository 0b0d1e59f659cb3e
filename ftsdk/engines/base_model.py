"""What a model's config.json says about it as a base: quantised weights, its head, its context. Pure.

Sources: LLaMA-Factory 0.9.5's `model/adapter.py` and `model/model_utils/quantization.py`; transformers' quantisers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

from ftsdk.errors import UnsupportedError
from ftsdk.sizing.architecture.config_json import ModelConfig
from ftsdk.sizing.architecture.configs import quantization_of
from ftsdk.spec import JobSpec, Lora, Oft, QLora

if TYPE_CHECKING:
    from ftsdk.facts import Facts

PACKAGES: Mapping[str, str] = {
    "gptq": "gptqmodel",
    "awq": "autoawq",
    "aqlm": "aqlm",
    "hqq": "hqq",
    "eetq": "eetq",
    "quanto": "optimum-quanto",
    "compressed-tensors": "compressed-tensors",
    "auto-round": "auto-round",
    "torchao": "torchao",
    "bitsandbytes": "bitsandbytes",
}
"""Method of quantisation -> the package that loads such weights."""
IN_THE_IMAGE = frozenset({"bitsandbytes"})
DEQUANTIZED = frozenset({"fp8", "mxfp4"})
"""Methods whose weights LLaMA-Factory turns into 16 bits as it loads them: every tuning works on them."""
OTHER_HEADS: Mapping[str, str] = {
    "ForSequenceClassification": "a classifier or reward model",
    "ForTokenClassification": "a token classifier or reward model",
    "ForRewardModel": "a reward model",
    "RewardModel": "a reward model",
    "ForMaskedLM": "an encoder",
    "ForQuestionAnswering": "a question answering head",
    "ForMultipleChoice": "a multiple-choice head",
    "ForImageClassification": "a picture classifier",
    "ForCTC": "a speech recogniser",
}
"""End of a class in `architectures` -> what the model is; none of them writes text."""
ABSOLUTE_POSITIONS = frozenset({"gpt2", "gpt_bigcode", "gpt_neo", "opt", "biogpt", "xglm"})
"""Model types with one learned vector for each position: there is none beyond the last."""
EMBEDDER_FILES = frozenset({"modules.json", "config_sentence_transformers.json"})
"""Files of sentence-transformers."""


def refuse(spec: JobSpec, facts: Facts) -> None:
    """Raises UnsupportedError for a base that the method or the tuning cannot train."""
    config = facts.model.config
    if not config:
        return
    _refuse_head(config, facts.model.base)
    _refuse_quantized(spec, config)
    context = context_length(config)
    if config.get("model_type") in ABSOLUTE_POSITIONS and context and _longest(spec, facts) > context:
        raise UnsupportedError(
            f"hyperparameters.cutoff_len {spec.hyperparameters.cutoff_len}: {config['model_type']} has {context:,} "
            f"positions and rows are longer; set cutoff_len to at most {context}."
        )


def notes(spec: JobSpec, facts: Facts) -> Iterator[str]:
    """A sentence for each thing in config.json that the training depends on."""
    config = facts.model.config
    if not config:
        return
    method, bits = quantization_of(config)
    if method in DEQUANTIZED:
        yield f"the base is quantised ({method}, {bits} bits): it is turned into 16 bits when it is loaded."
    elif method and (package := PACKAGES.get(method)) not in IN_THE_IMAGE:
        yield (
            f"the base is quantised ({method}, {bits} bits): the job needs {package or 'a package for it'}, which "
            f"ftsdk's own image does not have; use another image, or the model's 16-bit weights with `tuning: qlora`."
        )
    if method and isinstance(spec.tuning, QLora) and method not in DEQUANTIZED:
        yield f"tuning.bits {spec.tuning.bits} has no effect: the base is quantised by {method} already."
    yield from _context_notes(spec, facts, config)
    if any(PurePath(file.path).name in EMBEDDER_FILES for file in facts.model.files):
        yield f"{facts.model.base} is an embedding model: it is trained to write text, and its embeddings change."
    names = str(spec.hyperparameters.passed_through.get("additional_target") or "")
    if _text(config).get("tie_word_embeddings", config.get("tie_word_embeddings")) and "lm_head" in names:
        yield (
            "the model's output layer is its embedding (tie_word_embeddings): additional_target lm_head trains a copy "
            "of it, and a merge unties the two; name embed_tokens alone to keep them one."
        )


def context_length(config: ModelConfig) -> int | None:
    """Positions that the model was made for; None if its config does not say."""
    text = _text(config)
    keys = ("max_position_embeddings", "n_positions", "seq_length")
    length = next((text.get(key) for key in keys if key in text), None)
    return length if isinstance(length, int) and length > 0 else None


def _text(config: ModelConfig) -> ModelConfig:
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def _longest(spec: JobSpec, facts: Facts) -> int:
    """Tokens of the longest row that is trained."""
    cutoff = spec.hyperparameters.cutoff_len
    packed = spec.hyperparameters.packing or spec.hyperparameters.neat_packing or spec.method.stage == "pt"
    return cutoff if facts.lengths is None or packed else min(cutoff, facts.lengths.max_tokens)


def _context_notes(spec: JobSpec, facts: Facts, config: ModelConfig) -> Iterator[str]:
    context, longest = context_length(config), _longest(spec, facts)
    if context and longest > context and not spec.hyperparameters.passed_through.get("rope_scaling"):
        yield (
            f"rows of {longest:,} tokens are longer than the model's context of {context:,} (max_position_embeddings): "
            f"lower cutoff_len, or stretch the positions with rope_scaling: yarn."
        )


def _refuse_head(config: ModelConfig, base: str) -> None:
    names = config.get("architectures") or []
    name = str(names[0]) if isinstance(names, list) and names else ""
    what = next((meaning for end, meaning in OTHER_HEADS.items() if name.endswith(end)), None)
    if config.get("is_encoder_decoder"):
        what = "an encoder and a decoder"
    if what and "AutoModelForCausalLM" not in (config.get("auto_map") or {}):
        raise UnsupportedError(
            f"model {base}: {name or config.get('model_type')} is {what}, without a causal language model's head; give "
            f"the language model that it was made from."
        )


def _refuse_quantized(spec: JobSpec, config: ModelConfig) -> None:
    method, bits = quantization_of(config)
    if method is None or method in DEQUANTIZED:
        return
    what, tuning = f"the base is quantised ({method}, {bits} bits)", spec.tuning
    if not isinstance(tuning, Lora | Oft):
        raise UnsupportedError(
            f"tuning {tuning.type}: {what}, and quantised weights cannot be trained; use `tuning: lora`, or give the "
            f"model's 16-bit weights."
        )
    if isinstance(tuning, Lora) and tuning.pissa:
        raise UnsupportedError(f"tuning.pissa changes the weights and {what}: leave pissa out.")
    if isinstance(tuning, Lora) and tuning.dora and method != "bitsandbytes":
        raise UnsupportedError(f"tuning.dora does not work on {method}: {what}; leave dora out.")
    if spec.sharding.type in ("zero3", "fsdp"):
        raise UnsupportedError(f"sharding {spec.sharding.type}: {what} and cannot be split; use ddp or zero2.")
    if spec.hyperparameters.passed_through.get("resize_vocab"):
        raise UnsupportedError(f"hyperparameters.resize_vocab: {what} and its embedding cannot grow; leave it out.")
