"use strict";
// A log of any length: lines are kept in memory, and only those in view are elements.
const HEIGHT = 20, MOST_PIXELS = 8_000_000, AHEAD = 400;
const log = document.getElementById("log"), count = document.getElementById("count");
const all = document.createElement("div");
const lines = [];
let cursor = "", isOver = false, isFull = true, busy = false;
all.className = "all";
log.append(all);

// Browsers limit an element's height: above it a pixel of the scroll bar stands for more than a pixel of text.
const pixels = () => Math.min(lines.length * HEIGHT, MOST_PIXELS);
const room = () => Math.max(1, pixels() - log.clientHeight);
const first = () => {
  const hidden = Math.max(0, lines.length - Math.floor(log.clientHeight / HEIGHT));
  return Math.round(Math.min(1, log.scrollTop / room()) * hidden);
};

function draw() {
  all.style.height = `${pixels()}px`;
  const from = first(), to = Math.min(lines.length, from + Math.ceil(log.clientHeight / HEIGHT) + 1);
  all.replaceChildren(...lines.slice(from, to).map((text, i) => {
    const line = document.createElement("div");
    line.className = "line";
    line.style.top = `${log.scrollTop + i * HEIGHT}px`;
    line.textContent = text;
    return line;
  }));
  count.textContent = lines.length.toLocaleString();
}

async function more() {
  if (busy) return;
  busy = true;
  try {
    const query = new URLSearchParams({ uri: log.dataset.uri, after: cursor, search: log.dataset.search });
    const answer = await fetch(`/lines?${query}`);
    const found = await answer.json();
    if (!answer.ok) { document.getElementById("problem").textContent = found.error; return; }
    for (const text of found.lines) lines.push(text);
    [cursor, isFull, isOver] = [found.cursor ?? cursor, found.is_full, found.is_over && !found.is_full];
  } finally { busy = false; }
}

async function onScroll() {
  draw();
  if (isFull && first() + AHEAD > lines.length) { await more(); draw(); }
}

async function toEnd() {
  do { await more(); } while (isFull);
  draw();
  log.scrollTop = log.scrollHeight;
  draw();
}

async function follow() {
  const atEnd = first() + log.clientHeight / HEIGHT + 1 >= lines.length;
  if (!isFull || !lines.length) { await more(); draw(); }
  if (atEnd && !isFull) { log.scrollTop = log.scrollHeight; draw(); }
  if (!isOver) setTimeout(follow, 1000);
}

log.addEventListener("scroll", onScroll);
addEventListener("resize", draw);
document.getElementById("end").addEventListener("click", toEnd);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input")) return;
  if (event.key === "/") { event.preventDefault(); document.querySelector("input[name=search]").focus(); }
  if (event.key === "G") toEnd();
});
more().then(() => { draw(); follow(); });
