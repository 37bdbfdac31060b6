// Two models side by side: both answer, one votes, the names are shown.
import { post, toast, typing } from "./accord.js";
import { busy, compose, draft, element, follow, hear, id, nodes, root, sampling, tell, turn, turns, wrong } from "./talk.js";

const panes = root.querySelector("[data-panes]");
const votes = root.querySelector("[data-vote]");
const rooms = [...root.querySelectorAll("[data-pane]")];
let key = root.dataset.key;
let shown = key ? performance.now() : 0;
let sent = false;

async function speak(body, text = "") {
  for (const note of root.querySelectorAll(".turn-wrong")) note.remove();
  for (const room of rooms) { room.replaceChildren(); room.classList.add("coming", "pre"); }
  panes.hidden = false;
  votes.hidden = true;
  busy(true);
  follow();
  const end = await hear(body, (place, piece) => { rooms[place].textContent += piece; follow(); });
  busy(false);
  for (const room of rooms) room.classList.remove("coming", "pre");
  if (end.wrong) { panes.hidden = true; wrong(end, text, retry); return; }
  if (end.alike) {
    panes.hidden = true;
    turn("assistant", "").querySelector(".said").replaceChildren(...nodes(end.html));
    toast("Both said the same, so there is nothing to judge. Ask on.");
    return;
  }
  end.answers.forEach((one, place) => rooms[place].replaceChildren(...nodes(one.html)));
  key = end.key;
  shown = performance.now();
  sent = false;
  votes.hidden = false;
  root.querySelector("[data-composer]").hidden = true;
  tell("Both have answered. Which is better?");
  votes.scrollIntoView({ block: "nearest" });
}

const retry = () => speak(sampling());

async function vote(verdict) {
  if (sent || votes.hidden) return;
  sent = true;
  for (const button of votes.querySelectorAll("button")) button.disabled = true;
  try {
    const told = await post(`/chat/${id}/choose`, { key, verdict, ms_total: Math.round(performance.now() - shown) });
    reveal(verdict, told);
  } catch (error) {
    sent = false;
    for (const button of votes.querySelectorAll("button")) button.disabled = false;
    toast(error.message);
  }
}

function reveal(verdict, told) {
  votes.hidden = true;
  const [a, b] = told.models;
  [...panes.querySelectorAll("[data-name]")].forEach((one, place) => { one.textContent = told.models[place]; });
  const said = { left: `You preferred ${a} to ${b}.`, right: `You preferred ${b} to ${a}.`, tie: `A tie between ${a} and ${b}.`, bad: `Neither ${a} nor ${b} was good.` }[verdict];
  const chosen = { left: 0, right: 1 }[verdict];
  if (chosen !== undefined) panes.children[chosen].classList.add("won");
  root.querySelector("[data-lead]").textContent = `${a} against ${b}`;
  root.querySelector("[data-revealed]").textContent = said;
  root.querySelector("[data-again]").href = told.again;
  const room = root.querySelector("[data-reveal]");
  room.hidden = false;
  room.focus();
  tell(said);
  if (told.studies?.length) offer(told);
  follow();
}

function offer(told) {
  const form = root.querySelector("[data-send-pair]");
  const list = form.querySelector("select");
  for (const study of told.studies) {
    const one = element("option", "", study.name);
    one.value = study.id;
    list.append(one);
  }
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      toast((await post("/compare/send", { judgement: told.judgement, study: Number(list.value) })).said);
    } catch (error) { toast(error.message); }
  });
}

for (const button of votes.querySelectorAll("[data-verdict]")) button.addEventListener("click", () => vote(button.dataset.verdict));
document.addEventListener("keydown", (event) => {
  if (typing(event) || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const verdict = { 1: "left", 2: "right", 0: "tie", 9: "bad" }[event.key];
  if (verdict && !votes.hidden) { event.preventDefault(); vote(verdict); }
});

compose((text) => { turn("user", text); speak({ text, ...sampling() }, text); });
if (key) { root.querySelector("[data-composer]").hidden = true; document.activeElement?.blur(); }
if (root.hasAttribute("data-busy")) speak(null);
else if (!key && turns.lastElementChild?.classList.contains("turn-user")) wrong({ wrong: "This has no answer yet." }, "", retry);
