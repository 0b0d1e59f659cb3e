"""Drives TRL 0.24's PPOTrainer (LLaMA-Factory's own cannot start with the TRL that its other methods need).

Its loop keeps no state that another process could resume from, so an interruption ends it without a checkpoint.
"""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk.runtime import overlays
from ftsdk.runtime.programs.data.prompts import PromptRow
from ftsdk.runtime.programs.heartbeat import HEARTBEAT, heartbeat_callback
from ftsdk.runtime.programs.interruption import InterruptedTraining, StopRequest
from ftsdk.runtime.programs.model.parts import keep_sentencepiece
from ftsdk.runtime.programs.session import session
from ftsdk.runtime.worker_protocol import Phase, TrainJob

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor, nn
    from transformers import (
        BatchEncoding,
        PreTrainedModel,
        PreTrainedTokenizerBase,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
    )
    from trl import PPOTrainer

    from ftsdk.contract.programs import ModelSource, ReinforcementConfig
    from ftsdk.runtime.programs.rewards import Reward


class TokenizedPrompt(PromptRow):
    """A row of the training's data."""

    input_ids: list[int]


def train(job: TrainJob, stop: StopRequest) -> None:
    """Train as the job document says."""
    sys.path.append(str(overlays.overlay("rl")))  # for math-verify alone: the environment's packages take precedence
    HEARTBEAT.enter(Phase.LOADING)
    with session(job["document"]):
        import llamafactory.extras.packages  # noqa: F401  # lets TRL 0.24 import beside transformers 5

        trainer = build(job, stop)
        trainer.train()
        trainer.save_model(job["output"])
        keep_sentencepiece(job["document"]["config"], Path(job["output"]))


def build(job: TrainJob, stop: StopRequest) -> PPOTrainer:
    """The trainer, ready to train."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import PPOConfig, PPOTrainer

    from ftsdk.runtime.programs.trl import config_of, model_arguments, peft_config

    config = config_of(job)
    source = config.get("adapter_name_or_path") or config["model_name_or_path"]
    tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left", revision=config.get("model_revision"))
    if tokenizer.pad_token is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.add_special_tokens(
            {"pad_token": tokenizer.unk_token or "<|pad|>"}
        )  # it must differ from the EOS token
    policy = AutoModelForCausalLM.from_pretrained(config["model_name_or_path"], **model_arguments(config))
    policy = _fitted(_merged(policy, config.get("adapter_name_or_path")), tokenizer)
    rows = _tokenized(job, tokenizer)
    batches: deque[list[TokenizedPrompt]] = deque()
    return PPOTrainer(
        args=PPOConfig(
            **{
                **config["arguments"],
                "output_dir": job["output"],
                "save_strategy": "no",
                "disable_tqdm": True,
                "remove_unused_columns": False,
            }
        ),
        processing_class=tokenizer,
        model=policy,
        ref_model=None,
        reward_model=_reward_module(config, tokenizer, batches),
        value_model=_value_model(config, tokenizer),
        train_dataset=rows,
        eval_dataset=rows.select(range(1)),  # required for a data loader that is never used
        data_collator=_Collator(tokenizer, batches),
        callbacks=_callbacks(job, stop),
        peft_config=peft_config(config),
    )


# --- models -------------------------------------------------------------------------------------------------
def _merged(model: PreTrainedModel, adapter: str | None) -> PreTrainedModel:
    """The model with an adapter merged into it: PPO adds new adapters on top."""
    if adapter is None:
        return model
    from peft import PeftConfig, PeftModel

    config = PeftConfig.from_pretrained(adapter)
    config.task_type = None  # a reward model is not a causal model, but its adapter was trained as one's
    return PeftModel.from_pretrained(model, adapter, config=config).merge_and_unload()


def _fitted(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def _scorer(settings: ModelSource, dtype: str) -> PreTrainedModel:
    """A model with one output for each token."""
    from transformers import AutoModelForSequenceClassification

    base, adapter = settings["model_name_or_path"], settings.get("adapter_name_or_path")
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=dtype)
    return _with_value_head(_merged(model, adapter), adapter or base)


def _with_value_head(model: PreTrainedModel, folder: str) -> PreTrainedModel:
    """The head of LLaMA-Factory's `rm` stage (`value_head.safetensors`), if the folder has one."""
    import torch
    from safetensors.torch import load_file

    path = Path(folder, "value_head.safetensors")
    if path.is_file():
        weights = load_file(path)
        score = torch.nn.Linear(model.score.in_features, 1, dtype=model.score.weight.dtype)
        score.load_state_dict({name: weights[f"v_head.summary.{name}"] for name in ("weight", "bias")})
        model.score = score
    return model


