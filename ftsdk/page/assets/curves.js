"use strict";
// Curves of one job or of several over each other, asked for once a second while a job runs.
const SVG = "http://www.w3.org/2000/svg", WIDTH = 880, HEIGHT = 240, LEFT = 60, RIGHT = 870, TOP = 10, BOTTOM = 210;
const CHARTS = [["loss", "eval_loss"], ["reward", "eval_reward"], ["learning_rate"], ["grad_norm"], ["tokens_per_s"],
  ["gpu_memory_gib"]];
const place = document.getElementById("curves");
const jobs = JSON.parse(place.dataset.uris).map((uri) => ({ uri, known: 0, records: new Map(), isOver: false }));

function make(kind, values, ...children) {
  const node = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function points(job, name) {
  return [...job.records.values()].filter((row) => Number.isFinite(row[name])).map((row) => [row.step, row[name]])
    .sort((a, b) => a[0] - b[0]);
}

function series(names) {
  return jobs.flatMap((job, number) => names.map((name, held) => ({
    label: jobs.length > 1 ? `${job.uri.split("/").pop()} ${name}` : name,
    kind: `c${(jobs.length > 1 ? number : held) % 8}${held && jobs.length > 1 ? " held" : ""}`,
    points: points(job, name),
  }))).filter((one) => one.points.length);
}

function drawing(title, lines) {
  const all = lines.flatMap((line) => line.points);
  let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of all) { x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y); }
  if (x0 === x1) { x0 -= 0.5; x1 += 0.5; }
  if (y0 === y1) { y0 -= 0.5; y1 += 0.5; }
  const x = (step) => LEFT + (step - x0) / (x1 - x0) * (RIGHT - LEFT);
  const y = (value) => BOTTOM - (value - y0) / (y1 - y0) * (BOTTOM - TOP);
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
  for (let i = 0; i < 5; i++) {
    const value = y0 + i / 4 * (y1 - y0), step = x0 + i / 4 * (x1 - x0);
    svg.append(make("line", { class: "grid", x1: LEFT, x2: RIGHT, y1: y(value), y2: y(value) }));
    svg.append(make("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value.toPrecision(4)));
    svg.append(make("text", { x: x(step), y: BOTTOM + 20, "text-anchor": "middle" }, step.toFixed(0)));
  }
  for (const line of lines) {
    const every = Math.max(1, Math.ceil(line.points.length / 2000));
    const kept = line.points.filter((_, i) => i % every === 0 || i === line.points.length - 1);
    const path = kept.map((point) => `${x(point[0]).toFixed(1)},${y(point[1]).toFixed(1)}`).join(" ");
    svg.append(make("polyline", { class: line.kind, points: path }));
  }
  return svg;
}

function draw() {
  place.replaceChildren(...CHARTS.map((names) => [names, series(names)]).filter(([, lines]) => lines.length)
    .map(([names, lines]) => {
      const figure = document.createElement("figure"), keys = document.createElement("figcaption");
      const title = document.createElement("strong");
      title.textContent = names[0];
      for (const line of lines) {
        const key = document.createElement("span");
        key.className = `key ${line.kind}`;
        key.textContent = `● ${line.label} ${line.points.at(-1)[1].toPrecision(4)}`;
        keys.append(key);
      }
      figure.dataset.metric = names[0];
      figure.append(title, drawing(names[0], lines), keys);
      return figure;
    }));
  const last = [...jobs[0]?.records.values() ?? []].at(-1), step = document.getElementById("step");
  if (step && last) step.textContent = last.total_steps ? `${last.step}/${last.total_steps}` : last.step;
}

async function look(job) {
  const query = new URLSearchParams({ uri: job.uri, after: job.known });
  const answer = await fetch(`/metrics?${query}`);
  if (!answer.ok) return false;
  const found = await answer.json();
  for (const row of found.records) job.records.set(`${row.step} ${"eval_loss" in row} ${"train_loss" in row}`, row);
  job.isOver = found.is_over && found.known === job.known;
  job.known = found.known;
  const state = document.getElementById("state");
  if (state && state.textContent !== found.state) {
    if (found.is_over) location.reload(); // other buttons, the outcome, the report
    state.textContent = found.state;
    state.className = `state ${found.state}`;
  }
  return found.records.length > 0;
}

async function round() {
  const open = jobs.filter((job) => !job.isOver);
  try {
    const news = await Promise.all(open.map(look));
    if (news.some(Boolean)) draw();
  } catch { /* the server is gone or busy: the next round asks again */ }
  if (open.length) setTimeout(round, 1000);
}
round();
