"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const chart = document.getElementById("chart");
const detail = document.getElementById("detail");
const [ROW, MIN_WIDTH] = [20, 0.0004];
const spans = [];
let chosen = null;
let view = null;

function hue(group) {
  let sum = 7;
  for (const letter of group) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

// A span is [name, group, file, start, end, children]; groups and files are numbers of texts.
function read(raw, depth, above, lane) {
  const [name, group, file, start, end, children] = raw;
  const span = { name, group: data.texts[group], file: data.texts[file], start, end, depth, above, lane, below: [] };
  spans.push(span);
  span.below = children.map((child) => read(child, depth + 1, span, lane));
  span.own = end - start - span.below.reduce((sum, child) => sum + child.end - child.start, 0);
  return span;
}

const lanes = data.lanes.map((raw, number) => {
  const lane = { label: `process ${raw.pid}: ${raw.command}`, number, tops: [] };
  lane.tops = raw.spans.map((span) => read(span, 0, null, lane));
  return lane;
});
const whole = { start: 0, end: Math.max(data.ready, ...lanes.flatMap((lane) => lane.tops.map((span) => span.end)), 1) };

function milliseconds(time) {
  return `${(time / 1000).toFixed(time < 10000 ? 2 : 0)} ms`;
}

function describe(span) {
  detail.textContent = span
    ? `${span.name} · ${span.group}\n${milliseconds(span.own)} itself, ${milliseconds(span.end - span.start)} with its imports, ` +
      `from ${milliseconds(span.start)}${span.file ? ` · ${span.file}` : ""}`
    : `${data.hint}\n`;
}

function choose(span) {
  for (const old of chart.querySelectorAll(".chosen")) old.classList.remove("chosen");
  chosen = span;
  if (span?.box) span.box.classList.add("chosen");
  describe(span);
}

function boxOf(span) {
  const length = view.end - view.start;
  const start = Math.max(span.start, view.start);
  const width = (Math.min(span.end, view.end) - start) / length;
  if (width < MIN_WIDTH) return null;
  const box = document.createElement("div");
  box.className = "span";
  if (span.group === data.application) box.classList.add("application");
  if (data.plain.includes(span.group)) box.classList.add("plain");
  else box.style.setProperty("--hue", hue(span.group));
  box.style.left = `${(100 * (start - view.start)) / length}%`;
  box.style.width = `${100 * width}%`;
  box.style.top = `${span.depth * ROW}px`;
  if (width > 0.02) box.textContent = span.name;
  box.title = `${span.name}: ${milliseconds(span.end - span.start)}`;
  box.addEventListener("mouseenter", () => describe(span));
  box.addEventListener("mouseleave", () => describe(chosen));
  box.addEventListener("click", () => (choose(span), zoom(span)));
  return box;
}

function draw() {
  chart.replaceChildren();
  for (const span of spans) span.box = null;
  for (const lane of lanes) {
    const label = document.createElement("div");
    label.className = "lane";
    label.textContent = lane.label;
    const rows = document.createElement("div");
    rows.className = "rows";
    let depth = 0;
    const add = (span) => {
      if (span.end <= view.start || span.start >= view.end) return;
      span.box = boxOf(span);
      if (!span.box) return;
      depth = Math.max(depth, span.depth + 1);
      rows.append(span.box);
      span.below.forEach(add);
    };
    lane.tops.forEach(add);
    if (!depth) continue;
    rows.style.height = `${depth * ROW + 2}px`;
    if (data.ready > view.start && data.ready < view.end) {
      const ready = document.createElement("div");
      ready.className = "ready";
      ready.style.left = `${(100 * (data.ready - view.start)) / (view.end - view.start)}%`;
      rows.append(ready);
    }
    chart.append(label, rows);
  }
  choose(chosen);
}

function zoom(span) {
  view = { start: span.start, end: Math.max(span.end, span.start + 1) };
  draw();
}

function beside(span, step) {
  const row = span.above ? span.above.below : lanes.flatMap((lane) => lane.tops);
  return row[row.indexOf(span) + step] ?? span;
}

const MOVES = {
  ArrowRight: (span) => beside(span, 1),
  ArrowLeft: (span) => beside(span, -1),
  ArrowDown: (span) => span.below[0] ?? span,
  ArrowUp: (span) => span.above ?? span,
};

chart.addEventListener("keydown", (event) => {
  const first = lanes[0]?.tops[0];
  if (event.key in MOVES && first) choose(chosen ? MOVES[event.key](chosen) : first);
  else if (event.key === "Enter" && chosen) zoom(chosen);
  else if (event.key === "Escape") zoom(whole);
  else return;
  event.preventDefault();
});
document.getElementById("reset").addEventListener("click", () => zoom(whole));
zoom(whole);
