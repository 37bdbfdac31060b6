// Keys to actions.  They rest while one types, while a dialog is open, and where a person
// switched them off.
const ARROWS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

export function typing(target) {
  if (!(target instanceof Element)) return false;
  if (target.matches("textarea, select, [contenteditable]")) return true;
  return target.matches("input") && !["radio", "checkbox", "button", "submit"].includes(target.type);
}

export function listen(keys, perform) {
  const actions = new Map(Object.entries(keys).map(([action, key]) => [key.toLowerCase(), action]));
  const on = actions.size > 0;

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey || event.metaKey) return;
    if (document.querySelector("dialog[open]")) return;
    const { target } = event;
    if (typing(target)) {
      if (event.key === "Escape") leave(target);
      else if (event.key === "Enter" && event.ctrlKey && on) take(event, "send");
      return;
    }
    if (!on) return;
    if (event.ctrlKey) {
      if (event.key.toLowerCase() === "z") take(event, "undo");
      return;
    }
    const native = target.closest?.("button, summary, a, .menu-list");
    if (native && (event.key === "Enter" || event.key === " ")) return;
    if (target.closest?.(".menu-list")) return;
    const action = actions.get(event.key.toLowerCase());
    const arrow = ARROWS[event.key];
    if (arrow) {
      if (!target.matches?.('input[type="radio"]')) take(event, arrow);
    } else if (event.repeat) event.preventDefault();
    else if (/^\d$/.test(event.key) && !there(action)) take(event, `digit:${event.key}`);
    else if (action) take(event, action);
  });

  function take(event, action) {
    event.preventDefault();
    perform(action);
  }
}

function there(action) {
  return action && document.querySelector(`#task [data-action="${action}"]`);
}

function leave(field) {
  field.blur();
  document.getElementById("heading")?.focus({ preventScroll: true });
}
