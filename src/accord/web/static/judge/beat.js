// A sign of life for the lease, with what was written so far.
export class Beat {
  constructor(task, { lost, fields }) {
    this.task = task;
    this.lost = lost;
    this.fields = fields;
    if (!task.dataset.beat) return;
    this.every = setInterval(() => this.send(), Number(task.dataset.beatS) * 1000);
    this.written = () => {
      clearTimeout(this.soon);
      this.soon = setTimeout(() => this.send(), 800);
    };
    this.hidden = () => document.hidden && this.soon && this.send(true);
    task.addEventListener("input", this.written);
    document.addEventListener("visibilitychange", this.hidden);
  }

  stop() {
    clearInterval(this.every);
    clearTimeout(this.soon);
    this.task.removeEventListener("input", this.written);
    document.removeEventListener("visibilitychange", this.hidden);
    this.stopped = true;
  }

  async send(leaving = false) {
    clearTimeout(this.soon);
    this.soon = null;
    let response;
    try {
      response = await fetch(this.task.dataset.beat, {
        method: "POST",
        body: new URLSearchParams(this.fields()),
        headers: { accept: "application/json" },
        keepalive: leaving,
      });
    } catch {
      return; // offline: the next one tells
    }
    if (response.status === 409 && !this.stopped) {
      this.stop();
      this.lost((await response.json()).detail);
    }
  }
}
