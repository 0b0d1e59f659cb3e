"""What the programs behind the published tables do differently from LLaMA-Factory, as facts about their code.

Nothing here belongs to a single row, and the product knows none of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ftsdk.sizing.training_step import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """Traits of a training program at the time of its table. The defaults are those of LLaMA-Factory and PEFT."""

    why: str = ""
    adapter_layout: Layout = "amp"
    """amp: adapters in fp32 under autocast (PEFT from 0.12 on); bf16: in the precision of the model."""
    full_layout: Layout = "bf16"
    rank: int = 8
    """Rank where a row does not say."""
    targets: str = "all"
    """Adapted layers where a row does not say."""
    logit_bytes: float = 12.0
    deepspeed_logit_bytes: float | None = None
    """Where the model's own loss is not upcast under DeepSpeed."""
    drops_long_rows: bool = False
    """Rows over the limit are left out, not cut: lengths then differ up to the limit (see `bench.sizing.allocator`)."""
    kept_bytes: int = 2
    """4 where PEFT's prepare_model_for_kbit_training upcasts what bitsandbytes leaves in 16 bits."""
    optimizer: str = "adamw_torch"
    optimizer_temporaries: float | None = None
    checkpointing: bool = True
    """Where a row does not say."""
    chunked_loss: bool = False
    frozen_gradients: bool = False
    """FSDP units that mix frozen and trained weights get gradients for both."""
    untied: bool = False
    """Loads a tied output layer as a second copy."""
    dropout: bool = False
    """Dropout on the adapters' inputs."""
    gb_bytes: float = 2**30
    """What its "GB" are."""
    old_attention: bool = False
    """FlashAttention 1, or the Triton kernel of its time."""


OLD_ATTENTION: Final = (0.38, (("hopper", 0.24), ("blackwell", 0.24)))
"""Sustained over peak of those kernels: 119 of 312 TFLOPS on A100, forward and backward (2307.08691, figure 4)."""

FRAMEWORKS: dict[str, Framework] = {
    "mosaic_mpt": Framework(
        why="2023: llm-foundry's tables were made with FlashAttention 1 and its Triton form (attn_impl: triton)",
        old_attention=True,
    ),
    "qwen_readme": Framework(
        why="2023: PEFT makes adapters in the model's bf16; torch 2.0's AdamW makes two temporary copies; Qwen 1's own "
        "loss is in 16 bits under DeepSpeed (2 bytes each for logits, shifted logits, log-softmax and gradient)",
        adapter_layout="bf16",
        rank=64,
        deepspeed_logit_bytes=8.0,
        optimizer_temporaries=2.0,
    ),
    "fsdp_qlora_2024_03": Framework(
        why="its loop keeps the model's output, fp32 logits included, during the backward pass: 12 + 4 bytes",
        adapter_layout="bf16",
        rank=64,
        targets="q_proj k_proj v_proj up_proj down_proj gate_proj",
        logit_bytes=16.0,
    ),
    "ms_swift_2024_05": Framework(
        why="k-bit preparation upcasts embeddings and output layer; rows over the limit are left out (its "
        "truncation_strategy was `delete` by default); it prints torch.cuda.max_memory_reserved",
        targets="c_attn",
        drops_long_rows=True,
        kept_bytes=4,
    ),
    "litgpt_resource_tables": Framework(
        why="bf16-true; loss over chunks that autograd all keeps (logits 2, log-softmax 2, gradient 2); prints "
        "torch.cuda.max_memory_allocated over 1e9",
        adapter_layout="bf16",
        targets="q_proj v_proj",
        logit_bytes=6.0,
        checkpointing=False,
        frozen_gradients=True,
        untied=True,
        dropout=True,
        gb_bytes=1e9,
    ),
    "litgpt_config_hub": Framework(
        why="as above; the recipes adapt every layer",
        adapter_layout="bf16",
        rank=16,
        logit_bytes=6.0,
        checkpointing=False,
        untied=True,
        dropout=True,
        gb_bytes=1e9,
    ),
    "torchtune_readme": Framework(
        why="chunked loss that keeps fp32 log-softmax", adapter_layout="bf16", logit_bytes=8.0
    ),
    "torchtune_qlora_tutorial": Framework(adapter_layout="bf16", targets="q_proj v_proj"),
    "axolotl_examples": Framework(why="cut cross-entropy", rank=32, chunked_loss=True),
}


def framework_of(source: str) -> Framework:
    """Traits of a table's program; LLaMA-Factory's for a table that is not listed."""
    return FRAMEWORKS.get(source, Framework())
