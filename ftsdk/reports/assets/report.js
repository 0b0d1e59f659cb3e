"use strict";
// Zoom: drag over a chart to choose steps, double-click to see all. Without JavaScript the charts are still drawn.
for (const figure of document.querySelectorAll("figure[data-left]")) {
  const svg = figure.querySelector("svg"), shown = figure.querySelector("figcaption output");
  const box = Object.fromEntries(["left", "right", "top", "bottom"].map((k) => [k, +figure.dataset[k]]));
  const series = JSON.parse(figure.querySelector("script").textContent);
  const points = series.flatMap((one) => one.points);
  const every = [Math.min(...points.map((p) => p[0])), Math.max(...points.map((p) => p[0]))];
  const number = (v) => (Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-3) ? v.toExponential(2) : String(+v.toPrecision(4)));
  let range = every, start = null;

  const atX = (event) => {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
    const share = (Math.min(box.right, Math.max(box.left, place)) - box.left) / (box.right - box.left);
    return range[0] + share * (range[1] - range[0]);
  };
  const toX = (step) => box.left + ((step - range[0]) / (range[1] - range[0] || 1)) * (box.right - box.left);

  const draw = () => {
    const inside = points.filter((p) => p[0] >= range[0] && p[0] <= range[1]).map((p) => p[1]);
    let low = Math.min(...inside), high = Math.max(...inside);
    if (low === high) { low -= 0.5; high += 0.5; }
    const toY = (v) => box.bottom - ((v - low) / (high - low)) * (box.bottom - box.top);
    for (const one of series) {
      const kept = one.points.filter((p) => p[0] >= range[0] && p[0] <= range[1]);
      const line = svg.querySelector("polyline." + one.kind);
      if (line) line.setAttribute("points", kept.map((p) => toX(p[0]) + "," + toY(p[1])).join(" "));
      for (const dot of svg.querySelectorAll("circle")) dot.remove();
      if (one.kind === "eval")
        for (const p of kept) {
          const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
          dot.setAttribute("cx", toX(p[0])); dot.setAttribute("cy", toY(p[1])); dot.setAttribute("r", 3);
          svg.append(dot);
        }
    }
    svg.querySelectorAll("text.y").forEach((t, i, all) => {
      t.textContent = number(low + ((high - low) * i) / (all.length - 1));
    });
    svg.querySelectorAll("text.x").forEach((t, i, all) => {
      t.textContent = number(Math.round(range[0] + ((range[1] - range[0]) * i) / (all.length - 1)));
    });
  };
  const chosen = svg.querySelector(".chosen");
  svg.addEventListener("pointerdown", (e) => { start = atX(e); svg.setPointerCapture(e.pointerId); });
  svg.addEventListener("pointermove", (e) => {
    const step = atX(e);
    shown.textContent = "step " + Math.round(step) + series.map((one) => {
      const near = one.points.reduce((a, b) => (Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a), one.points[0]);
      return near ? " · " + one.name + " " + number(near[1]) + " at " + near[0] : "";
    }).join("");
    if (start === null) return;
    const [a, b] = [toX(start), toX(step)].sort((x, y) => x - y);
    chosen.setAttribute("x", a); chosen.setAttribute("width", b - a);
  });
  svg.addEventListener("pointerup", (e) => {
    const [a, b] = [start ?? 0, atX(e)].sort((x, y) => x - y);
    start = null;
    chosen.setAttribute("width", 0);
    if (points.filter((p) => p[0] >= a && p[0] <= b).length > 1) { range = [a, b]; draw(); }
  });
  svg.addEventListener("dblclick", () => { range = every; draw(); });
}
