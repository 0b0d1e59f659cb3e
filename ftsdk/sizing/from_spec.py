"""JobSpec -> TrainingStep: what LLaMA-Factory (or TRL, for the GRPO family) does with a spec. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ftsdk.sizing import peft_family
from ftsdk.sizing.architecture.shapes import Linear, ModelShape
from ftsdk.sizing.training_step import DEFAULT_OPTIMIZER, Generation, Layout, ShardingKind, StateSharding, TrainingStep
from ftsdk.spec import Freeze, Full, Hyperparameters, JobSpec, Lora, Oft, QLora
from ftsdk.spec.method import ONLINE
from ftsdk.spec.peft_family import BitFit, LnTuning, Prefix, Targeted, VirtualTokens

PAIRED: Final = ("dpo", "ipo", "orpo", "simpo", "rm", "kto")
"""Stages whose row is two sequences: chosen and rejected, or an answer and its mismatched twin."""
REFERENCED: Final = ("dpo", "ipo", "kto")
"""Stages that also run a frozen reference: the base under the adapters, or with other tunings a second model."""
LOGIT_BYTES: Final = {"rm": 6.0, "orpo": 16.0, "simpo": 16.0, "dpo": 18.0, "ipo": 18.0, "kto": 18.0}
"""Bytes per logit, counted on LLaMA-Factory's trainers. rm: logits are made (2) and upcast (4), and not used. Pairs:
fp32 logits 4 and log-softmax 4 are kept while the reference makes its own 2 + 4 + 4; without a reference the backward
pass has 4 times 4."""


class Trained(NamedTuple):
    """What a tuning trains."""

    parameters: int
    adapted: tuple[Linear, ...] = ()
    copies: int = 0
    """Parameters of whole modules that are copied and trained beside the adapters."""
    layers: int | None = None
    notes: tuple[str, ...] = ()


def trained_of(spec: JobSpec, shape: ModelShape) -> Trained:
    """Trainable parameters of the spec's tuning on this shape."""
    tuning = spec.tuning
    if isinstance(tuning, Full):
        return Trained(shape.parameters.total - shape.parameters.vision)
    if isinstance(tuning, Freeze):
        return _freeze(tuning, shape)
    if isinstance(tuning, BitFit):
        return Trained(peft_family.bias_parameters(tuning, shape))
    if isinstance(tuning, VirtualTokens):
        return Trained(peft_family.virtual_parameters(tuning, shape))
    if isinstance(tuning, LnTuning):
        return Trained(peft_family.norm_parameters(tuning, shape))
    adapted, notes = _adapted(tuning, shape)
    each = [_adapter_size(tuning, linear) * linear.number for linear in adapted]
    copied = str(spec.hyperparameters.passed_through.get("additional_target") or "")
    copies = _named_modules(copied, shape)
    return Trained(sum(each) + copies, adapted, copies, notes=notes)


def _freeze(tuning: Freeze, shape: ModelShape) -> Trained:
    layers = min(abs(tuning.trainable_layers), shape.num_layers)
    counts = shape.parameters
    body = counts.attention + counts.mlp + counts.experts + counts.routers
    extra = _named_modules(",".join(tuning.extra_modules), shape)
    return Trained(round(body * layers / shape.num_layers) + extra, layers=layers)


def _adapted(tuning: Lora | Oft | Targeted, shape: ModelShape) -> tuple[tuple[Linear, ...], tuple[str, ...]]:
    if "all" in tuning.targets:
        note = ("adapters sit on attention and shared layers, not on the experts",) if shape.num_experts else ()
        return shape.linears, note
    chosen = tuple(linear for linear in shape.linears if linear.name in tuning.targets)
    missing = set(tuning.targets) - {linear.name for linear in chosen}
    if not chosen:
        return shape.linears, (f"tuning.targets {sorted(missing)} are unknown here: counted as all linear layers",)
    return chosen, (f"tuning.targets {sorted(missing)} are unknown here and not counted",) if missing else ()


