// Samples: the slider over the steps, and pages, without loading the whole page again.

const room = document.querySelector("[data-page]");
const slider = document.querySelector("[data-slider]");
const turn = document.getElementById("turn");
let asked = 0;

async function load(address) {
  const mine = ++asked;
  const where = new URL(address, location.href);
  const shown = new URL(where);
  where.searchParams.set("bare", "true");
  const answer = await fetch(where, { headers: { accept: "text/html" } });
  if (!answer.ok) { location.assign(shown); return; }
  const text = await answer.text();
  if (mine !== asked) return; // moved on meanwhile
  const parsed = new DOMParser().parseFromString(text, "text/html");
  room.replaceChildren(...parsed.body.childNodes);
  history.replaceState(null, "", shown);
}

if (slider && turn) {
  const steps = JSON.parse(slider.dataset.steps);
  const said = document.getElementById("turn-said");
  let timer = 0;
  const move = () => {
    const step = steps[Number(turn.value)];
    said.textContent = String(step);
    turn.setAttribute("aria-valuetext", `step ${step}`);
    clearTimeout(timer);
    timer = setTimeout(() => {
      const where = new URL(slider.dataset.slider, location.href);
      where.searchParams.set("step", step);
      if (slider.dataset.sort !== "order") where.searchParams.set("sort", slider.dataset.sort);
      load(where);
    }, 60);
  };
  turn.addEventListener("input", move);
  for (const button of slider.querySelectorAll("[data-go]")) {
    button.addEventListener("click", () => {
      turn.value = String(Number(turn.value) + Number(button.dataset.go));
      move();
    });
  }
}

room?.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-turn]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  load(link.href);
  room.scrollIntoView({ block: "start" });
});
