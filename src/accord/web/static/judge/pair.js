// A or B.  One question: pressing it sends it.  With a strength, or a reason asked for: Send does.
export class Pair {
  constructor(task) {
    this.task = task;
    this.reason = task.querySelector("#reason");
    task.addEventListener("change", () => this.show());
    this.show();
  }

  verdict() {
    return this.task.querySelector('input[name="verdict"]:checked')?.value ?? "";
  }

  show() {
    const strengths = this.task.querySelector(".strengths");
    if (!strengths) return;
    const decided = ["first", "second"].includes(this.verdict());
    strengths.classList.toggle("is-off", !decided);
    for (const field of strengths.querySelectorAll("input")) {
      field.disabled = !decided;
      if (!decided) field.checked = false;
    }
  }

  gap(body) {
    if (!body.verdict) return "Choose a verdict first.";
    if (this.task.querySelector(".strengths") && ["first", "second"].includes(body.verdict))
      if (!body.strength) return "Say how much better it is.";
    if (this.task.querySelector(".why [data-needed]") && !body.reason?.trim()) {
      this.reason.focus();
      return "This study asks why: write a sentence.";
    }
    return "";
  }
}
