"use strict";
// A job's report, and its buttons.
const report = document.getElementById("report");
const token = document.querySelector("meta[name=form-token]").content;

async function load() {
  const answer = await fetch(`/job/report?${new URLSearchParams({ uri: report.dataset.uri })}`);
  if (!answer.ok) { report.textContent = (await answer.json()).error; return; }
  report.innerHTML = await answer.text(); // the report's own HTML, escaped where it is made
  const zoom = document.createElement("script"); // binds to the charts that stand there when it runs
  zoom.src = "/assets/report.js";
  document.head.append(zoom);
}

for (const button of document.querySelectorAll("button[data-post]")) {
  button.addEventListener("click", async () => {
    if (!confirm(button.dataset.confirm)) return;
    const answer = await fetch(button.dataset.post, { method: "POST", headers: { "X-Form-Token": token } });
    const said = await answer.json();
    if (answer.ok) location.href = `/job?${new URLSearchParams({ uri: said.uri })}`;
    else document.getElementById("problem").textContent = said.error;
  });
}
load();
