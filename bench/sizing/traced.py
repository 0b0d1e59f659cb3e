"""What a real training step allocates, tensor by tensor, on a CPU: the formulas beside the trainer's own stack.

Needs torch, transformers and PEFT. Models are small, but their code is the code that trains the large ones, and
bytes per token do not depend on the device. A dispatch mode sees every tensor that is made and sees it go.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.memory.terms import step_peak_bytes
from ftsdk.sizing.training_step import TrainingStep

SIZES: Final[dict[str, Any]] = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "num_hidden_layers": 6,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
}
EXPERTS: Final[dict[str, dict[str, Any]]] = {
    "qwen3_moe": {"num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 128, "decoder_sparse_step": 1}
}
"""Further sizes of families with experts."""
RANK: Final = 8


class Peak(TorchDispatchMode):  # type: ignore[misc]
    """Bytes of live tensors, and their highest sum, from here on; tensors that exist already are not counted."""

    def __init__(self, existing: list[torch.Tensor]) -> None:
        super().__init__()
        self._kept = [tensor.untyped_storage() for tensor in existing]
        self._sizes = {storage._cdata: 0 for storage in self._kept}
        self.live = 0
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and note what it made."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf.untyped_storage())
        self.peak = max(self.peak, self.live)
        return made

    def _note(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._sizes:
            self._sizes[key] = size
            self.live += size
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.live -= self._sizes.pop(key)


class Case(NamedTuple):
    """One way of training one family."""

    model_type: str
    tuning: str
    """lora (fp32 adapters under autocast), amp (fp32 weights under autocast) or bf16."""
    checkpointing: bool
    vocab_size: int = 20_000
    tokens: int = 512


class Traced(NamedTuple):
    """Bytes that the step needs beyond weights, gradients and optimizer."""

    case: Case
    traced: int
    estimated: float

    @property
    def error(self) -> float:
        """Relative error of the estimate."""
        return self.estimated / self.traced - 1


def trace(case: Case) -> Traced:
    """Run one step and compare."""
    model, config = _model(case)
    shape = shape_of_config(config)
    step = TrainingStep(
        shape=shape, trained=shape.parameters.total, seq_len=case.tokens, checkpointing=case.checkpointing
    )
    if case.tuning == "lora":
        count = sum(RANK * (linear.inputs + linear.outputs) * linear.number for linear in shape.linears)
        step = replace(step, adapted=shape.linears, trained=count)
    step = replace(step, layout="bf16" if case.tuning == "bf16" else "amp")
    return Traced(case, _step_peak(model, case), step_peak_bytes(step))


def _model(case: Case) -> tuple[Any, dict[str, Any]]:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {**SIZES, **EXPERTS.get(case.model_type, {})}
    config = AutoConfig.for_model(case.model_type, **sizes, vocab_size=case.vocab_size)
    config._attn_implementation = "sdpa"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    if case.tuning == "lora":
        model = _with_adapters(model)
    elif case.tuning == "amp":
        model = model.float()
    model.train()
    model.config.use_cache = False
    if case.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
        model.enable_input_require_grads()
    return model, config.to_dict()


def _with_adapters(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM"))
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # as LLaMA-Factory does
    adapted.enable_input_require_grads()
    return adapted


@contextmanager
def _gradients(model: Any) -> Iterator[list[torch.Tensor]]:
    """Gradients that exist already, as in every micro-step but the first, and all tensors of the lasting state."""
    parameters = list(model.parameters())
    for parameter in parameters:
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    yield [*parameters, *model.buffers(), *(p.grad for p in parameters if p.grad is not None)]


def _step_peak(model: Any, case: Case) -> int:
    from accelerate.utils.operations import convert_outputs_to_fp32

    forward = convert_outputs_to_fp32(model.forward)  # as the Trainer does
    tokens = torch.randint(1, case.vocab_size, (1, case.tokens))
    with _gradients(model) as state, Peak([*state, tokens]) as peak:
        with torch.autocast("cpu", torch.bfloat16, enabled=case.tuning != "bf16"):
            output = forward(input_ids=tokens, labels=tokens)
        loss = output["loss"]
        del output
        loss.backward()
    highest: int = peak.peak
    return highest


def cases() -> list[Case]:
    """Families, tunings and loss sizes that differ in what they keep."""
    families = ("llama", "qwen2", "qwen3", "qwen3_moe", "mistral", "phi3", "gemma2", "glm4", "olmo2")
    each = [Case(family, "lora", checkpointing) for family in families for checkpointing in (True, False)]
    each += [Case(family, tuning, False) for family in ("llama", "qwen3") for tuning in ("amp", "bf16")]
    return each + [Case("llama", tuning, True, vocab_size=1000) for tuning in ("lora", "bf16")]


def main() -> None:
    """Print the table."""
    for case in cases():
        result = trace(case)
        way = "recomputed" if case.checkpointing else "kept"
        words = f"{case.model_type:8} {case.tuning:5} {way:10} vocabulary {case.vocab_size:6}"
        sys.stdout.write(
            f"{words} {result.traced / 1e6:8.2f} MB {result.estimated / 1e6:8.2f} MB {result.error:+.1%}\n"
        )


if __name__ == "__main__":
    main()
