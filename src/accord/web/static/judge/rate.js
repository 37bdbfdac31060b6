// Numbers on axes: a digit fills the chosen row and goes on to the next one.
export class Rate {
  constructor(task, { panes, clock }) {
    this.task = task;
    this.panes = panes;
    this.clock = clock;
    this.cells = [...task.querySelectorAll(".axis")];
    this.active = Math.max(0, this.cells.findIndex((cell) => !this.filled(cell)));
    task.addEventListener("change", (event) => {
      const cell = event.target.closest(".axis");
      if (cell) this.choose(this.cells.indexOf(cell));
    });
    this.mark();
  }

  filled(cell) {
    return Boolean(cell.querySelector("input:checked"));
  }

  mark() {
    this.cells.forEach((cell, place) => cell.classList.toggle("is-active", place === this.active));
  }

  choose(place) {
    this.active = place;
    this.mark();
  }

  digit(number) {
    const cell = this.cells[this.active];
    const field = cell?.querySelector(`input[value="${number === 0 ? 10 : number}"]`);
    if (!field) return;
    field.checked = true;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    this.clock.touch();
    const rest = this.cells.findIndex((one, place) => place > this.active && !this.filled(one));
    const next = rest >= 0 ? rest : this.cells.findIndex((one) => !this.filled(one));
    this.choose(next >= 0 ? next : (this.active + 1) % this.cells.length);
    const pane = this.cells[this.active].closest(".pane");
    this.panes.choose(this.panes.panes.indexOf(pane));
    this.cells[this.active].scrollIntoView({ block: "nearest" });
  }

  gap() {
    const empty = this.cells.findIndex((cell) => !this.filled(cell));
    if (empty < 0) return "";
    this.choose(empty);
    this.cells[empty].scrollIntoView({ block: "nearest" });
    const letter = this.cells[empty].closest(".pane").querySelector(".letter").textContent;
    const axis = this.cells[empty].querySelector("legend").firstChild.textContent.trim();
    return `A number for ${axis} of answer ${letter} is missing.`;
  }
}
