"""Starting a training from a recipe on the page, and talking with what came of it."""

import json

import pytest

from ftsdk import JobSpec
from ftsdk.page.form import groups
from ftsdk.recipes import specfile
from tests.browser import Browser
from tests.page.test_page import Shown, client, page  # noqa: F401 - fixtures

RECIPE = "qwen2.5-0.5b-instruct-sft"


def form_of(recipe):
    return [*groups(JobSpec.model_json_schema(), specfile.load(recipe).spec.model_dump(mode="json"))]


@pytest.mark.parametrize(
    "recipe", ["qwen2.5-0.5b-instruct-sft", "llama-3.1-8b-instruct-sft-qlora", "glm-4-9b-0414-dpo"]
)
def test_every_value_in_the_form_is_one_that_set_takes(recipe):
    fields = [field for group in form_of(recipe) for field in group.fields]
    written = {
        field.key: f"[{field.value}]" if field.kind == "list" else field.value for field in fields if field.value
    }
    changes = [f"{key}={value}" for key, value in written.items()]
    assert len(changes) > 20
    assert specfile.load(recipe, changes=changes).spec == specfile.load(recipe).spec


def test_the_form_has_help_and_choices_from_the_schema():
    fields = {field.key: field for group in form_of(RECIPE) for field in group.fields}
    assert {"model", "dataset.train", "tuning.rank", "hyperparameters.learning_rate", "budget.max_cost_usd"} <= set(
        fields
    )
    assert {"freeze", "full", "lora", "oft", "qlora"} <= set(fields["tuning.type"].choices)
    assert all(fields[key].help for key in ("model", "hyperparameters.cutoff_len", "budget.max_cost_usd"))
    assert fields["resources.spot"].kind == "yes or no"


def test_what_is_wrong_in_the_form_is_a_sentence_and_creates_nothing(client, spec_folder, monkeypatch):  # noqa: F811
    monkeypatch.chdir(spec_folder)
    text = client.get("/new", params={"recipe": RECIPE}).text
    assert text.count("data-key=") > 30
    token = text.partition('name="form-token" content="')[2].partition('"')[0]
    headers = {"Origin": str(client.base_url).rstrip("/"), "X-Form-Token": token}
    good = ["model=./model", "dataset.train=train.jsonl", "dataset.eval=[]"]
    for body, words in (
        ({"recipe": "../../etc/passwd"}, "needs `recipe`, `backend` and `changes`"),
        ({"recipe": "../../etc/passwd", "backend": "local", "changes": []}, "no recipe"),
        ({"recipe": RECIPE, "backend": "moon", "changes": good}, "moon"),
        ({"recipe": RECIPE, "backend": "local", "changes": [*good, "tuning.rank=many"]}, "rank"),
        ({"recipe": RECIPE, "backend": "local", "changes": [*good, "dataset.train=none.jsonl"]}, "none.jsonl"),
        ({"recipe": RECIPE, "backend": "local", "changes": good}, "weights"),
    ):
        answer = client.post("/new/plan", json=body, headers=headers)
        assert (answer.status_code // 100, words in answer.json()["error"]) == (4, True), answer.text
    assert client.post("/new/plan", content=b"[", headers=headers).json()["error"] == "The request is no JSON object."
    assert '<tr class="job">' not in client.get("/rows").text


@pytest.mark.browser
@pytest.mark.trainer
def test_a_training_from_the_form_and_a_chat_with_its_model(page, tiny_folder, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tiny_folder)
    values = {
        "name": "made-here", "model": "./model", "dataset.train": "train.json", "dataset.eval": "",
        "hyperparameters.max_steps": "2", "hyperparameters.cutoff_len": "64", "hyperparameters.eval_steps": "",
        "hyperparameters.eval_strategy": "", "hyperparameters.bf16": "false", "resources.accelerator": "",
    }  # fmt: skip
    with Browser(tmp_path / "profile") as browser:
        shown = Shown(browser, page)
        shown.go(f"/new?recipe={RECIPE}")
        for key, value in values.items():
            browser.value(f"document.querySelector('[data-key=\"{key}\"]').value = {json.dumps(value)}")
        assert browser.value("document.getElementById('submit').disabled")
        browser.value("document.getElementById('plan').click()")
        shown.until("!document.getElementById('submit').disabled || document.getElementById('problem').textContent")
        assert browser.value("document.getElementById('problem').textContent") == ""
        assert "GiB" in browser.value("document.getElementById('estimate').textContent")
        browser.value("window.confirm = () => true; document.getElementById('submit').click()")
        shown.until("document.getElementById('state')?.textContent === 'SUCCEEDED'")
        uri = browser.value("new URLSearchParams(location.search).get('uri')")
        assert uri.startswith("local://made-here-")
        shown.go(f"/chat?uri={uri}")
        browser.value("form.elements.message.value = 'Hi'; form.requestSubmit()")
        shown.until("document.querySelector('.assistant') !== null || document.getElementById('problem').textContent")
        assert browser.value("document.getElementById('problem').textContent") == ""
        assert browser.value("messages.map((one) => one.role).join()") == "user,assistant"
        assert browser.problems == []
