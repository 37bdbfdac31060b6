// What every page shares: toasts, copying a link, asking before something final, local times.

/** Say something for a few seconds; with an action, a button in it. */
export function toast(text, { action, act, seconds = 6 } = {}) {
  let room = document.querySelector(".toasts");
  if (!room) {
    room = document.createElement("div");
    room.className = "toasts";
    room.setAttribute("role", "status");
    room.setAttribute("aria-live", "polite");
    document.body.append(room);
  }
  const one = document.createElement("div");
  one.className = "toast";
  const said = document.createElement("span");
  said.textContent = text;
  one.append(said);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = action;
    button.addEventListener("click", () => { one.remove(); act(); });
    one.append(button);
  }
  room.append(one);
  setTimeout(() => one.remove(), seconds * 1000);
  return one;
}

/** POST JSON to this site; the answer as JSON.  Throws an Error that carries the site's sentence. */
export async function post(where, body, { signal, keepalive } = {}) {
  const answer = await fetch(where, {
    method: "POST", credentials: "same-origin", signal, keepalive,
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify(body ?? {}),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.detail || `the site answered ${answer.status}`), { status: answer.status });
  return said;
}

/** Whether a key press belongs to what is being written, and is no shortcut. */
export function typing(event) {
  const at = event.target;
  return at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName) && !/^(checkbox|radio|button|submit|range)$/.test(at.type || ""));
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  const text = "value" in field ? field.value : field.textContent;
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    field.select?.();
    toast("Press Ctrl+C to copy");
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  const said = event.submitter?.dataset.ask || form.dataset.ask;
  if (said && !window.confirm(said)) { event.preventDefault(); return; }
  if (form.method === "post" && form.dataset.again === undefined) {
    // sent once, however often it is clicked; the submitter's own value has been read by then
    setTimeout(() => form.querySelectorAll("button:not([type=button])").forEach((one) => { one.disabled = true; }));
  }
});
window.addEventListener("pageshow", () => document.querySelectorAll("form button[disabled]:not([data-off])").forEach((one) => { one.disabled = false; }));

for (const one of document.querySelectorAll("time[datetime]")) {
  const at = new Date(one.dateTime);
  if (!Number.isNaN(at.valueOf())) one.title = at.toLocaleString();
}

// On a phone the tab one is on may lie beyond the edge.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

const note = document.querySelector("[data-toast]");
if (note) {
  toast(note.textContent.trim());
  const bare = new URL(location.href);
  bare.searchParams.delete("said");
  history.replaceState(null, "", bare);
}
