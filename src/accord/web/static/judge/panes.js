// The answers side by side: which one the arrows scroll, how they are shown, whether they were read.
import { recall, remember } from "./memory.js";

const KEPT = ["view", "layout"];

export class Panes {
  constructor(task) {
    this.task = task;
    this.panes = [...task.querySelectorAll("#panes .pane")];
    this.active = 0;
    this.read = new Set();
    this.restore();
    this.mark();
    if (!this.panes.length) return;
    this.fit();
    this.look = () => this.seen();
    for (const pane of this.panes) {
      pane.querySelector(".pane-text").addEventListener("scroll", this.look, { passive: true });
      pane.addEventListener("pointerdown", () => this.choose(this.panes.indexOf(pane)));
      pane.addEventListener("focusin", () => this.choose(this.panes.indexOf(pane)));
    }
    this.window = new AbortController();
    const { signal } = this.window;
    addEventListener("scroll", this.look, { passive: true, signal });
    addEventListener("resize", () => this.fit(), { signal });
    task.addEventListener("change", (event) => this.changed(event.target));
    this.look();
  }

  stop() {
    this.window?.abort();
  }

  // The answers fill what the window leaves above the verdict.
  fit() {
    const top = this.panes[0].querySelector(".pane-text").getBoundingClientRect().top + scrollY;
    const below = this.task.querySelector(".axes")?.offsetHeight ?? 0;
    const bar = this.task.querySelector(".verdict-bar").offsetHeight;
    const why = this.task.querySelector("form > .why")?.offsetHeight ?? -16;
    this.task.style.setProperty("--room", `${Math.round(innerHeight - top - below - bar - why - 36)}px`);
  }

  get readAll() {
    return Boolean(this.task.dataset.readAll);
  }

  restore() {
    for (const name of KEPT) {
      const value = recall(name);
      const field = value && this.task.querySelector(`#${name}-${CSS.escape(value)}`);
      if (field) field.checked = true;
    }
  }

  changed(field) {
    if (KEPT.includes(field.name)) remember(field.name, field.value);
    this.look?.();
  }

  choose(place) {
    this.active = Math.max(0, Math.min(this.panes.length - 1, place));
    this.mark();
  }

  mark() {
    this.panes.forEach((pane, place) =>
      pane.classList.toggle("is-active", place === this.active && this.panes.length > 1),
    );
  }

  // Arrows and ways of showing; true where it was one of them.
  perform(action) {
    if (action === "left" || action === "right") {
      this.choose(this.active + (action === "left" ? -1 : 1));
      const there = this.panes[this.active]?.getBoundingClientRect();
      if (there && (there.top > innerHeight - 80 || there.bottom < 80))
        this.panes[this.active].scrollIntoView({ block: "nearest" });
      return true;
    }
    if (action === "up" || action === "down") {
      this.scroll(action === "up" ? -1 : 1);
      return true;
    }
    if (action === "view" || action === "layout") return this.cycle(action);
    if (action === "all") {
      this.task.querySelector("#show-all")?.click();
      return true;
    }
    return false;
  }

  scroll(way) {
    const text = this.panes[this.active]?.querySelector(".pane-text");
    const room = text ? text.scrollHeight - text.clientHeight : 0;
    const end = way < 0 ? (text?.scrollTop ?? 0) < 1 : (text?.scrollTop ?? 0) > room - 1;
    if (text && room > 1 && !end) text.scrollBy({ top: way * text.clientHeight * 0.6 });
    else window.scrollBy({ top: way * innerHeight * 0.4 });
  }

  cycle(name) {
    const fields = [...this.task.querySelectorAll(`input[name="${name}"]`)];
    const next = fields[(fields.findIndex((one) => one.checked) + 1) % fields.length];
    next?.click();
    return true;
  }

  // Which answers have been seen to their ends, inside their box and on the screen.
  seen() {
    const bar = this.task.querySelector(".verdict-bar");
    const fixed = bar && getComputedStyle(bar).position === "sticky";
    const floor = fixed ? Math.min(innerHeight, bar.getBoundingClientRect().top) : innerHeight;
    this.panes.forEach((pane, place) => {
      const text = pane.querySelector(".pane-text");
      const inner = text.scrollTop + text.clientHeight >= text.scrollHeight - 4;
      if (inner && text.getBoundingClientRect().bottom <= floor + 24) this.read.add(place);
      pane.classList.toggle("has-more", !inner);
      if (this.readAll) pane.querySelector("[data-read]").hidden = !this.read.has(place);
    });
    if (!this.readAll) return;
    const done = !this.gap();
    this.task.querySelector("#read").value = done ? "1" : "";
    this.task.querySelector("#read-first").hidden = done;
    for (const one of this.task.querySelectorAll("button.verdict, .send"))
      one.setAttribute("aria-disabled", String(!done));
    for (const one of this.task.querySelectorAll("input[name=verdict]")) one.disabled = !done;
  }

  gap() {
    if (!this.readAll || this.read.size === this.panes.length) return "";
    return "Scroll every answer to its end first.";
  }
}
