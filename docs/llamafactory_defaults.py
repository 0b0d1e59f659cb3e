"""The table in docs/llamafactory.md of arguments that mean something else than in LLaMA-Factory where a file is silent.

python -m docs.llamafactory_defaults     write the table between its markers
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parent / "llamafactory.md"
BEGIN = "<!-- Made by `python -m docs.llamafactory_defaults` -->"
END = "<!-- end -->"


class Default(NamedTuple):
    """What a silent file means there and here."""

    theirs: Any
    ours: Any
    why: str


DIFFERENT: dict[str, Default] = {
    "logging_steps": Default(500, 10, "a short training would log nothing"),
    "eval_strategy": Default("no", "epoch", "rows that are held out are evaluated; `eval_steps` makes it `steps`"),
    "per_device_eval_batch_size": Default(8, 8, "the training's batch size, whatever it is"),
    "save_strategy": Default("steps", "no", "checkpoints follow `checkpoint`, here `auto`; `save_steps` sets a number"),
    "save_total_limit": Default(None, 2, "as many committed checkpoints stay as `checkpoint.keep` says; older ones go"),
    "include_num_input_tokens_seen": Default("no", "non_padding", "for tokens per second; packed rows: `all`"),
    "logging_nan_inf_filter": Default(True, False, "a NaN loss ends the job and is not averaged away"),
    "restore_callback_states_from_checkpoint": Default(False, True, "early stopping goes on counting after a restart"),
    "disable_tqdm": Default(None, True, "progress comes from metric lines"),
}
"""Argument -> the default of transformers or LLaMA-Factory, that of ftsdk, and why."""


def table() -> str:
    """The table with its markers."""
    rows = [
        f"| `{name}` | {_shown(each.theirs)} | {_shown(each.ours)} | {each.why} |" for name, each in DIFFERENT.items()
    ]
    head = ["| argument, if the file leaves it out | in LLaMA-Factory | here | why |", "| --- | --- | --- | --- |"]
    return "\n".join([BEGIN, *head, *rows, END])


def _shown(value: Any) -> str:
    return "–" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> None:
    """Write the table."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(before + table() + rest.partition(END)[2], "utf-8")


if __name__ == "__main__":
    main()
