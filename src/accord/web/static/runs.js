// The pages of runs: which charts, how smooth, and what happens while one looks.
import { Chart, brief } from "./charts.js";

const box = document.querySelector("[data-charts]");
const waits = document.querySelector("[data-waits]");
const given = box ? JSON.parse(box.dataset.charts) : { runs: [waits.dataset.waits], first: [], titles: {} };
const KEY = "accord.runs.metrics";
const charts = new Map();
const how = { smooth: 0, log: false, range: null };
let mark = "";
let source = null;
let asked = 0;
let running = true;

const query = (more) => {
  const made = new URLSearchParams();
  for (const run of given.runs) made.append("run", run);
  for (const [key, value] of more) made.append(key, value);
  return made;
};
const WIDTH = () => Math.min(2000, Math.max(200, Math.ceil(box.clientWidth / 2)));

/** Fetch pictures of these metrics; of all that are shown, where none is named. */
async function fetchSeries(metrics = [...charts.keys()]) {
  if (!metrics.length) return;
  const mine = ++asked;
  const more = [["width", WIDTH()], ...metrics.map((name) => ["metric", name])];
  if (how.range) more.push(["low", Math.floor(how.range[0])], ["high", Math.ceil(how.range[1])]);
  const answer = await fetch(`/runs/-/series?${query(more)}`, { headers: { accept: "application/json" } });
  if (!answer.ok) return;
  const told = await answer.json();
  for (const name of metrics) {
    if (mine !== asked && metrics.length > 1) break; // a newer question is on its way
    charts.get(name)?.set(told.runs.map((run) => run.metrics[name]));
  }
  if (!mark) mark = told.mark;
  plan();
}

let planned = false;
function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    for (const chart of charts.values()) chart.draw();
  });
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const chart = [...charts.values()].find((one) => one.card === entry.target);
    if (chart) chart.visible = entry.isIntersecting;
  }
  plan();
}, { rootMargin: "200px" });

function zoom(range) {
  how.range = range && range[1] - range[0] >= 1 ? range : null;
  for (const chart of charts.values()) chart.dirty = true;
  fetchSeries();
}

function show(name) {
  if (charts.has(name)) return;
  const chart = new Chart(name, given.titles[name], given.runs, how, { zoom });
  charts.set(name, chart);
  box.append(chart.card);
  seen.observe(chart.card);
}

function hide(name) {
  const chart = charts.get(name);
  if (!chart) return;
  seen.unobserve(chart.card);
  chart.again();
  chart.card.remove();
  charts.delete(name);
}

// --- what is shown, and how ---

const boxes = [...document.querySelectorAll("[data-metric]")];

function chosen() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "null");
    const known = new Set(boxes.map((one) => one.value));
    if (Array.isArray(kept)) {
      const here = kept.filter((name) => known.has(name));
      if (here.length >= 3) return here; // chosen for runs of another kind, it may fit nothing here
    }
  } catch { /* what cannot be read was not chosen */ }
  return given.first;
}

function pick() {
  const names = boxes.filter((one) => one.checked).map((one) => one.value);
  localStorage.setItem(KEY, JSON.stringify(names));
  document.querySelector("[data-picked]").textContent = String(names.length);
  for (const name of [...charts.keys()]) if (!names.includes(name)) hide(name);
  const fresh = names.filter((name) => !charts.has(name));
  fresh.forEach(show);
  fetchSeries(fresh);
}

function controls() {
  for (const one of boxes) one.addEventListener("change", pick);
  const find = document.getElementById("picker-find");
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase();
    for (const one of boxes) one.closest("label").hidden = !one.value.toLowerCase().includes(words);
  });
  const smooth = document.getElementById("smooth");
  const said = document.getElementById("smooth-said");
  smooth.addEventListener("input", () => {
    how.smooth = Number(smooth.value);
    said.textContent = how.smooth ? how.smooth.toFixed(2) : "off";
    redo();
  });
  document.getElementById("log").addEventListener("change", (event) => { how.log = event.target.checked; redo(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redo);
  let width = box.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(box.clientWidth - width) < 2) return;
    width = box.clientWidth;
    redo();
  }).observe(box);
  for (const menu of document.querySelectorAll("details.menu")) {
    document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
    menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { menu.open = false; menu.querySelector("summary").focus(); }
    });
  }
}

