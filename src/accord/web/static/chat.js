// Talking to one model: say, hear, stop, say again, change what was said.
import { toast } from "./accord.js";
import { busy, compose, draft, element, follow, hear, nodes, root, sampling, tell, turn, turns, wrong } from "./talk.js";

function tools(item) {
  item.querySelector(".tools")?.remove();
  const room = element("div", "tools row");
  const add = (text, act) => {
    const button = element("button", "btn btn-quiet btn-s", text);
    button.type = "button";
    button.addEventListener("click", act);
    room.append(button);
  };
  if (item.classList.contains("turn-user")) {
    add("Edit", () => edit(item));
  } else {
    const raw = item.querySelector("[data-raw]");
    add("Copy", async () => {
      try { await navigator.clipboard.writeText(raw.textContent); toast("Copied"); } catch { toast("The browser does not let this page copy."); }
    });
    add("As written", (event) => {
      const said = item.querySelector(".said");
      said.hidden = !said.hidden;
      raw.hidden = !raw.hidden;
      event.target.textContent = raw.hidden ? "As written" : "Rendered";
    });
    if (item === turns.lastElementChild) add("Again", again);
  }
  item.append(room);
}

function allTools() {
  for (const item of turns.children) tools(item);
}

async function speak(body, text = "") {
  root.querySelector("[data-empty]").hidden = true;
  const item = turn("assistant", "");
  const said = item.querySelector(".said");
  said.classList.add("coming", "pre");
  busy(true);
  follow();
  const end = await hear(body, (_, piece) => { said.textContent += piece; follow(); });
  busy(false);
  if (end.wrong) {
    item.remove();
    wrong(end, text, retry);
    return;
  }
  said.classList.remove("coming", "pre");
  said.replaceChildren(...nodes(end.html));
  const raw = element("div", "pre", end.text);
  raw.dataset.raw = "";
  raw.hidden = true;
  said.after(raw);
  if (end.end) item.append(element("p", "tiny muted", end.end));
  allTools();
  tell(`The model says: ${end.text}`);
  follow();
}

const retry = () => speak(sampling());

function clear() {
  for (const note of turns.querySelectorAll(".turn-wrong")) note.remove();
}

function send(text, at) {
  clear();
  turn("user", text);
  speak({ text, ...(at === undefined ? {} : { at }), ...sampling() }, text);
}

function again() {
  clear();
  turns.lastElementChild.remove();
  speak(sampling());
}

function edit(item) {
  if (root.hasAttribute("data-busy") || item.querySelector("form")) return;
  const said = item.querySelector(".said");
  const form = element("form", "edit stack-s stack");
  const field = element("textarea", "input", said.textContent);
  field.setAttribute("aria-label", "Your message, changed");
  const foot = element("div", "row");
  const ok = element("button", "btn btn-primary btn-s", "Send");
  const no = element("button", "btn btn-s", "Leave it");
  no.type = "button";
  foot.append(ok, no);
  form.append(field, foot);
  said.hidden = true;
  said.after(form);
  field.focus();
  const leave = () => { form.remove(); said.hidden = false; };
  no.addEventListener("click", leave);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!field.value.trim()) return;
    const at = Number(item.dataset.at);
    const text = field.value;
    while (turns.children.length > at) turns.lastElementChild.remove();
    send(text, at);
  });
}

compose((text) => send(text));
allTools();
if (root.hasAttribute("data-busy")) speak(null);
else if (turns.lastElementChild?.classList.contains("turn-user")) wrong({ wrong: "This has no answer yet." }, "", retry);