def _adapter_size(tuning: Lora | Oft | Targeted, linear: Linear) -> int:
    if isinstance(tuning, Targeted):
        return peft_family.targeted_parameters(tuning, linear)
    if isinstance(tuning, Oft):  # a skew-symmetric block of each slice of the input
        return linear.inputs // tuning.block_size * (tuning.block_size * (tuning.block_size - 1) // 2)
    return tuning.rank * (linear.inputs + linear.outputs) + (linear.outputs if tuning.dora else 0)


def _named_modules(names: str, shape: ModelShape) -> int:
    counts, parameters = shape.parameters, 0
    if "embed" in names or "wte" in names:
        parameters += counts.embeddings
    if "lm_head" in names:
        parameters += counts.lm_head
    return parameters


def step_of_spec(
    spec: JobSpec, shape: ModelShape, *, bf16: bool = True, max_tokens: int | None = None, base_bits: int = 16
) -> tuple[TrainingStep, tuple[str, ...]]:
    """The training step, and the assumptions made.

    `max_tokens` is the length of the longest row, None if unknown; `base_bits` what a weight of the base is stored in.
    """
    hp, extra = spec.hyperparameters, spec.hyperparameters.passed_through
    trained, stage = trained_of(spec, shape), spec.method.stage
    packed = bool(hp.packing or hp.neat_packing)
    seq_len = hp.cutoff_len if packed or max_tokens is None else min(hp.cutoff_len, max_tokens)
    seq_len += _answer_tokens(spec)  # the rows of these methods are prompts
    seq_len += spec.tuning.num_virtual_tokens if isinstance(spec.tuning, VirtualTokens) else 0
    sharding = _sharding(spec, extra)
    double = isinstance(spec.tuning, QLora) and spec.tuning.double_quantization
    step = TrainingStep(
        shape=shape,
        trained=trained.parameters,
        adapted=trained.adapted,
        trained_copies=trained.copies,
        trained_layers=trained.layers,
        micro_batch=hp.per_device_train_batch_size * (2 if stage in PAIRED else 1),
        sequences_per_row=2 if stage in PAIRED else 1,
        seq_len=seq_len,
        weight_bits=min(base_bits, (spec.tuning.bits if isinstance(spec.tuning, QLora | Oft) else None) or 16),
        quantization="bnb-double" if double else "bnb",
        layout=_layout(hp, extra, bf16),
        optimizer=hp.optim or DEFAULT_OPTIMIZER,
        checkpointing=hp.gradient_checkpointing and not isinstance(spec.tuning, Prefix),
        flash=str(extra.get("flash_attn") or "auto") in shape.family.flash,
        mask_4d=bool(hp.neat_packing) and extra.get("flash_attn") != "fa2",
        chunked_loss=bool(extra.get("enable_liger_kernel")) and stage in ("pt", "sft"),
        logit_bytes=LOGIT_BYTES.get(stage, 12.0),
        dropout=isinstance(spec.tuning, Lora) and spec.tuning.dropout > 0,
        sharding=sharding,
        frozen_copies=(*_frozen_copies(spec, shape), *_beside(spec, shape, trained)),
        generation=_generation(spec, extra, seq_len) if stage in ONLINE else None,
    )
    return step, (*shape.notes, *trained.notes, *_bit_notes(step), *_stage_notes(spec))


def _layout(hp: Hyperparameters, extra: Mapping[str, object], bf16: bool) -> Layout:
    if extra.get("pure_bf16"):
        return "bf16"
    return "amp" if bf16 or hp.fp16 or hp.bf16 else "fp32"


