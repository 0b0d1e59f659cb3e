"""The template that a training gets, checked against the model's own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftsdk.engines.base import Arguments
from ftsdk.engines.llamafactory.templates import known_templates
from ftsdk.errors import SpecError
from ftsdk.runtime.chat_templates import sentences
from ftsdk.runtime.chat_templates.comparing import MULTIMODAL, Needs, choose, differing_probe
from ftsdk.spec import JobSpec

if TYPE_CHECKING:
    from ftsdk.facts import Facts, ModelFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTemplate:
    """LLaMA-Factory's arguments for the template, and what is to say about it."""

    arguments: Arguments
    checked: str = ""
    """What was compared; empty if nothing could be."""
    warnings: tuple[str, ...] = ()


def checked_template(spec: JobSpec, facts: Facts) -> CheckedTemplate:
    """The template of a training.

    Raises SpecError if none is named and none composes the text of the model's own chat template.
    """
    given, own, model = spec.hyperparameters, facts.model.chat_template, facts.model.base
    if own is None or spec.method.stage == "pt" or given.passed_through.get("tool_format"):
        return CheckedTemplate(arguments={})
    needs, default_system = needs_of(facts), given.passed_through.get("default_system")
    if given.template is not None:
        return _named(given.template, spec, facts, needs)
    resembling = str((facts.model.config or {}).get("model_type", ""))
    choice = choose(own, known_templates(), needs, resembling=resembling)
    if isinstance(choice, str):
        raise SpecError(sentences.refused(model, choice))
    if choice.name is None:
        return CheckedTemplate(arguments={}, checked=sentences.checked(choice))
    arguments: Arguments = {"template": choice.name}
    if default_system is None and choice.default_system is not None:
        arguments["default_system"] = choice.default_system
    chosen = sentences.chosen(model, choice, own)
    return CheckedTemplate(arguments=arguments, checked=sentences.checked(choice), warnings=(chosen,))


def refuse_unfit(config: Mapping[str, object], model: ModelFacts) -> None:
    """Raise SpecError for a named template with which LLaMA-Factory cannot read the rows."""
    name = config.get("template")
    named = known_templates()[str(name)] if name else None
    if named and named.efficient_eos and config.get("train_on_prompt"):
        raise SpecError(
            f"hyperparameters.train_on_prompt: template {name} has one end of text after all turns, so prompts "
            f"cannot be learned with it; leave train_on_prompt out, or name another template."
        )
    if named and "image" in named.media_tokens and reads_text_alone(model):
        raise SpecError(
            f"hyperparameters.template: {name} is for models that see images, and {model.address} has no inputs for "
            f"them; name the template of the text model, or leave it out."
        )


def needs_of(facts: Facts) -> Needs:
    """What the rows contain beside questions and answers."""
    contents = {kind for source in facts.train for kind in source.contents}
    media = frozenset(contents - {"tools"})
    return Needs(tools="tools" in contents, media=media, text_only=reads_text_alone(facts.model))


def reads_text_alone(model: ModelFacts) -> bool:
    """Whether the model has no inputs for media; false for one whose config.json is not on this machine."""
    return model.config is not None and not set(MULTIMODAL) & model.config.keys()


def _named(name: str, spec: JobSpec, facts: Facts, needs: Needs) -> CheckedTemplate:
    """The template that the user names; a difference is a warning."""
    named, own = known_templates()[name], facts.model.chat_template
    assert own is not None
    given = spec.hyperparameters.passed_through.get("default_system")
    default_system = named.default_system if given is None else str(given)
    differs = differing_probe(own, named, default_system, needs)
    if differs is None:
        return CheckedTemplate(arguments={}, checked=sentences.checked_named(name))
    return CheckedTemplate(arguments={}, warnings=tuple(_difference(name, differs, facts, needs)))


def _difference(name: str, probe: str, facts: Facts, needs: Needs) -> Iterator[str]:
    own, known = facts.model.chat_template, known_templates()
    assert own is not None
    choice = choose(own, known, needs, resembling=name)
    yield sentences.differs(name, facts.model.base, probe, sentences.better(choice))
