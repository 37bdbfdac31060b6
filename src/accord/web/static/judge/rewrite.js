// Writing the answer as it should have been, with what changed beside it.
import { differ } from "./words.js";

export class Rewrite {
  constructor(task, { clock, say }) {
    Object.assign(this, { task, clock, say });
    this.field = task.querySelector("#rewrite");
    this.changes = task.querySelector("#changes");
    this.originals = [...task.querySelectorAll("template[data-original]")].map(
      (one) => one.content.textContent,
    );
    this.field.addEventListener("input", () => {
      clock.touch();
      this.soon ??= requestAnimationFrame(() => this.show());
    });
    task.addEventListener("change", (event) => {
      if (event.target.name === "base") this.begin(Number(event.target.value));
    });
    this.show();
  }

  base() {
    return Number(this.task.querySelector('input[name="base"]:checked')?.value ?? 0);
  }

  begin(place) {
    const untouched = ["", ...this.originals].includes(this.field.value);
    if (untouched) this.field.value = this.originals[place] ?? "";
    this.show();
  }

  show() {
    this.soon = null;
    const original = this.originals[this.base()] ?? "";
    if (this.field.value === original) {
      const none = document.createElement("span");
      none.className = "muted";
      none.textContent = "Nothing yet.";
      this.changes.replaceChildren(none);
      return;
    }
    this.changes.replaceChildren(
      ...differ(original, this.field.value).map(({ text, what }) => {
        if (what === "same") return document.createTextNode(text);
        const mark = document.createElement(what === "gone" ? "del" : "ins");
        mark.textContent = text;
        return mark;
      }),
    );
  }

  gap(body) {
    if (!body.rewrite?.trim()) {
      this.field.focus();
      return "Write what it should have said.";
    }
    const same = this.originals.length && body.rewrite === this.originals[this.base()];
    if (same && !body.as_is) return "You changed nothing: tick “It is right as it stands”, or skip.";
    return "";
  }
}