def _sharding(spec: JobSpec, extra: Mapping[str, object]) -> StateSharding:
    ways = spec.resources.num_nodes * spec.resources.accelerators_per_node
    requested, offload = spec.sharding.type, spec.sharding.offload
    kind: ShardingKind = "ddp" if ways > 1 else "none"
    settings = extra.get("deepspeed")
    if requested != "ddp":
        kind = requested
    elif settings:
        stage, offload = _deepspeed(settings)
        kind = ("zero0", "zero1", "zero2", "zero3")[stage]
    elif extra.get("fsdp"):
        kind, offload = "fsdp", "offload" in str(extra["fsdp"])
    return StateSharding(
        kind=kind, ways=ways, offload_optimizer=offload, offload_weights=offload and kind in ("zero3", "fsdp")
    )


def _deepspeed(settings: object) -> tuple[int, bool]:
    """ZeRO stage and offload from a config (a dict) or from its file name (`ds_z3_offload_config.json`)."""
    if isinstance(settings, dict):
        zero = settings.get("zero_optimization", {})
        device = (zero.get("offload_optimizer") or {}).get("device", "none")
        return min(3, int(zero.get("stage", 0))), device != "none"
    name = str(settings).lower()
    stage = next((n for n in (3, 2, 1) if any(mark in name for mark in (f"z{n}", f"zero{n}", f"stage{n}"))), 0)
    return stage, "offload" in name


def _frozen_copies(spec: JobSpec, shape: ModelShape) -> tuple[tuple[str, int], ...]:
    stage, total = spec.method.stage, shape.parameters.total
    own_copy = not isinstance(spec.tuning, Lora | Oft | Targeted | VirtualTokens)
    copies: list[tuple[str, int]] = []
    if own_copy and (stage in REFERENCED or stage == "ppo" or (stage in ONLINE and _uses_kl_term(spec))):
        copies.append(("reference model", total))
    if stage == "ppo" and spec.method.reward_model:
        copies.append(("reward model", total))
    return tuple(copies)


def _beside(spec: JobSpec, shape: ModelShape, trained: Trained) -> tuple[tuple[str, int], ...]:
    layers = 1 if spec.hyperparameters.gradient_checkpointing else shape.num_layers
    return peft_family.kept_beside(
        spec.tuning, trained.adapted, layers_at_once=layers, num_layers=max(1, shape.num_layers)
    )


def _uses_kl_term(spec: JobSpec) -> bool:
    """Whether a KL term needs the reference model: by default in rloo alone."""
    return spec.method.beta > 0 if spec.method.beta is not None else spec.method.stage == "rloo"


def _answer_tokens(spec: JobSpec) -> int:
    """Tokens of a sampled answer, 0 for other methods; TRL's defaults if unset."""
    if spec.method.stage not in ONLINE:
        return 0
    return spec.method.max_completion_length or (53 if spec.method.stage == "ppo" else 512)


def _generation(spec: JobSpec, extra: Mapping[str, object], seq_len: int) -> Generation:
    hp = spec.hyperparameters
    colocated = spec.method.vllm == "colocate"  # `auto` is known inside the job only
    share = float(str(extra.get("vllm_gpu_memory_utilization") or 0.3)) if colocated else 0.0
    sequences = hp.per_device_train_batch_size * (spec.method.steps_per_generation or hp.gradient_accumulation_steps)
    return Generation(sequences=sequences, length=seq_len, reserved_share=share)


def _bit_notes(step: TrainingStep) -> tuple[str, ...]:
    if step.weight_bits == 16 or not step.shape.num_experts:
        return ()
    return (f"experts stay in 16 bits: bitsandbytes loads only linear layers in {step.weight_bits}",)


def _stage_notes(spec: JobSpec) -> tuple[str, ...]:
    notes = []
    if spec.method.stage == "ppo":
        notes.append("the reward model is taken to be as large as the policy")
    if isinstance(spec.tuning, peft_family.WRITTEN_OUT):
        notes.append(f"the matrices that {spec.tuning.type} makes in each step are counted and were not measured")
    if spec.method.stage in ONLINE:
        notes.append("time for sampling answers is not modelled")
    return tuple(notes)
