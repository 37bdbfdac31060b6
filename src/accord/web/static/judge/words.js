// Two texts, word by word: what stayed, what went, what came.
const MOST = 3000; // words on a side; beyond, the middle is one change

export function differ(before, after) {
  const a = before.match(/\s+|\w+|[^\w\s]/g) ?? [];
  const b = after.match(/\s+|\w+|[^\w\s]/g) ?? [];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const middle = common(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return join([
    ...a.slice(0, start).map((text) => ({ text, what: "same" })),
    ...middle,
    ...a.slice(a.length - end).map((text) => ({ text, what: "same" })),
  ]);
}

// The longest common subsequence (Wagner and Fischer 1974).
function common(a, b) {
  if (a.length * b.length > MOST * MOST)
    return [...a.map((text) => ({ text, what: "gone" })), ...b.map((text) => ({ text, what: "new" }))];
  const width = b.length + 1;
  const best = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      best[i * width + j] =
        a[i] === b[j]
          ? best[(i + 1) * width + j + 1] + 1
          : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
  const found = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      found.push({ text: a[i++], what: "same" });
      j++;
    } else if (j >= b.length || (i < a.length && best[(i + 1) * width + j] >= best[i * width + j + 1]))
      found.push({ text: a[i++], what: "gone" });
    else found.push({ text: b[j++], what: "new" });
  }
  return found;
}

function join(pieces) {
  const found = [];
  for (const piece of pieces) {
    if (found.length && found.at(-1).what === piece.what) found.at(-1).text += piece.text;
    else found.push({ ...piece });
  }
  return found;
}
