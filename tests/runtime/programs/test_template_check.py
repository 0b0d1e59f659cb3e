"""The job compares the template that it trains with, by the real tokenizer and LLaMA-Factory's real templates."""

import json
import shutil

import pytest

from ftsdk.testing import tiny

pytestmark = pytest.mark.trainer

TURN = "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
NO_SYSTEM = tiny.CHAT.replace(
    TURN, "{% if m['role'] == 'system' %}{{ raise_exception('no system prompt') }}{% endif %}" + TURN
)


def model_with(folder, tiny_folder, chat_template):
    shutil.copytree(tiny_folder / "model", folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": chat_template}))
    return {"stage": "sft", "model_name_or_path": str(folder)}


def test_the_job_chooses_refuses_and_says(tmp_path, tiny_folder, capsys):
    from ftsdk.runtime.programs.chat_template.check import ChatTemplateError, with_checked_template

    own = {"stage": "sft", "model_name_or_path": str(tiny_folder / "model")}
    assert with_checked_template(own, []) == own
    assert "template: the model's own, checked on 6 conversations" in capsys.readouterr().out

    no_system = model_with(tmp_path / "no-system", tiny_folder, NO_SYSTEM)
    assert (
        with_checked_template(no_system, [])["template"] == "yi"
    )  # ChatML, and the first of those that LLaMA-Factory has
    assert "template: yi is used" in capsys.readouterr().out

    assert with_checked_template({**own, "template": "llama3"}, [])["template"] == "llama3"
    assert "template llama3 does not write what the chat template of" in capsys.readouterr().out

    unknown = model_with(tmp_path / "unknown", tiny_folder, NO_SYSTEM.replace("im_start", "start"))
    with pytest.raises(ChatTemplateError, match="in a conversation with one turn it writes"):
        with_checked_template(unknown, [])
