"use strict";
// The form of a recipe: only what was changed is sent, and only a plan that was seen can be submitted.
const spec = document.getElementById("spec"), submit = document.getElementById("submit");
const problem = document.getElementById("problem"), estimate = document.getElementById("estimate");
const token = document.querySelector("meta[name=form-token]").content;

function body() {
  const inputs = [...spec.querySelectorAll("[data-key]")].filter((input) => input.value !== input.dataset.value);
  const written = (input) => (input.dataset.kind === "list" ? `[${input.value}]` : input.value || "null");
  const changes = inputs.map((input) => `${input.dataset.key}=${written(input)}`);
  return JSON.stringify({ recipe: spec.dataset.recipe, backend: document.getElementById("backend").value, changes });
}

async function post(path) {
  problem.textContent = "";
  const headers = { "X-Form-Token": token, "Content-Type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body: body() });
  const said = await answer.json();
  if (!answer.ok) problem.textContent = said.error;
  return answer.ok ? said : null;
}

function box(name, text) {
  const div = document.createElement("div"), span = document.createElement("span"), b = document.createElement("b");
  span.textContent = name;
  b.textContent = text;
  div.append(span, b);
  return div;
}

spec?.addEventListener("submit", async (event) => {
  event.preventDefault();
  submit.disabled = true;
  const said = await post("/new/plan");
  estimate.replaceChildren(...(said ? [["job", said.uri], ...said.lines].map((line) => box(...line)) : []));
  document.getElementById("warnings").replaceChildren(...(said?.warnings ?? []).map((sentence) => {
    const item = document.createElement("li");
    item.textContent = sentence;
    return item;
  }));
  submit.disabled = !said;
});
spec?.addEventListener("input", () => { submit.disabled = true; });
submit?.addEventListener("click", async () => {
  if (!confirm(spec.dataset.confirm)) return;
  submit.disabled = true;
  const said = await post("/new/submit");
  if (said) location.href = `/job?${new URLSearchParams({ uri: said.uri })}`;
});