function redo() {
  for (const chart of charts.values()) chart.again();
  plan();
}

// --- what happens ---

const acts = {
  rows({ run, rows }) {
    if (waits) { location.reload(); return; }
    for (const row of rows) {
      for (const [name, value] of Object.entries(row)) {
        if (name === "step") continue;
        charts.get(name)?.add(run, row.step, value);
        const cell = document.querySelector(`[data-last="${CSS.escape(name)}"]`);
        if (cell && given.runs.length === 1) cell.textContent = brief(value);
      }
    }
    if ([...charts.values()].some((chart) => chart.points > 4 * WIDTH())) fetchSeries();
    plan();
  },
  again() {
    if (waits) { location.reload(); return; }
    fetchSeries();
  },
  state(told) {
    if (given.runs.length > 1) return;
    running = told.status === "running";
    live(true);
    const badge = document.querySelector("[data-status]");
    const tones = { running: "accent", done: "ok", stopped: "warn", failed: "bad" };
    badge.className = `badge badge-${tones[told.status] ?? "closed"}`;
    badge.firstElementChild.className = `dot${told.status === "running" ? " dot-live" : ""}`;
    badge.lastElementChild.textContent = told.status;
    document.querySelector("[data-step]").textContent = told.step.toLocaleString("en");
    const bar = document.querySelector(".main progress");
    if (bar) bar.value = told.step;
    warn(told.alerts);
  },
  samples({ samples }) {
    const room = document.querySelector("[data-samples]");
    room?.replaceChildren(...samples.slice(0, 4).map(card));
  },
};

function element(name, kind, text = "") {
  const made = document.createElement(name);
  made.className = kind;
  made.textContent = text;
  return made;
}

function warn(alerts) {
  const room = document.querySelector("[data-alerts]");
  const words = alerts.map((one) => `${one.step} ${one.words}`).join("\n");
  if (!room || room.dataset.words === words) return;
  room.dataset.words = words;
  room.replaceChildren(...alerts.map((one) => {
    const note = element("div", `note note-${one.tone}`);
    const said = element("div", "");
    said.append(element("strong", "", `Step ${one.step} `), one.words);
    if (one.metric) {
      const link = element("a", "", one.metric);
      link.href = `#chart-${one.metric.replaceAll("/", "-")}`;
      said.append(" ", link);
    }
    note.append(said);
    return note;
  }));
}

function card(one) {
  const made = element("article", "say card");
  const head = element("header", "row");
  head.append(element("strong", "", `Step ${one.step}`));
  if (one.score !== null) head.append(element("span", `badge badge-${one.score >= 0 ? "ok" : "bad"}`, `reward ${brief(one.score)}`));
  if (one.kl !== null) head.append(element("span", "badge", `KL ${brief(one.kl)}`));
  made.append(head, element("p", "asked pre", one.prompt.trim()), element("p", "answer pre", one.response.trim()));
  return made;
}

function listen() {
  if (source || document.hidden) return;
  source = new EventSource(`/runs/-/events?${query(mark ? [["after", mark]] : [])}`);
  for (const [name, act] of Object.entries(acts)) {
    source.addEventListener(name, (event) => {
      if (event.lastEventId) mark = event.lastEventId;
      act(JSON.parse(event.data));
    });
  }
  source.onopen = () => live(true);
  source.onerror = () => live(false);
}

function live(on) {
  const sign = document.querySelector("[data-live]");
  if (!sign) return;
  sign.hidden = on && !running;
  sign.lastElementChild.textContent = on ? "live" : "trying again";
  sign.firstElementChild.classList.toggle("dot-live", on);
}

function rest() {
  source?.close();
  source = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
addEventListener("pagehide", rest);
addEventListener("pageshow", (event) => { if (event.persisted) listen(); });

if (box) {
  const names = chosen();
  for (const one of boxes) one.checked = names.includes(one.value);
  document.querySelector("[data-picked]").textContent = String(names.length);
  controls();
  names.forEach(show);
  await fetchSeries();
}
listen();
