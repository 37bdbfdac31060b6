// Charts of a run's numbers: one card a metric, all of them zoomed and read together.

const { uPlot } = window;
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [1, 4], [14, 4], [6, 2, 2, 2, 2, 2]];
const WHOLE = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((power) => [1, 2, 5].map((one) => one * 10 ** power));
const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

/** A colour of the page's style as a canvas understands it. */
function colour(name, alpha = 1) {
  probe.style.color = `var(${name})`;
  const said = getComputedStyle(probe).color;
  if (alpha === 1) return said;
  const parts = said.match(/[\d.]+/g).slice(0, 3).join(", ");
  return `rgba(${parts}, ${alpha})`;
}

/** Numbers short enough for a card, and as exact as one can read them. */
export function brief(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "—";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return value.toLocaleString("en");
  if (size >= 1e5 || (size < 1e-3 && size > 0)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

const thousands = (step) => (step >= 10000 ? `${Number((step / 1000).toPrecision(4))}k` : String(step));

/** An exponential mean, free of the bias of its start. */
function smoothed(values, weight) {
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = sum * weight + (1 - weight) * value;
    mass = mass * weight + (1 - weight);
    return sum / mass;
  });
}

/** One metric of some runs, in a card. */
export class Chart {
  constructor(metric, title, runs, how, hooks) {
    Object.assign(this, { metric, title, runs, how, hooks });
    this.data = runs.map(() => ({ steps: [], values: [] }));
    this.dirty = true;
    this.visible = false;
    this.card = document.createElement("figure");
    this.card.className = "card chart";
    this.card.id = `chart-${metric.replaceAll("/", "-")}`;
    const head = document.createElement("figcaption");
    const name = document.createElement("span");
    name.className = "chart-name";
    name.textContent = title || metric;
    const key = document.createElement("span");
    key.className = "chart-key mono";
    key.textContent = title ? metric : "";
    this.now = document.createElement("output");
    this.now.className = "chart-now";
    head.append(name, key, this.now);
    this.room = document.createElement("div");
    this.room.className = "chart-room";
    this.room.setAttribute("role", "img");
    this.card.append(head, this.room);
    this.tell(null);
  }

  /** All of it anew. */
  set(pictures) {
    pictures.forEach((picture, i) => {
      const [steps, values] = picture ?? [[], []];
      this.data[i] = { steps, values };
    });
    this.dirty = true;
  }

  /** One step more; what is known already is not added twice. */
  add(run, step, value) {
    const { steps, values } = this.data[run];
    if (steps.length && step <= steps[steps.length - 1]) return;
    steps.push(step);
    values.push(value);
    this.dirty = true;
  }

  get points() {
    return Math.max(0, ...this.data.map((one) => one.steps.length));
  }

  /** Draw, where there is something new and somebody sees it. */
  draw() {
    if (!this.dirty) return;
    this.tell(null);
    if (!this.visible) return;
    this.dirty = false;
    const weight = this.how.smooth;
    const tables = this.data.map(({ steps, values }) =>
      weight ? [steps, values, smoothed(values, weight)] : [steps, values]);
    const full = tables.filter(([steps]) => steps.length);
    if (!full.length) return;
    const joined = tables.length > 1 ? uPlot.join(tables) : tables[0];
    if (!this.plot) this.make();
    this.plot.setData(joined, true);
    if (this.how.range) this.plot.setScale("x", { min: this.how.range[0], max: this.how.range[1] });
  }

  make() {
    const { smooth, log } = this.how;
    const many = this.runs.length > 1;
    const least = Math.min(...this.data.flatMap((one) => one.values.filter((v) => v !== null)));
    const series = [{ label: "step", value: (_, v) => brief(v) }];
    this.runs.forEach((run, i) => {
      const line = { label: run, width: 1.75, spanGaps: false, dash: many ? DASHES[i] : [], value: (_, v) => brief(v), points: { size: 5 } };
      if (smooth) series.push({ ...line, label: `${run} (raw)`, width: 1, dash: [], stroke: colour(`--run-${i}`, 0.3) });
      series.push({ ...line, stroke: colour(`--run-${i}`), fill: many || smooth ? undefined : colour(`--run-${i}`, 0.07) });
    });
    const axis = { stroke: colour("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 } };
    this.plot = new uPlot({
      width: this.width(), height: this.how.height ?? 190, series,
      padding: [10, 12, 0, 0],
      scales: { x: { time: false }, y: { distr: log && least > 0 ? 3 : 1 } },
      axes: [{ ...axis, size: 28, space: 60, incrs: WHOLE, values: (_, ticks) => ticks.map(thousands) }, { ...axis, size: 54, values: (_, ticks) => ticks.map((t) => (t === null ? "" : brief(t))) }],
      legend: { show: many },
      cursor: { sync: { key: "runs", setSeries: false }, drag: { x: true, y: false, setScale: false }, points: { size: 7 }, bind: { dblclick: () => () => { this.hooks.zoom(null); return null; } } },
      hooks: {
        setSelect: [(plot) => {
          if (plot.select.width < 4) return;
          const ends = [plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")];
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          this.hooks.zoom(ends);
        }],
        setCursor: [(plot) => this.tell(plot.cursor.idx)],
      },
    }, undefined, this.room);
  }

  /** The number in the card's head: at the cursor, or the last one. */
  tell(at) {
    const many = this.runs.length > 1;
    const { steps, values } = this.data[0];
    const i = at ?? values.length - 1;
    const last = values.findLastIndex((v) => v !== null);
    const words = this.data.map((one, run) => {
      const end = one.values.findLastIndex((v) => v !== null);
      return end < 0 ? "" : `${many ? `${this.runs[run]}: ` : ""}${brief(one.values[end])} at step ${one.steps[end]}`;
    }).filter(Boolean);
    this.room.setAttribute("aria-label", `${this.title || this.metric} over the steps; ${words.join("; ") || "no numbers yet"}`);
    if (many) return;
    const place = at === null || at === undefined ? last : i;
    this.now.textContent = place < 0 || values[place] === undefined ? "—" : brief(values[place]);
    this.now.title = place < 0 ? "" : `step ${steps[place]}`;
    this.card.dataset.points = String(values.length);
    this.card.dataset.last = last < 0 ? "" : String(values[last]);
  }

  width() {
    return Math.max(220, Math.floor(this.room.clientWidth));
  }

  /** From the beginning: another size, theme, scale or smoothing. */
  again() {
    this.plot?.destroy();
    this.plot = undefined;
    this.dirty = true;
  }
}
