// The form of a study: fields that its kind does not have are put away, and the preview follows.

const form = document.getElementById("study-form");
const room = document.getElementById("preview");
const state = document.getElementById("preview-state");
let asked = 0;
let timer;

function kind() {
  return new FormData(form).get("kind");
}

function fit() {
  for (const one of form.querySelectorAll("[data-kinds]")) {
    one.hidden = !one.dataset.kinds.split(" ").includes(kind());
  }
}

async function show() {
  const mine = ++asked;
  state.textContent = "…";
  try {
    const answer = await fetch(room.dataset.from, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const text = await answer.text();
    if (mine !== asked) return;
    if (!answer.ok) throw new Error(String(answer.status));
    room.innerHTML = text; // rendered and escaped by the site itself
    state.textContent = "";
  } catch {
    if (mine === asked) state.textContent = "no preview just now";
  }
}

form.addEventListener("input", () => {
  fit();
  clearTimeout(timer);
  timer = setTimeout(show, 250);
});
fit();
show();
