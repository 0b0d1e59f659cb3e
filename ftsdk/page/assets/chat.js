"use strict";
// A conversation with a job's model; the page keeps it, the server does not.
const talk = document.getElementById("talk"), form = document.getElementById("message");
const token = document.querySelector("meta[name=form-token]").content;
const messages = [];

function show(role, text) {
  const line = document.createElement("p");
  line.className = role;
  line.textContent = text;
  talk.append(line);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = form.elements.message, button = form.querySelector("button"), problem = document.getElementById("problem");
  messages.push({ role: "user", content: input.value });
  show("user", input.value);
  [input.value, button.disabled, problem.textContent] = ["", true, ""];
  const headers = { "X-Form-Token": token, "Content-Type": "application/json" };
  const answer = await fetch("/chat", { method: "POST", headers, body: JSON.stringify({ uri: talk.dataset.uri, messages }) });
  const said = await answer.json();
  button.disabled = false;
  if (!answer.ok) { messages.pop(); problem.textContent = said.error; return; }
  messages.push({ role: "assistant", content: said.answer });
  show("assistant", said.answer);
});
