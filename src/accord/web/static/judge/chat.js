// A talk: what one says goes out, two answers come in side by side, word by word.  The choice
// between them is a form as in every other study.
export class Chat {
  constructor(task, { say, reload, complain }) {
    Object.assign(this, { task, say, reload, complain });
    this.where = task.dataset.talk;
    if (!this.where) return;
    this.form = task.querySelector("form.talk");
    this.field = this.form.querySelector("textarea");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field?.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send();
    });
    task.querySelector("#talk-stop").addEventListener("click", () => this.hush());
    task.querySelector(".conversation .turn:last-child")?.scrollIntoView({ block: "nearest" });
    if (task.hasAttribute("data-busy")) {
      this.show("");
      this.hear(`${this.where}/hear`, {});
    }
  }

  // Where one begins: what is to be said.
  start() {
    return this.field;
  }

  gap(body) {
    return body.verdict ? "" : "Choose a verdict first.";
  }

  send() {
    const text = this.field?.value.trim() ?? "";
    if ((this.field && !text) || this.hearing) return;
    this.show(text);
    this.hear(this.form.action, { method: "POST", body: new URLSearchParams({ text }) });
  }

  async hear(url, options) {
    this.hearing = true;
    try {
      const headers = { accept: "text/event-stream" };
      const response = await fetch(url, { ...options, headers });
      if (!response.ok || !response.headers.get("content-type")?.includes("event-stream"))
        throw new Error((await response.json().catch(() => ({}))).detail ?? "The site refused it.");
      for await (const said of events(response.body)) if (await this.take(said)) return;
      throw new Error("The answers were cut off; load the page again.");
    } catch (error) {
      this.fail(error.message);
    }
  }

  hush() {
    fetch(`${this.where}/hush`, { method: "POST" });
  }

  async take(said) {
    if (said.wrong) throw new Error(said.wrong);
    if (said.ready) {
      await this.reload();
      this.say(said.alike ? "Both said the same: the talk goes on." : "Choose one of the answers.");
      return true;
    }
    if (said.place === undefined) this.say("A model is being started; the first time takes a while.");
    else this.task.querySelector(`[data-stream="${said.place}"]`).textContent += said.text;
    return false;
  }

  show(text) {
    this.complain("");
    this.say("Two answers are being written.");
    this.form.hidden = true;
    const answers = this.task.querySelector("#talk-answers");
    answers.hidden = false;
    for (const pane of answers.querySelectorAll("[data-stream]")) pane.textContent = "";
    if (text) {
      const turn = this.task.querySelector("#talk-turn").content.cloneNode(true);
      turn.querySelector(".turn-said").textContent = text;
      this.turn = turn.querySelector(".turn");
      const log = this.task.querySelector(".conversation");
      log.hidden = false;
      log.append(turn);
    }
    answers.scrollIntoView({ block: "nearest" });
  }

  // What was said is kept by the site; it can be asked again.
  async fail(text) {
    await this.reload();
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
