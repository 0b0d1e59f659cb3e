"""Rows of the table of models, from published config.json files.

    python -m bench.sizing.architectures CONFIGS.json   # {"owner/name": config.json, …}
    python -m bench.sizing.architectures                # the Hugging Face hub, for each model that LLaMA-Factory names

Prints a row for each config whose model is not in the table yet, to append to `ftsdk/sizing/data/models.csv`. Every
count is that of the real class of transformers, built without memory; the parts of a model that are no language model
(vision, audio) are what the class has more than the shape. A model whose class transformers does not have, or that
ftsdk would count otherwise, is named on stderr and gets no row. With the hub, the published count is that of the
repository's safetensors files.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ftsdk.contract.foreign import JsonObject
from ftsdk.sizing.architecture.configs import language_part, shape_of_config
from ftsdk.sizing.architecture.names import lookups
from ftsdk.sizing.tables import config_of_row, rows, shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

COLUMNS: Final = tuple(rows("models.csv")[0])
FURTHER: Final = (
    "attention_bias",
    "attention_k_eq_v",
    "attention_out_bias",
    "first_k_dense_replace",
    "full_attention_interval",
    "global_head_dim",
    "hidden_size_per_layer_input",
    "interleave_moe_layer_step",
    "intermediate_size_mlp",
    "kv_lora_rank",
    "linear_conv_kernel_dim",
    "linear_key_head_dim",
    "linear_num_key_heads",
    "linear_num_value_heads",
    "linear_value_head_dim",
    "lm_head_bias",
    "mlp_bias",
    "moe_layer_start_index",
    "moe_num_shared_experts",
    "multi_query",
    "n_shared_experts",
    "new_decoder_architecture",
    "num_global_key_value_heads",
    "num_kv_shared_layers",
    "q_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "shared_expert_intermediate_size",
    "use_bias",
    "use_double_wide_mlp",
    "use_qk_norm",
    "use_qkv_bias",
    "v_head_dim",
    "vocab_size_per_layer_input",
)
"""Keys of a config.json that change a count and have no column."""
OTHER_NAMES: Final = {
    "num_experts": ("num_local_experts", "n_routed_experts", "moe_num_experts"),
    "num_experts_per_tok": ("moe_topk", "moe_k", "top_k_experts"),
    "moe_intermediate_size": ("expert_intermediate_size",),
    "hidden_size": ("n_embd",),
    "num_hidden_layers": ("n_layer",),
    "num_attention_heads": ("n_head",),
}
"""Column -> what some families call it."""


class Published(NamedTuple):
    """A model's config.json, and its published number of parameters where that is known."""

    model: str
    config: JsonObject
    parameters: int | None = None


def row_of(published: Published) -> dict[str, str]:
    """The model's row. Raises ValueError where the shape's count is not that of the real class."""
    text = language_part(published.config)
    shape = shape_of_config(published.config)
    parts = {name for name in published.config if name.endswith("_config")} - {"quantization_config"}
    further = count_of(published.config) - shape.parameters.total
    if further and not (further > 0 and (parts or shape.model_type == "gpt2")):
        raise ValueError(f"the class has {further:+,} parameters")
    other = {name: text[name] for name in FURTHER if text.get(name) is not None}
    other |= {"vision_parameters": further} if further else {}
    row = {name: _cell(_column(text, name)) for name in COLUMNS}
    row |= {
        "name": list(lookups(published.model))[-1],
        "model_type": str(text["model_type"]),
        "tie_word_embeddings": str(int(shape.tied)),
        "other": ";".join(f"{name}={_cell(value)}" for name, value in other.items()),
        "published_parameters": _cell(published.parameters),
        "hub": published.model,
    }
    if shape_of_config(config_of_row(row)).parameters.total != shape.parameters.total + further:
        raise ValueError("a key that changes its count has no column")
    return row


def count_of(config: JsonObject) -> int:
    """Parameters that a checkpoint holds, counted on the real class. Raises ValueError where there is none."""
    model = _model_of({name: value for name, value in config.items() if name != "quantization_config"})
    routers = (b.numel() for name, b in model.named_buffers() if name.endswith("e_score_correction_bias"))
    return int(sum(p.numel() for p in model.parameters()) + sum(routers))


def _model_of(config: JsonObject) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = str(config.get("model_type"))
    if kind not in CONFIG_MAPPING:
        raise ValueError(f"transformers has no class for {kind}")
    settings = CONFIG_MAPPING[kind].from_dict(dict(config))
    heads = (AutoModelForImageTextToText, AutoModelForMultimodalLM, AutoModelForCausalLM)
    head = next((head for head in heads if type(settings) in head._model_mapping), None)
    if head is None:
        raise ValueError(f"transformers has no language model for {kind}")
    with torch.device("meta"):
        model: PreTrainedModel = head.from_config(settings)
    return model


def _column(text: JsonObject, name: str) -> object:
    return next((text[key] for key in (name, *OTHER_NAMES.get(name, ())) if text.get(key) is not None), None)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "no"
    return "" if value is None else str(value)


def from_file(file: Path) -> Iterator[Published]:
    """The configs of a file that holds an object: model -> config.json, or -> its config and published parameters."""
    for model, found in json.loads(file.read_text(encoding="utf-8")).items():
        config = found.get("config", found)
        yield Published(model, config, found.get("published_parameters"))


def from_hub(models: Iterable[str]) -> Iterator[Published]:
    """The configs on the Hugging Face hub; a model that it does not give is named on stderr."""
    from huggingface_hub import HfApi, hf_hub_download

    for model in models:
        try:
            weights = HfApi().model_info(model, expand=["safetensors"]).safetensors
            config = json.loads(Path(hf_hub_download(model, "config.json")).read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            print(f"{model}: {problem}", file=sys.stderr)
            continue
        yield Published(model, config, weights.total if weights else None)


def named_by_llamafactory() -> list[str]:
    """Every model id in LLaMA-Factory's own table."""
    from llamafactory.extras.constants import SUPPORTED_MODELS, DownloadSource

    each: Iterable[Mapping[DownloadSource, str]] = SUPPORTED_MODELS.values()
    return sorted({found[DownloadSource.DEFAULT] for found in each if DownloadSource.DEFAULT in found})


def main(arguments: list[str]) -> None:
    """Print the rows; name on stderr what gets none, with the reason."""
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    for published in from_file(Path(arguments[0])) if arguments else from_hub(named_by_llamafactory()):
        if any(name in shapes() for name in lookups(published.model)):
            continue
        try:
            writer.writerow(row_of(published))
        except (ValueError, KeyError, AttributeError, TypeError) as problem:
            print(f"{published.model}: {problem}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
