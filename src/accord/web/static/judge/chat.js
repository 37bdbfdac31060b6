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
    this.picture = new Picture(this.form, this.field, (text) => this.complain(text));
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
    this.text = text;
    this.show(text);
    this.hear(this.form.action, { method: "POST", body: this.picture.body(text) });
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
      if (this.picture.shown) turn.querySelector(".turn-said").prepend(this.picture.copy());
      const log = this.task.querySelector(".conversation");
      log.hidden = false;
      log.append(turn);
    }
    answers.scrollIntoView({ block: "nearest" });
  }

  // What was said is kept by the site, and can be asked again; what it refused stands in the field.
  async fail(text) {
    await this.reload();
    const field = document.getElementById("talk-text");
    if (field && !field.value) field.value = this.text ?? "";
    this.complain(text);
  }
}

// A picture that goes with what is said: chosen, pasted, or taken back and shown again.
class Picture {
  constructor(form, field, complain) {
    this.input = form.querySelector("#talk-picture");
    if (!this.input) return;
    Object.assign(this, { complain, again: form.querySelector('[name="again"]') });
    this.figure = form.querySelector(".talk-shown");
    this.image = this.figure.querySelector("img");
    this.input.addEventListener("change", () => this.choose());
    this.figure.querySelector("[data-remove]").addEventListener("click", () => this.clear());
    field?.addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.input.files = event.clipboardData.files;
      this.choose();
    });
  }

  get shown() {
    return Boolean(this.input && !this.figure.hidden);
  }

  choose() {
    const file = this.input.files[0];
    if (!file) return this.clear();
    const wrong = this.wrong(file);
    if (wrong) {
      this.clear();
      return this.complain(wrong);
    }
    this.complain("");
    this.again.value = "";
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      this.image.src = reader.result;
      this.figure.hidden = false;
    });
    reader.readAsDataURL(file);
  }

  wrong(file) {
    const most = Number(this.input.dataset.most);
    if (file.size > most * 2 ** 20) return `the picture is larger than ${most} MB: make it smaller`;
    if (!this.input.accept.split(",").includes(file.type))
      return "this file is no picture that can be shown here: PNG, JPEG, GIF and WebP are taken";
    return "";
  }

  clear() {
    this.input.value = "";
    this.again.value = "";
    this.figure.hidden = true;
    this.image.removeAttribute("src");
    this.input.focus();
  }

  copy() {
    const made = this.image.cloneNode();
    made.className = "turn-image";
    return made;
  }

  body(text) {
    const body = new FormData();
    body.set("text", text);
    if (!this.shown) return body;
    if (this.again.value) body.set("again", this.again.value);
    else body.set("picture", this.input.files[0]);
    return body;
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
