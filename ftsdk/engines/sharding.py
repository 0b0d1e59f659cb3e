"""Sharding -> the trainer's own arguments: a DeepSpeed configuration, or PyTorch's FSDP. Pure.

The values are DeepSpeed's documented defaults where the spec sets nothing; `auto` is filled in by transformers from the
training arguments (its DeepSpeed integration), so that no figure is written twice.
"""

from __future__ import annotations

from ftsdk.engines.base import Arguments
from ftsdk.errors import SpecError
from ftsdk.spec import Sharding

BUCKET_ELEMENTS = 500_000_000
"""Elements that are reduced or gathered at once, DeepSpeed's default."""
LIVE_PARAMETERS = 1_000_000_000
"""Parameters that zero3 keeps gathered, DeepSpeed's default."""
CPU = {"device": "cpu", "pin_memory": True}


def arguments(sharding: Sharding) -> Arguments:
    """Arguments of the trainer; none for plain data parallelism. Raises SpecError for an offload that does nothing."""
    if sharding.offload and sharding.type in ("ddp", "zero0"):
        raise SpecError(f"sharding: {sharding.type} splits nothing that could be offloaded; use zero2, zero3 or fsdp.")
    if sharding.type == "ddp":
        return {}
    if sharding.type == "fsdp":
        return _fsdp(sharding.offload)
    return {"deepspeed": _deepspeed(int(sharding.type[-1]), sharding.offload)}


def _deepspeed(stage: int, offload: bool) -> Arguments:
    zero: Arguments = {"stage": stage, "overlap_comm": True, "contiguous_gradients": True}
    if stage in (1, 2):
        zero |= {"reduce_bucket_size": BUCKET_ELEMENTS, "allgather_bucket_size": BUCKET_ELEMENTS}
    if stage == 3:
        sizes = ("reduce_bucket_size", "stage3_prefetch_bucket_size", "stage3_param_persistence_threshold")
        zero |= dict.fromkeys(sizes, "auto")  # from the model's hidden size
        zero |= {
            "stage3_max_live_parameters": LIVE_PARAMETERS,
            "stage3_max_reuse_distance": LIVE_PARAMETERS,
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    # DeepSpeed's own Adam for main memory is compiled when it is used, by nvcc, which no torch wheel brings.
    offloaded: Arguments = {"zero_force_ds_cpu_optimizer": False} if offload else {}
    if offload:
        zero |= {"offload_optimizer": CPU, **({"offload_param": CPU} if stage == 3 else {})}
    batch = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")
    return {
        **dict.fromkeys(batch, "auto"),
        "zero_allow_untested_optimizer": True,
        **offloaded,
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "zero_optimization": zero,
    }


def _fsdp(offload: bool) -> Arguments:
    """Layers are wrapped one by one; the classes come from the model itself (`_no_split_modules`)."""
    return {
        "fsdp": "full_shard auto_wrap offload" if offload else "full_shard auto_wrap",
        "fsdp_config": {
            "backward_prefetch": "backward_pre",
            "cpu_ram_efficient_loading": True,
            "sync_module_states": True,
            "use_orig_params": True,
            "state_dict_type": "FULL_STATE_DICT",
        },
    }
