// The judging page: what is pressed, what is sent, what comes next.  Works over plain forms:
// without this file the same forms post themselves.
import { Clock } from "./clock.js";
import { listen } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Panes } from "./panes.js";
import { Beat } from "./beat.js";
import { recall, remember } from "./memory.js";
import { kindOf } from "./kinds.js";
import { menus, help } from "./menus.js";

const root = document.getElementById("judge-page");
const stage = document.getElementById("stage");
const status = document.getElementById("status");
const trouble = document.getElementById("trouble");
const outbox = new Outbox(`outbox.${root.dataset.user}`);
const SENDS = new Set(["first", "second", "tie", "bad", "send", "skip", "undo", "flag-send"]);

let sending = false;
let last = ""; // the action whose sending is under way
let waiting = []; // keys pressed meanwhile
let written = false; // whether anything was typed since the item came
let clock, panes, beat, kind;

function task() {
  return document.getElementById("task");
}

function say(text) {
  status.textContent = text;
  status.classList.toggle("is-new", Boolean(text));
  for (const one of status.getAnimations()) one.currentTime = 0; // a second word is seen as long as a first
}

function complain(text) {
  trouble.textContent = text;
  trouble.hidden = !text;
}

function arrive(focus) {
  clock?.stop();
  panes?.stop();
  written = false;
  clock = new Clock();
  panes = new Panes(task());
  kind = kindOf(task(), { say, clock, panes, reload, complain });
  beat?.stop();
  beat = new Beat(task(), { lost, fields });
  for (const one of document.querySelectorAll(".needs-script, .board-moves")) one.hidden = false;
  const start = kind.start?.();
  if (start) start.focus({ preventScroll: true });
  if (focus) {
    window.scrollTo({ top: 0 });
    if (!start) document.getElementById("heading")?.focus({ preventScroll: true });
  }
}

// --- sending ---

function fields(submitter) {
  const form = document.getElementById("verdict");
  if (!form) return {};
  const data = new FormData(form);
  if (submitter?.name) data.set(submitter.name, submitter.value);
  return Object.fromEntries([...data].filter(([, value]) => typeof value === "string"));
}

function busy(on) {
  sending = on;
  root.toggleAttribute("data-sending", on);
  task()?.setAttribute("aria-busy", String(on));
  for (const button of document.querySelectorAll("#task button")) {
    if (!on) button.disabled = button.hasAttribute("data-stays");
    else {
      button.toggleAttribute("data-stays", button.disabled);
      button.disabled = true;
    }
  }
}

async function post(url, body) {
  if (sending) return;
  busy(true);
  beat?.stop();
  show(await outbox.send(url, body, { away, refused }));
}

function away(held) {
  complain(
    held
      ? "No connection. Your verdict is kept here and is sent as soon as the site can be reached."
      : "",
  );
}

function refused(response) {
  complain(
    response.status === 401 || response.redirected
      ? "You are logged out. Your verdict is kept; log in again in another tab, it is sent then."
      : "The site could not take it just now. Your verdict is kept and is sent again.",
  );
}

function show(html) {
  if (html === null) return;
  const made = new DOMParser().parseFromString(html, "text/html");
  const next = made.querySelector('[data-part="stage"]');
  stage.replaceChildren(...next.childNodes);
  const progress = made.querySelector('[data-part="progress"]');
  if (progress) document.getElementById("progress").replaceChildren(...progress.childNodes);
  complain("");
  sending = false;
  root.removeAttribute("data-sending");
  const said = made.querySelector('[data-part="said"]')?.textContent.trim() ?? "";
  const count = document.getElementById("count")?.textContent ?? "";
  say(said ? `${said} ${count}.` : "");
  last = "";
  arrive(true);
  replay();
}

async function reload() {
  show(await outbox.fetch(root.dataset.address, { away, refused }));
}

async function lost(text) {
  if (sending) return;
  const kept = written ? fields().rewrite || fields().reason : "";
  busy(true);
  await reload();
  say(`${text} Here is the next one.`);
  if (kept) complain(`What you had written: ${kept}`);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!["verdict", "undo"].includes(form.id)) return;
  event.preventDefault();
  if (sending) return;
  const submitter = event.submitter;
  if (form.id === "undo") {
    last = "undo";
    post(form.action, {});
    return;
  }
  const body = fields(submitter);
  const act = body.act ?? "judge";
  if (act === "judge") {
    const gap = panes.gap() || kind.gap?.(body);
    if (gap) {
      say(gap);
      return;
    }
  }
  clock.touch();
  last = submitter?.dataset.action ?? (act === "flag" ? "flag-send" : act);
  post(form.action, { ...body, ...clock.read() });
});

// --- keys ---

function replay() {
  while (waiting.length && !sending) perform(waiting.shift());
}

function perform(action) {
  if (sending) {
    const twice = SENDS.has(action) && (action === last || waiting.includes(action));
    if (!twice) waiting.push(action); // kept for the next item; the same key twice counts once
    return;
  }
  if (action.startsWith("digit:")) {
    kind.digit?.(Number(action.slice(6)));
    return;
  }
  if (panes.perform(action) || kind.perform?.(action)) return;
  const target = [...document.querySelectorAll(`[data-action="${action}"]`)].find(
    (one) => !one.closest("[hidden]"),
  );
  if (!target) return;
  if (target.disabled) say(panes.gap());
  if (target.tagName === "SUMMARY") menus.open(target.parentElement);
  else target.click();
  if (target.type === "radio" || target.type === "checkbox") clock.touch();
}

listen(JSON.parse(root.dataset.keys), perform);
document.addEventListener("change", (event) => {
  if (event.target.form?.id === "verdict") clock.touch();
});
document.addEventListener("input", (event) => {
  written ||= event.target.matches("#verdict textarea");
});
menus.start();
help.start(say);

// Guidelines are open until one has seen them as they are now.
const guidelines = document.getElementById("guidelines");
if (guidelines) {
  const name = `guidelines.${root.dataset.user}${root.dataset.address}`;
  guidelines.open = recall(name) !== guidelines.textContent;
  remember(name, guidelines.textContent);
}

arrive(false);
outbox.flush({ away, refused }).then((html) => html && show(html)); // left from an earlier visit
