// How long an item was there, how long in sight, and how long until the first choice; in ms.
export class Clock {
  constructor() {
    this.born = performance.now();
    this.seen = 0;
    this.since = document.hidden ? null : this.born;
    this.first = null;
    this.listening = new AbortController();
    const { signal } = this.listening;
    document.addEventListener("visibilitychange", () => this.turn(), { signal });
  }

  stop() {
    this.listening.abort();
  }

  turn() {
    const now = performance.now();
    if (this.since !== null) this.seen += now - this.since;
    this.since = document.hidden ? null : now;
  }

  touch() {
    this.first ??= performance.now() - this.born;
  }

  read() {
    this.turn();
    const whole = (ms) => String(Math.max(0, Math.round(ms)));
    return {
      ms_total: whole(performance.now() - this.born),
      ms_visible: whole(this.seen),
      ms_first: whole(this.first ?? 0),
    };
  }
}