def _value_model(config: ReinforcementConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A copy of the reward model, as in TRL's examples, or else the policy with a new head that outputs 0."""
    import torch

    if config.get("reward_model"):
        return _fitted(_scorer(config["reward_model"], "float32"), tokenizer)
    policy: ModelSource = {"model_name_or_path": config["model_name_or_path"]}
    model = _fitted(_scorer(policy, "float32"), tokenizer)
    torch.nn.init.zeros_(model.score.weight)
    return model


# --- rewards ------------------------------------------------------------------------------------------------
class _Collator:
    """Makes batches of padded prompts, and queues their rows for the rewards of the answers."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, batches: deque[list[TokenizedPrompt]]) -> None:
        self._tokenizer, self._batches = tokenizer, batches

    def __call__(self, rows: list[TokenizedPrompt]) -> BatchEncoding:
        self._batches.append(rows)
        return self._tokenizer.pad({"input_ids": [row["input_ids"] for row in rows]}, return_tensors="pt")


def _reward_module(
    config: ReinforcementConfig, tokenizer: PreTrainedTokenizerBase, batches: deque[list[TokenizedPrompt]]
) -> nn.Module:
    """The module that TRL takes its scores from; `get_reward` is replaced so that reward functions count too."""
    import torch
    from trl.trainer import ppo_trainer

    from ftsdk.runtime.programs import rewards

    functions = [rewards.Reward(settings) for settings in config["rewards"]]
    model = _fitted(_scorer(config["reward_model"], config["dtype"]), tokenizer) if config.get("reward_model") else None
    reward_module = model if model is not None else torch.nn.Module()
    original = ppo_trainer.get_reward
    queue: deque[TokenizedPrompt] = deque()

    def get_reward(
        module: nn.Module, tokens: Tensor, pad: int, start: int
    ) -> tuple[Tensor | None, Tensor, Tensor | None]:
        if module is not reward_module:
            scored: tuple[Tensor, Tensor, Tensor] = original(module, tokens, pad, start)
            return scored
        score = original(model, tokens, pad, start)[1] if model is not None else 0
        while len(queue) < len(tokens):
            queue.extend(batches.popleft())
        rows = [queue.popleft() for _ in range(len(tokens))]
        if functions:
            score = score + _scores(functions, rows, tokens[:, start:], tokenizer).to(tokens.device)
        return None, score, None

    ppo_trainer.get_reward = get_reward
    return reward_module


def _scores(
    functions: list[Reward], rows: list[TokenizedPrompt], answers: Tensor, tokenizer: PreTrainedTokenizerBase
) -> Tensor:
    """The weighted sum of each answer's scores; None counts as 0."""
    import torch

    from ftsdk.runtime.programs.rewards import COLUMNS, ROW

    ids = [[token for token in answer if token != tokenizer.pad_token_id] for answer in answers.tolist()]
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    columns = {COLUMNS: [row[COLUMNS] for row in rows], ROW: [row[ROW] for row in rows]}
    total = torch.zeros(len(rows))
    for function in functions:
        scores = function([row["prompt"] for row in rows], texts, ids, **columns)
        total += function.weight * torch.tensor([score or 0.0 for score in scores])
    return total


# --- data and callbacks -------------------------------------------------------------------------------------
def _tokenized(job: TrainJob, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    from ftsdk.runtime.programs.data import prompts

    rows, _ = prompts.read(job["document"], chat=tokenizer.chat_template is not None)

    def tokens(row: PromptRow) -> dict[str, list[int]]:
        if isinstance(row["prompt"], str):
            return {"input_ids": tokenizer(row["prompt"])["input_ids"]}
        text = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
        return {"input_ids": tokenizer(text, add_special_tokens=False)["input_ids"]}

    return rows.map(tokens, load_from_cache_file=False)


def _callbacks(job: TrainJob, stop: StopRequest) -> list[TrainerCallback]:
    from transformers import TrainerCallback

    from ftsdk.runtime.programs.generations import RewardMetricsCallback

    class StopCallback(TrainerCallback):  # type: ignore[misc]
        """Stops after the current step on a request: there is nothing to save."""

        def on_train_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
        ) -> None:
            stop.training = True

        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
        ) -> None:
            if stop.received and state.global_step < state.max_steps:
                raise InterruptedTraining

    return [StopCallback(), RewardMetricsCallback(job), heartbeat_callback()]
