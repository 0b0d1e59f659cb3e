"""A served model, called by OpenAI's own client and in the terminal."""

import subprocess
import sys

import pytest

from ftsdk.errors import FtsdkError, SpecError
from ftsdk.models.serving import serving

pytestmark = pytest.mark.trainer
QUESTION = [{"role": "user", "content": "sun moon river stone bird."}]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, tiny_folder):
    """An adapter with random weights, so that it answers otherwise than its base."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("adapter")
    config = LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_folder / "model"), config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def client(adapter):
    from openai import OpenAI

    with serving(str(adapter)) as server:
        yield OpenAI(base_url=server.base_url, api_key="any")


def ask(client, model="model", **settings):
    settings = {"max_tokens": 12, "temperature": 0, **settings}
    return client.chat.completions.create(model=model, messages=QUESTION, **settings)


def test_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["model", "base"]


def test_an_answer_is_that_of_generate(client, adapter, tiny_folder):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_folder / "model")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_folder / "model"), adapter)
    prompt = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    made = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    answer = ask(client)
    assert answer.choices[0].message.content == tokenizer.decode(made, skip_special_tokens=True)
    assert answer.usage.completion_tokens == len(made)
    assert answer.choices[0].finish_reason == ("length" if len(made) == 12 else "stop")


def test_a_stream_is_the_same_answer_in_parts(client):
    parts = list(ask(client, stream=True))
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == ask(client).choices[0].message.content
    assert [part.choices[0].finish_reason for part in parts].count(None) == len(parts) - 1


def test_the_base_model_gives_another_answer(client):
    assert ask(client, "base").choices[0].message.content != ask(client).choices[0].message.content
    assert ask(client).choices[0].message.content == ask(client).choices[0].message.content


def test_text_is_completed(client):
    done = client.completions.create(model="model", prompt="sun moon", max_tokens=5, temperature=0)
    assert done.choices[0].finish_reason in ("length", "stop")
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens


def test_mistakes_are_errors_of_the_client(client):
    import openai

    with pytest.raises(openai.NotFoundError, match="There is no model 'gpt'"):
        ask(client, "gpt")
    with pytest.raises(openai.BadRequestError, match="one answer is made"):
        ask(client, n=2)
    with pytest.raises(openai.BadRequestError, match="chat template refuses"):
        client.chat.completions.create(model="model", messages=[{"role": "user", "content": 5, "x": 1}, {"no": "role"}])


def test_a_port_in_use_is_reported_in_one_sentence(client, adapter):
    with (
        pytest.raises(FtsdkError, match=r"ended before it answered: .*in use"),
        serving(str(adapter), port=client.base_url.port),
    ):
        pass


def test_a_model_that_is_not_there_is_reported_in_one_sentence(tmp_path):
    with pytest.raises(SpecError, match="there is no such folder"), serving(str(tmp_path / "none")):
        pass


def test_chat_in_the_terminal(tiny_folder):
    """Two turns and a command, as typed; the second turn's prompt holds the first."""
    lines = "sun moon.\n/system be brief\n/base hello\nbird.\n/exit\n"
    command = [
        sys.executable,
        "-m",
        "ftsdk",
        "chat",
        str(tiny_folder / "model"),
        "--max-tokens",
        "4",
        "--temperature",
        "0",
    ]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300, check=True)
    assert "There is no model 'base' here; there is model." in done.stderr
    assert len(done.stdout.splitlines()) >= 2
