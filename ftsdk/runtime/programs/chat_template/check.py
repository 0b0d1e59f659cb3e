"""Checks the chat template inside the job, before weights are loaded: there the model's tokenizer is at hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ftsdk.runtime.chat_templates import sentences
from ftsdk.runtime.chat_templates.comparing import (
    MULTIMODAL,
    NamedTemplate,
    Needs,
    OwnTemplate,
    TemplateChoice,
    choose,
    differing_probe,
)
from ftsdk.runtime.chat_templates.rendering import render_probes
from ftsdk.runtime.programs.chat_template.table import fix_clock, read_templates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ftsdk.contract.foreign import JsonObject


class ChatTemplateError(ValueError):
    """No template of LLaMA-Factory composes the text of the model's own."""


def with_checked_template(config: JsonObject, contents: list[str]) -> JsonObject:
    """The configuration with a template that composes the text of the model's own, where it names none.

    `contents` says what the rows contain (see `JobDocument`). A named template that differs is kept, with a line in the
    log. Raises ChatTemplateError if none is named and none composes that text.
    """
    fix_clock()
    if config.get("stage") == "pt" or config.get("tool_format"):
        return config
    model = config["model_name_or_path"]
    tokenizer, shape = _tokenizer(config)
    if not isinstance(tokenizer.chat_template, str):
        return config
    media, text_only = frozenset(contents) - {"tools"}, not set(MULTIMODAL) & shape.keys()
    needs = Needs(tools="tools" in contents, media=media, text_only=text_only)
    own, table = _own_template(tokenizer), read_templates()
    choice = choose(own, table, needs, resembling=str(shape["model_type"]))
    if config.get("template"):
        _compare(config, own, table[config["template"]], needs, choice)
        return config
    if isinstance(choice, str):
        raise ChatTemplateError(sentences.refused(model, choice))
    if choice.name is None:
        _say(sentences.checked(choice))
        return config
    _say(sentences.chosen(model, choice, own))
    default_system = {} if choice.default_system is None else {"default_system": choice.default_system}
    return {**default_system, **config, "template": choice.name}


def _compare(
    config: JsonObject, own: OwnTemplate, named: NamedTemplate, needs: Needs, choice: TemplateChoice | str
) -> None:
    """Say whether the named template composes the text of the model's own."""
    default_system = config.get("default_system")
    differs = differing_probe(own, named, named.default_system if default_system is None else default_system, needs)
    name = config["template"]
    if differs is None:
        _say(sentences.checked_named(name))
        return
    _say(sentences.differs(name, config["model_name_or_path"], differs, sentences.better(choice)))


def _tokenizer(config: JsonObject) -> tuple[PreTrainedTokenizerBase, JsonObject]:
    """The model's tokenizer and its config.json."""
    from transformers import AutoConfig, AutoTokenizer

    source = config["model_name_or_path"]
    options = {
        "revision": config.get("model_revision") or "main",
        "trust_remote_code": bool(config.get("trust_remote_code")),
    }
    shape = AutoConfig.from_pretrained(source, **options).to_dict()
    return AutoTokenizer.from_pretrained(source, **options), shape


def _own_template(tokenizer: PreTrainedTokenizerBase) -> OwnTemplate:
    names = {name: str(value) for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
    return OwnTemplate(
        texts=render_probes(tokenizer.chat_template, names),
        bos=tokenizer.bos_token or "",
        eos=tokenizer.eos_token or "",
        prefix=tokenizer.decode(tokenizer.encode("")),
        reads_clock="strftime_now" in tokenizer.chat_template,
        special=frozenset(tokenizer.get_added_vocab()),
    )


def _say(sentence: str) -> None:
    if os.environ.get("RANK", "0") == "0":
        print(sentence, flush=True)  # noqa: T201
