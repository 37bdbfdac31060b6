// What the browser remembers; one that remembers nothing still works.
export function recall(name) {
  try {
    return localStorage.getItem(`accord.${name}`);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(`accord.${name}`);
    else localStorage.setItem(`accord.${name}`, value);
  } catch {
    // not kept
  }
}
