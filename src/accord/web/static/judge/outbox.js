// What is sent is written down here first, and struck out when the site has it.  Sending twice is
// safe: each rendering of an item has a key, and the site counts a key once.
import { recall, remember } from "./memory.js";

const NEVER = [400, 403, 404];
const WAITS = [1000, 2000, 4000, 8000, 15000];

export class Outbox {
  constructor(name) {
    this.name = name;
  }

  held() {
    try {
      return JSON.parse(recall(this.name) ?? "null");
    } catch {
      return null;
    }
  }

  keep(letter) {
    remember(this.name, letter && JSON.stringify(letter));
  }

  // Sends until the site has it; the page that comes next, as HTML.
  async send(url, body, told) {
    this.keep({ url, body });
    for (let tries = 0; ; tries++) {
      const html = await this.once(url, body, told);
      if (html !== null) {
        this.keep(null);
        told.away(false);
        return html;
      }
      await pause(WAITS[Math.min(tries, WAITS.length - 1)]);
    }
  }

  // A page's part, asked for until it comes.
  async fetch(url, told) {
    for (let tries = 0; ; tries++) {
      const html = await this.once(url, null, told);
      if (html !== null) return html;
      await pause(WAITS[Math.min(tries, WAITS.length - 1)]);
    }
  }

  async once(url, body, told) {
    let response;
    try {
      response = await ask(url, body && { method: "POST", body: new URLSearchParams(body) });
    } catch {
      told.away(true);
      return null;
    }
    const html = await response.text();
    if (html.includes('data-part="stage"')) return html;
    if (NEVER.includes(response.status)) {
      this.keep(null); // sent again it would be refused again: the page says why
      location.reload();
      return new Promise(() => {});
    }
    told.refused(response);
    return null;
  }

  async flush(told) {
    const letter = this.held();
    return letter ? this.send(letter.url, letter.body, told) : null;
  }
}

function ask(url, options) {
  return fetch(url, { ...options, headers: { accept: "text/html", "x-part": "1" } });
}

function pause(ms) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      done();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
  });
}
