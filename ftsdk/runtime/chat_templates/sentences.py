"""What launcher and job say about a chat template, in the same words."""

from __future__ import annotations

from ftsdk.runtime.chat_templates.comparing import DESCRIBED, OwnTemplate, TemplateChoice, shown


def refused(model: str, difference: str) -> str:
    """Nothing composes the text of the model's own template."""
    return (
        f"The chat template of {model} is not what LLaMA-Factory makes of it: {difference}; name the template "
        f"to train with in hyperparameters.template, which then differs from the model's."
    )


def chosen(model: str, choice: TemplateChoice, own: OwnTemplate) -> str:
    """A named template is used although the user named none."""
    text = (
        f"template: {choice.name} is used: LLaMA-Factory misreads the chat template of {model}, and this one composes "
        f"its text ({choice.num_probes} conversations compared)"
    )
    if choice.default_system:
        date = ", the date fixed, so that a resume on another day sees the same" if own.reads_clock else ""
        text += f", with the system prompt “{shown(choice.default_system)}” for rows without one{date}"
    if choice.left_out:
        text += f"; before a row's own system prompt it leaves out “{shown(choice.left_out)}”"
    return text + "."


def checked(choice: TemplateChoice) -> str:
    """What was compared."""
    name = "the model's own" if choice.name is None else f"{choice.name}, which writes the model's own text"
    return f"template: {name}, checked on {choice.num_probes} conversations"


def checked_named(name: str) -> str:
    """The template that the user names agrees."""
    return f"template: {name}, which writes the model's own text"


def differs(name: str, model: str, probe: str, better: str | None) -> str:
    """The template that the user names does not agree with the model's own."""
    advice = f"; {better} trains on the model's own text" if better else ""
    return (
        f"template {name} does not write what the chat template of {model} writes in a conversation with "
        f"{DESCRIBED[probe.removeprefix('system_')]}: serving the model with its own template will differ from the "
        f"training{advice}."
    )


def better(choice: TemplateChoice | str) -> str | None:
    """What writes the model's own text; None if nothing does."""
    return None if isinstance(choice, str) else choice.name or "leaving it out"
