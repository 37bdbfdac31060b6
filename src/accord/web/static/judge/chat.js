// A talk: what one says goes out, two answers come in side by side, word by word.  The choice
// between them is a form as in every other study.
export class Chat {
  constructor(task, { say, swap, complain }) {
    Object.assign(this, { task, say, swap, complain });
    this.form = task.querySelector("form.talk");
    if (!this.form) return;
    this.field = this.form.querySelector("textarea");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send();
    });
    task.querySelector("#talk-stop")?.addEventListener("click", () => this.stop?.abort());
    this.field.focus({ preventScroll: true });
    task.querySelector(".conversation .turn:last-child")?.scrollIntoView({ block: "nearest" });
  }

  firstGap() {
    return null;
  }

  gap(body) {
    return body.verdict ? "" : "Choose a verdict first.";
  }

  async send() {
    const text = this.field.value.trim();
    if (!text || this.stop) return;
    this.stop = new AbortController();
    this.show(text);
    try {
      const response = await fetch(this.form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(this.form)),
        headers: { accept: "text/event-stream" },
        signal: this.stop.signal,
      });
      if (!response.ok || !response.headers.get("content-type")?.includes("event-stream"))
        throw new Error((await response.json().catch(() => ({}))).detail ?? "The site refused it.");
      for await (const said of events(response.body)) if (this.take(said)) return;
      throw new Error("The answers were cut off.");
    } catch (error) {
      this.fail(error.name === "AbortError" ? "Stopped. What you wrote is still here." : error.message);
    }
  }

  take(said) {
    if (said.html) {
      this.swap(said.html);
      this.say("Two answers are there. Choose one.");
      return true;
    }
    if (said.wrong) throw new Error(said.wrong);
    const pane = this.task.querySelector(`[data-stream="${said.place}"]`);
    if (said.text) pane.textContent += said.text;
    if (said.end) pane.parentElement.classList.remove("is-writing");
    return false;
  }

  show(text) {
    this.complain("");
    this.say("Two answers are being written.");
    const turn = this.task.querySelector("#talk-turn").content.cloneNode(true);
    turn.querySelector(".turn-said").textContent = text;
    this.turn = turn.querySelector(".turn");
    const log = this.task.querySelector(".conversation");
    log.hidden = false;
    log.append(turn);
    const answers = this.task.querySelector("#talk-answers");
    answers.hidden = false;
    for (const pane of answers.querySelectorAll("[data-stream]")) {
      pane.textContent = "";
      pane.parentElement.classList.add("is-writing");
    }
    this.form.hidden = true;
    answers.scrollIntoView({ block: "nearest" });
  }

  fail(text) {
    this.stop = null;
    this.turn.remove();
    this.task.querySelector("#talk-answers").hidden = true;
    this.form.hidden = false;
    this.field.focus();
    this.say("");
    this.complain(text);
  }
}

// The data of server-sent events, as it comes.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const data = part
        .split(/\r?\n/)
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart())
        .join("\n");
      if (data) yield JSON.parse(data);
    }
  }
}
