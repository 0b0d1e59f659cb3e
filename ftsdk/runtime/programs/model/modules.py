"""Checks on the loaded model that every module name of the spec has taken effect, before the first step.

peft adapts the names that match and drops the others silently. A plan makes this check where it knows the model's
modules; a model on a hub is known here first.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class UnmatchedModulesError(ValueError):
    """A name among the targets matches no module of the model."""


def refuse_unmatched(model: PreTrainedModel, targets: Iterable[str], additional: Iterable[str]) -> None:
    """Raise UnmatchedModulesError for a name in the adapter's targets, or in its additional modules, without a module.

    `model` is a peft model, also inside a value head. Nothing is checked on a model without adapters.
    """
    adapted = getattr(model, "pretrained_model", model)
    if not hasattr(adapted, "peft_config"):
        return
    targeted = list(getattr(adapted.base_model, "targeted_module_names", ()))
    _refuse("a target", targets, targeted, adapted)
    copied = [name.partition(".modules_to_save")[0] for name, _ in adapted.named_modules() if "modules_to_save" in name]
    _refuse("an additional module", additional, copied, adapted)


def _refuse(what: str, names: Iterable[str], matched: list[str], model: PreTrainedModel) -> None:
    for name in names:
        if not any(f".{module}".endswith(f".{name}") for module in matched):
            own = {module.rpartition(".")[2] for module, _ in model.named_modules()}
            close = get_close_matches(name, own, n=1)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            raise UnmatchedModulesError(f"{name!r} is {what} and the model has no such module{hint}")


def refuse_other_tensors(model: PreTrainedModel, folder: Path) -> None:
    """Raise UnmatchedModulesError if a checkpoint's tensors have other names than those that this model trains.

    The Trainer loads those that match and drops the others with a warning at most.
    """
    from safetensors import safe_open

    adapted = getattr(model, "pretrained_model", model)
    own, file = set(adapted.state_dict()), folder / "adapter_model.safetensors"
    if hasattr(adapted, "peft_config"):
        from peft import get_peft_model_state_dict

        own = set(get_peft_model_state_dict(adapted))
    files = [file] if file.is_file() else sorted(folder.glob("model*.safetensors"))
    given: set[str] = set()
    for one in files:
        with safe_open(one, framework="pt") as tensors:
            given |= set(tensors.keys())
    missing = own - given if file.is_file() else set()  # tied weights are saved once
    if different := sorted(missing | (given - own)):
        raise UnmatchedModulesError(
            f"the checkpoint to start from is of another model: {len(different)} tensors differ, such as {different[0]}"
        )
