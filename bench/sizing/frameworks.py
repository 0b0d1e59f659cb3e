"""What the frameworks behind the published tables do differently from LLaMA-Factory, as facts about their code.

Nothing here belongs to a single row. The product itself only knows LLaMA-Factory.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """Traits of a training program at the time of its table."""

    adapter_layout: str = "amp"
    """Adapters in fp32 under autocast (PEFT >= 0.12 and its kin), or in the precision of the model."""
    full_layout: str = "bf16"
    rank: int = 8
    """Rank where a row does not say."""
    targets: str = "all"
    """Adapted layers where a row does not say."""
    logit_bytes: float = 12.0
    kept_bytes: int = 2
    quantization: str = "bnb"
    optimizer: str = "adamw_torch"
    checkpointing: bool = True
    """Where a row does not say."""
    chunked_loss: bool = False
    fsdp_gradients_of_frozen: bool = False
    untied: bool = False
    """Loads a tied output layer as a second copy."""
    why: str = ""


FRAMEWORKS: dict[str, Framework] = {
    "qwen_readme": Framework(
        adapter_layout="bf16",
        rank=64,
        quantization="gptq",
        why="PEFT of 2023 creates adapters in the model's bf16; HF Trainer; GPTQ base for Q-LoRA",
    ),
    "fsdp_qlora_2024_03": Framework(
        adapter_layout="bf16",
        rank=64,
        targets="q_proj k_proj v_proj up_proj down_proj gate_proj",
        logit_bytes=16.0,
        why="its loop keeps the model's output, fp32 logits included, while it runs backwards: 12 + 4 bytes",
    ),
    "ms_swift_2024_05": Framework(
        targets="c_attn",
        logit_bytes=36.0,
        kept_bytes=4,
        why="",
    ),
    "litgpt_resource_tables": Framework(
        adapter_layout="bf16",
        targets="q_proj v_proj",
        logit_bytes=6.0,
        checkpointing=False,
        fsdp_gradients_of_frozen=True,
        untied=True,
        why="bf16-true; loss over chunks that autograd all keeps: bf16 logits 2, log-softmax 2, gradient 2; "
        "FSDP units mix frozen and trained weights and so get gradients for both",
    ),
    "litgpt_config_hub": Framework(
        adapter_layout="bf16",
        rank=16,
        logit_bytes=6.0,
        checkpointing=False,
        untied=True,
        why="as above; the tables' recipes adapt every layer",
    ),
    "torchtune_readme": Framework(adapter_layout="bf16", logit_bytes=8.0, why="chunked loss keeps fp32 log-softmax"),
    "torchtune_qlora_tutorial": Framework(adapter_layout="bf16", logit_bytes=12.0, targets="q_proj v_proj"),
    "peft_accelerate_docs": Framework(),
    "axolotl_examples": Framework(rank=32, chunked_loss=True, adapter_layout="amp"),
}
