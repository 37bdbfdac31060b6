// What both kinds of talk share: the composer, sampling, and answers that come piece by piece.
import { toast } from "./accord.js";

export const root = document.querySelector("[data-chat]");
export const id = root.dataset.chat;
export const turns = root.querySelector("[data-turns]");
const news = root.querySelector("[data-news]");
const KEY = "accord.sampling";

/** An element with a class and a text. */
export function element(name, kind = "", text = "") {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.textContent = text;
  return made;
}

/** What the site rendered and cleaned, as nodes. */
export function nodes(html) {
  return [...new DOMParser().parseFromString(html, "text/html").body.childNodes];
}

/** Say to those who listen instead of looking. */
export function tell(words) {
  news.textContent = words;
}

const fields = ["temperature", "longest", "seed"].map((name) => document.getElementById(name)).filter(Boolean);

export function sampling() {
  const told = Object.fromEntries(fields.map((one) => [one.id, one.value === "" ? null : Number(one.value)]));
  return { temperature: told.temperature ?? 0.8, longest: told.longest || 256, seed: told.seed };
}

function keepSampling() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    for (const one of fields) if (kept[one.id] !== undefined && kept[one.id] !== null) one.value = kept[one.id];
  } catch { /* what cannot be read was not chosen */ }
  const show = () => {
    const out = root.querySelector('output[for="temperature"]');
    if (out) out.textContent = Number(fields[0].value).toFixed(1);
    const said = root.querySelector("[data-sampling-said]");
    if (said) said.textContent = `Temperature ${Number(fields[0].value).toFixed(1)}`;
  };
  for (const one of fields) one.addEventListener("input", () => { show(); localStorage.setItem(KEY, JSON.stringify(sampling())); });
  if (fields.length) show();
}

/** Events of an answer that is an event stream: [name, data] one by one. */
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value.replaceAll("\r\n", "\n");
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let name = "message";
      let data = "";
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data += line.slice(5).trimStart();
      }
      if (data) yield [name, JSON.parse(data)];
    }
  }
}

const WAIT = "Starting the model; the first time takes a while.";

/** Ask, and hear: `piece(place, text)` as it comes; resolves with how it ended. */
export async function hear(body, piece) {
  const asked = body
    ? { method: "POST", headers: { "content-type": "application/json", accept: "text/event-stream" }, body: JSON.stringify(body) }
    : { headers: { accept: "text/event-stream" } };
  let answer;
  try {
    answer = await fetch(`/chat/${id}/${body ? "say" : "stream"}`, asked);
  } catch {
    return { wrong: "The site cannot be reached. What you wrote is still here.", unsent: true };
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    return { wrong: said.detail || `The site answered ${answer.status}.`, unsent: true };
  }
  try {
    for await (const [name, data] of events(answer)) {
      if (name === "piece") piece(data.place, data.text);
      else if (name === "starting") wait();
      else if (name === "done") return data;
    }
  } catch { /* told below */ }
  return { wrong: "The connection broke. Load the page again: the answer goes on without it." };
}

function wait() {
  for (const one of root.querySelectorAll(".coming")) if (!one.textContent) one.dataset.wait = WAIT;
  tell(WAIT);
}

// --- the composer ---

const form = root.querySelector("[data-composer]");
const field = document.getElementById("say");
const stopping = form?.querySelector("[data-stop]");
const sending = form?.querySelector("[data-send]");

/** While an answer comes: no sending, but stopping. */
export function busy(on) {
  root.toggleAttribute("data-busy", on);
  if (!form) return;
  stopping.hidden = !on;
  sending.hidden = on;
}

/** Put words back where they can be changed. */
export function draft(text) {
  field.value = text;
  grow();
  field.focus();
}

function grow() {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight + 2, 240)}px`;
}

/** `send(text)` is called with what was written. */
export function compose(send) {
  keepSampling();
  if (!form) return;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value;
    if (!text.trim() || root.hasAttribute("data-busy")) return;
    field.value = "";
    grow();
    send(text);
  });
  field.addEventListener("input", grow);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
  });
  stopping.addEventListener("click", async () => {
    stopping.disabled = true;
    try { await fetch(`/chat/${id}/stop`, { method: "POST" }); } catch { toast("The site cannot be reached."); }
    stopping.disabled = false;
  });
  for (const menu of root.querySelectorAll("details.menu")) {
    document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
    menu.addEventListener("keydown", (event) => { if (event.key === "Escape") { menu.open = false; menu.querySelector("summary").focus(); } });
  }
  field.focus();
}

/** A turn at the end of the talk. */
export function turn(role, text) {
  const made = element("li", `turn turn-${role}`);
  made.dataset.at = String(turns.children.length);
  made.append(element("span", "sr-only", role === "user" ? "You:" : "The model:"), element("div", `said ${role === "user" ? "pre" : "prose"}`, text));
  turns.append(made);
  return made;
}

/** Keep the end in sight, unless one has scrolled up to read. */
export function follow() {
  const left = document.documentElement.scrollHeight - innerHeight - scrollY;
  if (left < 240) scrollTo({ top: document.documentElement.scrollHeight });
}

/** Say what went wrong; `retry()` asks once more, unless the question never left. */
export function wrong(end, text, retry) {
  if (end.unsent && text) { turns.lastElementChild?.remove(); draft(text); }
  const note = element("li", "turn turn-wrong note note-bad");
  note.setAttribute("role", "alert");
  note.append(element("span", "", end.wrong));
  if (!end.unsent) {
    const button = element("button", "btn btn-s", "Ask again");
    button.type = "button";
    button.addEventListener("click", () => { note.remove(); retry(); });
    note.append(button);
  }
  turns.append(note);
}
