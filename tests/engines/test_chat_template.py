"""The model's own chat template is compared with what LLaMA-Factory composes, and never asserted."""

import json
import re
from importlib import resources
from pathlib import Path

import pytest

from ftsdk.backends import get
from ftsdk.engines.llamafactory.templates import known_templates
from ftsdk.errors import SpecError
from ftsdk.facts import inspect
from ftsdk.recipes import catalogue, specfile
from ftsdk.runtime.chat_templates.comparing import Needs, OwnTemplate, TemplateChoice, choose, differing_probe
from ftsdk.runtime.chat_templates.rendering import render_probes
from ftsdk.runtime.overlays import overlay
from ftsdk.spec.loading import parse
from ftsdk.testing import tiny
from tests.engines.test_advice import tokenizer

TEMPLATES = Path(overlay("rl"), "trl", "chat_templates")
LLAMA = ("<|begin_of_text|>", "<|eot_id|>")
GEMMA = ("<bos>", "<eos>")
QWEN = ("", "<|im_end|>")
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
DATE = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"


def own(text, bos="", eos="", special=()):
    texts = render_probes(text, {"bos_token": bos, "eos_token": eos})
    return OwnTemplate(
        texts=texts, bos=bos, eos=eos, prefix=bos, reads_clock="strftime_now" in text, special=frozenset(special)
    )


def family(name, tokens=QWEN):
    """TRL's copy of a family's chat template."""
    return own((TEMPLATES / f"{name}.jinja").read_text("utf-8"), *tokens)


@pytest.mark.trainer
@pytest.mark.parametrize(
    ("name", "tokens", "kind", "chosen", "default_system"),
    [
        ("qwen2_5", QWEN, "qwen2", None, None),
        ("qwen3", QWEN, "qwen3", None, None),
        ("qwen3_instruct_2507", QWEN, "qwen3", None, None),
        ("llama3", LLAMA, "llama", None, None),
        ("llama3_1", LLAMA, "llama", "llama3", DATE),
        ("llama3_2", LLAMA, "llama", "llama3", DATE),
        ("gemma", GEMMA, "gemma2", "gemma", None),
        ("gemma3", GEMMA, "gemma3", "gemma3", None),
        ("deepseek_r1_distill", DEEPSEEK, "qwen2", "deepseekr1", None),
        ("qwen3_5_think", QWEN, "qwen3_5", "qwen3_5", None),
    ],
)
def test_the_template_with_the_same_text_is_chosen(name, tokens, kind, chosen, default_system):
    choice = choose(family(name, tokens), known_templates(), Needs(), resembling=kind)
    assert isinstance(choice, TemplateChoice), choice
    assert (choice.name, choice.default_system) == (chosen, default_system)


CHECKED = re.compile(r"# Template: (the model's own|(\w+)).*\((\w+) of TRL")
TOKENS = {"llama": LLAMA, "gemma": GEMMA, "deepseek": DEEPSEEK, "qwen": QWEN}


def checked_recipes():
    for recipe in catalogue.each():
        found = CHECKED.search(catalogue.path_of(recipe.name).read_text("utf-8"))
        if found:
            yield recipe.name, found[2], found[3]


@pytest.mark.trainer
@pytest.mark.parametrize(("recipe", "named", "copy"), list(checked_recipes()))
def test_a_recipe_was_checked_as_it_says(recipe, named, copy):
    given = specfile.load(recipe).spec.hyperparameters
    tokens = next(tokens for start, tokens in TOKENS.items() if copy.startswith(start))
    assert given.template == named
    if named is None:
        choice = choose(family(copy, tokens), known_templates(), Needs())
        assert isinstance(choice, TemplateChoice)
        assert choice.name is None
        return
    template = known_templates()[named]
    default_system = given.passed_through.get("default_system", template.default_system)
    differs = differing_probe(family(copy, tokens), template, default_system, Needs())
    assert differs == ("system" if default_system == DATE else None)  # Llama's date before a row's own system prompt


def test_a_recipe_says_how_its_template_was_checked():
    for recipe in catalogue.each():
        text = catalogue.path_of(recipe.name).read_text("utf-8")
        stage = specfile.load(recipe.name).spec.method.stage
        assert "# Template: " in text or stage in ("pt", "grpo", "dapo"), recipe.name


@pytest.mark.trainer
def test_tool_calls_need_the_named_template():
    choice = choose(family("qwen2_5"), known_templates(), Needs(tools=True), resembling="qwen2")
    assert isinstance(choice, TemplateChoice)
    assert (choice.name, choice.num_probes) == ("qwen", 8)
    assert "“\\n\\n# Tools" in str(choose(family("qwen3_5_think"), known_templates(), Needs(tools=True)))


@pytest.mark.trainer
def test_a_chat_template_that_llamafactory_lacks_is_refused():
    difference = choose(family("gptoss"), known_templates(), Needs())
    assert str(difference).startswith("in a conversation with two turns it writes “")


def test_images_need_a_template_with_their_token():
    vision = own(tiny.CHAT, eos="<|im_end|>", special=("<|im_end|>", "<|image_pad|>", "<|video_pad|>"))
    images = Needs(media=frozenset({"image"}))
    choice = choose(vision, known_templates(), images, resembling="qwen2_5_vl")
    assert isinstance(choice, TemplateChoice)
    assert choice.name == "qwen2_vl"
    text = own(tiny.CHAT, eos="<|im_end|>", special=("<|im_end|>",))
    refusal = "template intern_s1 has its text, and the model's tokenizer has no token <image>"
    assert choose(text, known_templates(), images) == refusal


@pytest.fixture
def planned(spec_folder):
    def plan(chat_template, **fields):
        tokenizer(spec_folder / "model", chat_template=chat_template)
        spec = parse({"model": "./model", "dataset": "train.jsonl", **fields}, where="t")
        return get("local", {}).plan(spec, inspect(spec, folder=spec_folder))

    return plan


def test_a_plan_says_what_was_checked(planned):
    plan = planned(tiny.CHAT)
    assert plan.checked == "template: the model's own, checked on 6 conversations"
    assert "template" not in plan.trainer_config
    assert planned(tiny.CHAT, template="chatml").checked == "template: chatml, which writes the model's own text"


def test_a_plan_names_the_template_that_it_uses(planned, spec_folder):
    row = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
           "tools": '[{"name": "f", "description": "", "parameters": {}}]'}  # fmt: skip
    (spec_folder / "train.jsonl").write_text(json.dumps(row) + "\n")
    with_tools = tiny.CHAT.replace("{% for m", "{% if tools %}{{ tools | tojson }}{% endif %}{% for m")
    with pytest.raises(SpecError, match="in a conversation with tools it writes"):
        planned(with_tools)
    assert "in a conversation with tools" in planned(with_tools, template="chatml").warnings[-1]


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(x='aaaaaaaa') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{{ ''.__class__.__mro__ }}",
        "{% if %}",
    ],
)
def test_a_template_is_rendered_within_limits(planned, template):
    with pytest.raises(SpecError, match="cannot be rendered on a question and its answer"):
        planned(template)


@pytest.mark.trainer
def test_the_table_is_that_of_the_installed_release():
    from ftsdk.engines.llamafactory.templates import read_table

    table = json.loads(resources.files("ftsdk.engines.llamafactory").joinpath("templates.json").read_text("utf-8"))
    assert json.loads(json.dumps(read_table())) == table
