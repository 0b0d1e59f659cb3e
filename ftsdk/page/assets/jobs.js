"use strict";
// The list of jobs: filter, keys, and new rows every five seconds.
const body = document.getElementById("jobs"), filter = document.getElementById("filter");
const compare = document.getElementById("compare");
const shown = () => [...body.querySelectorAll("tr.job")].filter((row) => !row.hidden);

function apply() {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const row of body.querySelectorAll("tr.job")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  compare.disabled = !body.querySelector("input:checked");
}

function move(by) {
  const rows = shown(), at = rows.indexOf(document.activeElement.closest("tr.job"));
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
  if (next) next.querySelector("a").focus();
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch("/rows");
  if (!answer.ok) return;
  const chosen = new Set([...body.querySelectorAll("input:checked")].map((box) => box.value));
  const focused = document.activeElement.closest("tr.job")?.querySelector("input").value;
  const isBox = document.activeElement.type === "checkbox";
  body.innerHTML = await answer.text(); // the server's own template, escaped there
  for (const box of body.querySelectorAll("input")) {
    box.checked = chosen.has(box.value);
    if (box.value === focused) (isBox ? box : box.closest("tr").querySelector("a")).focus();
  }
  apply();
}

filter.addEventListener("input", apply);
body.addEventListener("change", apply);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=search]") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); filter.focus(); }
  if (event.key === "j") move(1);
  if (event.key === "k") move(-1);
});
setInterval(refresh, 5000);
apply();
