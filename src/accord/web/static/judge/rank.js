// An order of many answers.  The truth is in the <select> of each row; rows follow it.
export class Rank {
  constructor(task, { panes, clock, say }) {
    Object.assign(this, { task, panes, clock, say });
    this.ties = Boolean(task.querySelector(".board").dataset.ties);
    this.board = task.querySelector("#board");
    this.rows = [...this.board.children];
    for (const row of this.rows) this.wire(row);
    this.sort();
  }

  wire(row) {
    const field = row.querySelector("select");
    field.addEventListener("change", () => this.sort());
    for (const button of row.querySelectorAll("[data-move]"))
      button.addEventListener("click", () => {
        this.move(row, button.dataset.move);
        button.focus();
      });
    row.draggable = true;
    row.addEventListener("dragstart", (event) => {
      this.dragged = row;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", row.dataset.place);
      row.classList.add("is-dragged");
    });
    row.addEventListener("dragend", () => {
      row.classList.remove("is-dragged");
      this.dragged = null;
    });
    row.addEventListener("dragover", (event) => this.dragged && event.preventDefault());
    row.addEventListener("drop", (event) => {
      event.preventDefault();
      this.drop(row, event.clientY);
    });
  }

  rank(row) {
    return Number(row.querySelector("select").value) || null;
  }

  // Rows in groups of equals, best first; those without a place at the end.
  groups() {
    const levels = [...new Set(this.rows.map((row) => this.rank(row)).filter(Boolean))].sort(
      (a, b) => a - b,
    );
    return levels.map((level) => this.rows.filter((row) => this.rank(row) === level));
  }

  write(groups) {
    for (const row of this.rows) row.querySelector("select").value = "";
    groups
      .filter((group) => group.length)
      .forEach((group, level) => {
        for (const row of group) row.querySelector("select").value = String(level + 1);
      });
    this.clock.touch();
    this.board.dispatchEvent(new Event("input", { bubbles: true }));
    this.sort();
  }

  move(row, way) {
    const groups = this.groups();
    const at = groups.findIndex((group) => group.includes(row));
    if (at < 0) {
      groups.push([row]);
      if (way === "up" && groups.length > 1) groups.splice(-2, 2, [row], groups.at(-2));
    } else if (way === "tie") {
      if (groups[at].length > 1) {
        groups[at] = groups[at].filter((one) => one !== row);
        groups.splice(at + 1, 0, [row]);
      } else if (at > 0) groups[at - 1].push(...groups.splice(at, 1)[0]);
    } else if (groups[at].length > 1) {
      groups[at] = groups[at].filter((one) => one !== row);
      groups.splice(way === "up" ? at : at + 1, 0, [row]);
    } else {
      const [group] = groups.splice(at, 1);
      groups.splice(Math.max(0, way === "up" ? at - 1 : at + 1), 0, group);
    }
    this.write(groups);
    const place = this.rank(row);
    this.say(`Answer ${this.letter(row)}: place ${place}.`);
  }

  drop(target, y) {
    const row = this.dragged;
    if (!row || row === target) return;
    const groups = this.groups().map((group) => group.filter((one) => one !== row));
    const at = groups.findIndex((group) => group.includes(target));
    const box = target.getBoundingClientRect();
    const after = y > box.top + box.height / 2;
    if (at < 0) groups.push([row]);
    else groups.splice(after ? at + 1 : at, 0, [row]);
    this.write(groups);
  }

  letter(row) {
    return row.querySelector(".letter").textContent;
  }

  sort() {
    const order = (row) => this.rank(row) ?? 1000;
    const rows = [...this.rows].sort((a, b) => order(a) - order(b));
    let above = null;
    for (const row of rows) {
      const tied = above !== null && this.rank(row) !== null && this.rank(row) === this.rank(above);
      row.classList.toggle("is-tied", tied);
      row.classList.toggle("is-placed", this.rank(row) !== null);
      row.querySelector('[data-move="tie"]')?.setAttribute("aria-pressed", String(tied));
      this.board.append(row);
      const sign = this.task.querySelector(`[data-pane-place="${row.dataset.place}"]`);
      sign.hidden = this.rank(row) === null;
      sign.textContent = `place ${this.rank(row)}`;
      above = row;
    }
  }

  digit(number) {
    const row = this.rows[this.panes.active];
    if (!row || number < 1 || number > this.rows.length) return;
    row.querySelector("select").value = String(number);
    this.clock.touch();
    this.board.dispatchEvent(new Event("input", { bubbles: true }));
    this.sort();
    const next = this.rows.findIndex((one) => this.rank(one) === null);
    this.say(`Answer ${this.letter(row)}: place ${number}.`);
    this.panes.choose(next >= 0 ? next : (this.panes.active + 1) % this.rows.length);
  }

  gap(body) {
    if (body.bad) return "";
    const places = this.rows.map((row) => this.rank(row)).filter(Boolean);
    if (!this.ties && new Set(places).size < places.length)
      return "Two answers have the same place; this study asks for an order without ties.";
    const left = this.rows.filter((row) => this.rank(row) === null).map((row) => this.letter(row));
    return left.length ? `Give every answer a place: ${left.join(", ")} has none.` : "";
  }
}
