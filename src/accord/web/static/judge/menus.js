// Small menus (skip because, report) and the list of keys.
import { typing } from "./keys.js";

export const menus = {
  open(details) {
    details.open = true;
    const field = details.querySelector("textarea, input[type=radio]");
    field?.focus();
    if (field?.type === "radio") field.checked = true;
  },

  start() {
    document.addEventListener("keydown", (event) => {
      const menu = event.target.closest?.("details.menu");
      if (!menu) return;
      if (event.key === "Escape") {
        menu.open = false;
        menu.querySelector("summary").focus();
      } else if (event.key === "Enter" && event.target.type === "radio") {
        event.preventDefault();
        menu.querySelector("button").click();
      }
    });
    document.addEventListener("pointerdown", (event) => {
      for (const menu of document.querySelectorAll("details.menu[open]"))
        if (!menu.contains(event.target)) menu.open = false;
    });
    document.addEventListener("toggle", (event) => {
      if (event.target.matches?.("details.menu") && !event.target.open)
        for (const field of event.target.querySelectorAll("input")) field.checked = false;
    }, true);
  },
};

export const help = {
  start() {
    const dialog = document.getElementById("help");
    const form = document.getElementById("keys-form");
    document.addEventListener("click", (event) => {
      if (event.target.closest?.("#open-help")) dialog.showModal();
      if (event.target.closest?.("#close-help") || event.target === dialog) dialog.close();
    });
    form.addEventListener("keydown", (event) => {
      const field = event.target;
      if (!field.classList.contains("key-field") || event.key === "Tab") return;
      if (event.key === "Escape" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key.length > 1 && event.key !== "Enter") return;
      event.preventDefault();
      field.value = event.key;
      field.select();
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const body = new URLSearchParams(new FormData(form, event.submitter));
      const headers = { accept: "application/json" };
      const response = await fetch(form.action, { method: "POST", body, headers });
      if (response.ok) location.reload();
      else {
        const wrong = document.getElementById("keys-wrong");
        wrong.textContent = (await response.json()).detail;
        wrong.hidden = false;
      }
    });
  },
};

export { typing };
