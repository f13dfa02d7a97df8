// The dashboard: listens to /api/events/stream and draws what it says. No library, no other origin.
//
//   connect() --event--> onHistory / onMetrics --> render(figures)
//
// fetch() and not EventSource: a token goes into a header, never into an address.
"use strict";

const WINDOW_MS = 600_000; // what the charts show, once there is so much
const WINDOW_LEAST_MS = 60_000;
const GAP_MS = 5_000; // longer between two points: the line is broken
const SMOOTH_POINTS = 5; // rates are those of this many seconds
const SILENCE_MS = 15_000; // no byte for so long: the connection is dead
const RETRY_MAX_MS = 10_000;
const COLLECTIONS_SHOWN = 12;
const SPARK_POINTS = 60;

const byId = (id) => document.getElementById(id);

// --- words and numbers ---

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const number = (value) => (value === null || value === undefined ? "–" : whole.format(value));

function rate(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  return value > 0 && value < 10 ? value.toFixed(1) : whole.format(value);
}

function percent(part, all) {
  if (!all) return "";
  const share = (100 * part) / all;
  if (share === 0) return "0 %";
  if (share < 0.01) return "< 0.01 %";
  return `${share >= 99.995 ? "100" : share.toFixed(share < 10 ? 2 : 1)} %`;
}

function bytes(value) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit > 0 && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.0005) return "0 ms";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return duration(value * 1000);
}

function duration(ms) {
  const total = Math.max(0, Math.round(ms / 1000));
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => total >= size);
  if (first < 0) return "0 s";
  let rest = total;
  return parts.slice(first, first + 2).map(([size, name]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count > 0 ? `${count} ${name}` : "";
  }).join(" ").trim();
}

// Scheme and path of a relay are always the same.
const host = (url) => url.replace(/^wss?:\/\//, "").replace(/\/xrpc\/.*$/, "");
const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

const STATES = {
  ready: { word: "Running", tone: "good" },
  "catching up": { word: "Catching up", tone: "warn" },
  starting: { word: "Starting", tone: "warn" },
  paused: { word: "Paused", tone: "warn" },
  draining: { word: "Draining", tone: "warn" },
  misconfigured: { word: "Misconfigured", tone: "bad" },
  away: { word: "Waiting", tone: "bad" },
};
const PAUSES = { redis: "Redis takes no writes", depth: "a bound is reached" };
const NAMES = {
  relay: "Relay", redis: "Redis", postgres: "PostgreSQL", schema: "Schema",
  backlog: "Backlog", dead_letters: "Dead letters",
};

// --- small tools for the page ---

function text(id, value) {
  const node = byId(id);
  if (node.textContent !== value) node.textContent = value; // an unchanged text is not announced again
}

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function drawing(tag, attributes = {}, content = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (content) node.textContent = content;
  return node;
}

function tone(id, value) {
  if (value) byId(id).dataset.tone = value;
  else delete byId(id).dataset.tone;
}

// --- history: [time, received, committed, backlog, lag], the oldest first ---

let points = [];

function addPoints(added) {
  const last = points.length > 0 ? points[points.length - 1][0] : 0;
  points.push(...added.filter((point) => point[0] > last));
  const oldest = (points.length > 0 ? points[points.length - 1][0] : 0) - WINDOW_MS - GAP_MS;
  points = points.filter((point) => point[0] >= oldest);
}

// Events a second of one counter over the last seconds; null over a gap, or where it began anew.
function rateAt(index, column) {
  const from = Math.max(0, index - SMOOTH_POINTS);
  const span = points[index][0] - points[from][0];
  const grown = points[index][column] - points[from][column];
  if (span <= 0 || span > SMOOTH_POINTS * 1000 + GAP_MS || grown < 0) return null;
  return (grown * 1000) / span;
}

const series = (column) => points.map((point, index) => [point[0], rateAt(index, column)]);
const levels = (column) => points.map((point) => [point[0], point[column]]);

// --- charts ---

const linear = { of: (value) => value };
// Steps of ten are equally far apart, so that thresholds far above are still in the picture; 0 stays 0.
const stepsOfTen = (unit) => ({ of: (value) => Math.log10(1 + value / unit) });

const LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 20;

class Chart {
  constructor(id, label, options) {
    this.figure = byId(id);
    this.readout = this.figure.querySelector(".readout");
    this.label = label;
    this.options = options;
    this.svg = drawing("svg", { role: "img", tabindex: "0", "aria-label": label });
    this.figure.append(this.svg);
    this.at = null; // the time under the cross; null: now
    this.svg.addEventListener("pointermove", (event) => this.pointTo(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.release());
    this.svg.addEventListener("blur", () => this.release());
    this.svg.addEventListener("keydown", (event) => this.step(event));
  }

  pointTo(x) {
    const share = (x - LEFT) / (this.width - LEFT - RIGHT);
    this.at = this.end - this.window * (1 - Math.min(1, Math.max(0, share)));
    this.draw();
  }

  release() {
    this.at = null;
    this.draw();
  }

  // The arrow keys move the cross by ten seconds; what is there is said aloud.
  step(event) {
    const move = { ArrowLeft: -10_000, ArrowRight: 10_000 }[event.key];
    if (event.key === "Escape") this.release();
    if (!move) return;
    event.preventDefault();
    this.at = Math.min(this.end, Math.max(this.end - this.window, (this.at ?? this.end) + move));
    this.draw();
    announce(this.readout.textContent);
  }

  draw() {
    if (points.length === 0) return;
    const box = this.svg.getBoundingClientRect();
    if (box.width === 0) return;
    this.width = box.width;
    this.height = box.height;
    this.end = points[points.length - 1][0];
    this.window = Math.min(WINDOW_MS, Math.max(WINDOW_LEAST_MS, this.end - points[0][0]));
    this.lines = this.options.lines();
    const limits = this.options.limits ? this.options.limits() : [];
    const values = this.lines.flatMap((line) => line.points.map((point) => point[1] ?? 0));
    const highest = Math.max(this.options.least, ...values, ...limits.map((limit) => limit.value));
    const ticks = this.options.ticks(highest);
    const scale = this.options.scale;
    const top = Math.max(scale.of(highest) * 1.06, scale.of(ticks[ticks.length - 1]));
    this.x = (time) => LEFT + (this.width - LEFT - RIGHT) * (1 - (this.end - time) / this.window);
    this.y = (value) => this.height - BOTTOM - (this.height - TOP - BOTTOM) * (scale.of(value) / top);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.replaceChildren(...this.axes(ticks), ...this.limits(limits), ...this.paths(), ...this.cross());
    this.tell();
  }

  axes(ticks) {
    const nodes = ticks.flatMap((tick) => [
      drawing("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: this.y(tick), y2: this.y(tick) }),
      drawing("text", { x: LEFT - 7, y: this.y(tick) + 4, "text-anchor": "end" }, this.options.tickText(tick)),
    ]);
    const step = [15, 30, 60, 120, 300].find((size) => this.window / (size * 1000) <= this.width / 110);
    for (let ago = 0; ago * 1000 <= this.window; ago += step) {
      const x = this.x(this.end - ago * 1000);
      const anchor = ago === 0 ? "end" : x < LEFT + 30 ? "start" : "middle";
      nodes.push(drawing("text", { x, y: this.height - 4, "text-anchor": anchor }, ago === 0 ? "now" : `${duration(ago * 1000)} ago`));
    }
    return nodes;
  }

  // Words stand side by side, for thresholds may be close to each other.
  limits(limits) {
    const inner = this.width - LEFT - RIGHT;
    return limits.flatMap((limit, index) => [
      drawing("line", { class: `limit ${limit.tone}`, x1: LEFT, x2: this.width - RIGHT, y1: this.y(limit.value), y2: this.y(limit.value) }),
      drawing("text", { class: limit.tone, x: LEFT + 4 + (index * inner) / 3, y: this.y(limit.value) - 4 + (limit.below ? 15 : 0) }, limit.words),
    ]);
  }

  paths() {
    return this.lines.flatMap((line) => {
      const pieces = [];
      let piece = null, before = null;
      for (const [time, value] of line.points) {
        if (time < this.end - this.window) continue;
        if (value === null || (before !== null && time - before > GAP_MS)) piece = null;
        before = time;
        if (value === null) continue;
        if (piece === null) pieces.push((piece = []));
        piece.push(`${this.x(time).toFixed(1)} ${this.y(value).toFixed(1)}`);
      }
      const d = pieces.map((piece) => `M${piece.join("L")}`).join("");
      const nodes = [drawing("path", { class: `line ${line.name}`, d })];
      if (line.filled) {
        const floor = this.y(0);
        const areas = pieces.filter((piece) => piece.length > 1).map((piece) =>
          `M${piece[0].split(" ")[0]} ${floor}L${piece.join("L")}L${piece[piece.length - 1].split(" ")[0]} ${floor}Z`);
        nodes.unshift(drawing("path", { class: "area", d: areas.join("") }));
      }
      return nodes;
    });
  }

  cross() {
    if (this.at === null) return [];
    const x = this.x(this.at);
    return [drawing("line", { class: "cross", x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM })];
  }

  valueAt(line) {
    if (this.at === null) return line.points[line.points.length - 1][1];
    let nearest = null;
    for (const point of line.points) {
      if (nearest === null || Math.abs(point[0] - this.at) < Math.abs(nearest[0] - this.at)) nearest = point;
    }
    return Math.abs(nearest[0] - this.at) > GAP_MS ? null : nearest[1];
  }

  tell() {
    const parts = this.lines.flatMap((line) => {
      const value = element("i", {}, this.options.valueText(this.valueAt(line)));
      const key = this.lines.length > 1 ? [element("b", { "data-line": line.name }), `${line.words} `] : [];
      return [...key, value];
    });
    const unit = this.options.unit ? [` ${this.options.unit}`] : [];
    const when = this.at === null ? [] : [`${clock(this.at)} `];
    this.readout.replaceChildren(...when, ...parts, ...unit);
    this.svg.setAttribute("aria-label", `${this.label}: ${this.readout.textContent}. Arrow keys read earlier values.`);
  }
}

function evenTicks(highest) {
  const rough = highest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, index) => index * step);
}

let thresholds = null;

function backlogLimits() {
  if (!thresholds) return [];
  const { depthWarning, depthCritical, maxBacklog } = thresholds;
  return [
    { value: depthWarning, words: `warning ${short.format(depthWarning)}`, tone: "warn", below: true },
    { value: depthCritical, words: `critical ${short.format(depthCritical)}`, tone: "bad", below: true },
    { value: maxBacklog, words: `pause ${short.format(maxBacklog)}`, tone: "bad" },
  ];
}

function lagLimits() {
  const limit = thresholds?.lagWarningSeconds;
  return limit ? [{ value: limit, words: `warning ${seconds(limit)}`, tone: "warn" }] : [];
}

const charts = [
  new Chart("chart-rate", "Throughput of the last minutes", {
    scale: linear, least: 10, ticks: evenTicks, tickText: (value) => short.format(value), valueText: rate, unit: "per second",
    lines: () => [
      { name: "in", words: "received", points: series(1) },
      { name: "out", words: "committed", points: series(2) },
    ],
  }),
  new Chart("chart-backlog", "Backlog of the last minutes", {
    scale: stepsOfTen(50), least: 1000, valueText: number, unit: "entries", limits: backlogLimits,
    ticks: () => [0, 100, 1000, 10_000, 100_000], tickText: (value) => short.format(value),
    lines: () => [{ name: "out", words: "backlog", points: levels(3), filled: true }],
  }),
  new Chart("chart-lag", "Lag from event to commit of the last minutes", {
    scale: stepsOfTen(0.01), least: 100, valueText: seconds, limits: lagLimits,
    ticks: () => [0, 0.1, 1, 10, 60], tickText: (value) => (value === 0 ? "0" : seconds(value).replace(".00", "").replace(".0", "")),
    lines: () => [{ name: "out", words: "lag", points: levels(4), filled: true }],
  }),
];

// --- the figures of now ---

let latest = null;
let before = null; // the figures that rates of tables are counted from

function renderState(figures) {
  const state = STATES[figures.state.state] ?? { word: figures.state.state, tone: "warn" };
  const cause = NAMES[figures.state.dependency];
  const word = figures.state.state === "away" ? `Waiting for ${cause}` : state.word;
  text("state-word", word);
  byId("state-word").dataset.state = figures.state.state;
  byId("state-word").dataset.tone = state.tone;
  const reason = figures.state.reason || (state.tone === "good" ? "Everything that it depends on is ready." : "");
  const sentence = cause && !`${word} ${reason}`.includes(cause) ? `${cause}: ${reason}` : reason;
  const stopped = sentence && !/[.!?]$/.test(sentence) ? `${sentence}.` : sentence;
  const since = figures.state.since;
  const age = since ? `Since ${clock(since)} (${duration(Date.parse(figures.lastUpdate) - Date.parse(since))}).` : "";
  text("state-reason", `${stopped.charAt(0).toUpperCase()}${stopped.slice(1)} ${age}`.trim());
  announceOnce(`${word}. ${stopped.replace(/\d[\d,.]*/g, "")}`); // a growing figure is no news
  document.title = `${word} · standpipe`;
  byId("dependencies").replaceChildren(...Object.entries(figures.dependencies).map(([name, dependency]) => {
    const item = element("li", { "data-tone": STATES[dependency.state]?.tone ?? "warn", title: dependency.reason });
    item.append(NAMES[name] ?? name, element("span", {}, dependency.state));
    return item;
  }));
}

// What the daemon itself warns of, the worst first.
function renderAlerts(figures) {
  const list = byId("alerts");
  list.hidden = figures.alerts.length === 0;
  list.replaceChildren(...figures.alerts.map((alert) => {
    const since = alert.since ? ` Since ${clock(alert.since)}.` : "";
    return element("li", { "data-tone": alert.severity === "critical" ? "bad" : "warn" },
      element("b", {}, alert.name.replaceAll("_", " ")), ` ${alert.text}.${since}`.replace("..", "."));
  }));
}

function renderTiles(figures) {
  const last = points.length - 1;
  const status = figures.firehoseStatus, lag = figures.lag, ledger = figures.ledger;
  text("rate-in", last < 0 ? "–" : rate(rateAt(last, 1)));
  text("rate-out", last < 0 ? "–" : rate(rateAt(last, 2)));
  const paused = figures.relay.pausedFor.filter((reason) => reason !== "writer");
  const asleep = figures.relay.ingests ? (status.connected ? "relay connected" : "relay not connected") : "another process reads the relay";
  text("note-in", paused.length > 0 ? `reading waits: ${paused.map((reason) => PAUSES[reason] ?? reason).join(", ")}` : asleep);
  tone("note-in", paused.length > 0 ? "warn" : "");
  text("note-out", ledger ? `${number(figures.eventsProcessed)} in all` : "the ledger is not known");
  text("backlog", number(status.queueDepth));
  const depth = status.queueDepth, limits = figures.thresholds;
  const level = depth > limits.depthCritical ? "bad" : depth > limits.depthWarning ? "warn" : "";
  text("note-backlog", level ? `over ${number(level === "bad" ? limits.depthCritical : limits.depthWarning)}` : `oldest waits ${seconds(lag.oldestPendingSeconds)}`);
  tone("note-backlog", level);
  text("lag", seconds(lag.behindSeconds));
  const isLate = lag.behindSeconds > limits.lagWarningSeconds;
  text("note-lag", isLate ? `over ${seconds(limits.lagWarningSeconds)}` : lag.lastCommit ? `last commit ${clock(lag.lastCommit)}` : "no commit yet");
  tone("note-lag", isLate ? "warn" : "");
  text("dead", number(status.deadLetterLength));
  text("note-dead", `${percent(status.deadLetterLength, limits.maxDeadLetters) || "0 %"} of what may wait`);
  tone("note-dead", status.deadLetterLength >= limits.maxDeadLetters ? "bad" : "");
}

function rows(id, all, entries) {
  byId(id).replaceChildren(...entries.flatMap(([words, value, kind]) => {
    const isAlarm = kind === "alarm" && value > 0;
    const name = kind === "total" ? "total" : isAlarm ? "alarm" : "";
    return [
      element("dt", { class: name }, words),
      element("dd", { class: name }, number(value)),
      element("dd", { class: `share ${kind === "total" ? "total" : ""}` }, kind === "total" ? "" : percent(value, all)),
    ];
  }));
}

function renderLedger(figures) {
  const ledger = figures.ledger;
  text("place-relay", host(figures.firehoseStatus.url));
  text("place-stream", `${number(figures.firehoseStatus.streamLength)} entries kept`);
  text("place-postgres", `${number(figures.lag.committedSequence)} committed sequence`);
  const last = points.length - 1;
  pipe("in", last < 0 ? null : rateAt(last, 1));
  pipe("out", last < 0 ? null : rateAt(last, 2));
  if (!ledger) {
    text("ledger-sum", "not known: Redis does not answer; what was shown stays");
    return;
  }
  rows("ledger-relay", ledger.received, [
    ["received", ledger.received, "total"], ["appended", ledger.appended], ["duplicate", ledger.duplicate], ["filtered", ledger.filtered],
    ["ignored", ledger.ignored], ["undecodable", ledger.dead, "alarm"], ["waiting", ledger.waiting],
  ]);
  rows("ledger-stream", ledger.appended, [
    ["appended", ledger.appended, "total"], ["committed", ledger.committed], ["pending", ledger.pending],
    ["not yet delivered", ledger.undelivered], ["dead letters only", ledger.deadEntries, "alarm"],
  ]);
  const ops = ledger.ops, allOps = ops.written + ops.unchanged + ops.skipped + ops.dead;
  rows("ledger-postgres", allOps, [
    ["events committed", ledger.committed, "total"], ["ops written", ops.written], ["ops unchanged", ops.unchanged],
    ["ops skipped", ops.skipped], ["ops dead", ops.dead, "alarm"],
  ]);
  const off = Math.abs(ledger.unexplained.intake) + Math.abs(ledger.unexplained.stream);
  text("ledger-sum", off === 0 ? "every event is accounted for" : `${number(off)} events between two counts`);
}

// Water runs faster with the rate, from one dash in four seconds to four in one.
function pipe(name, value) {
  const water = byId(`water-${name}`);
  text(`pipe-${name}`, `${rate(value)}/s`);
  const isMoving = value > 0 && !document.body.classList.contains("stale");
  water.setAttribute("class", `water ${isMoving ? "moving" : "still"}`);
  const pace = `${Math.max(0.5, 4 - Math.log10(1 + (value ?? 0))).toFixed(1)}s`;
  if (water.style.getPropertyValue("--pace") !== pace) water.style.setProperty("--pace", pace);
}

// --- ops by collection ---

const tracks = new Map(); // name -> { ops, rates: [] }

function countCollections(figures, elapsed) {
  const items = figures.collections.items.length > 0
    ? figures.collections.items.map((item) => [item.collection, item.ops])
    : Object.entries(figures.eventCounts);
  const seen = new Set();
  for (const [name, ops] of items) {
    const track = tracks.get(name) ?? { ops, rates: [] };
    const grown = ops - track.ops;
    track.rates.push(elapsed > 0 && grown >= 0 ? grown / elapsed : 0);
    if (track.rates.length > SPARK_POINTS) track.rates.shift();
    track.ops = ops;
    tracks.set(name, track);
    seen.add(name);
  }
  for (const name of tracks.keys()) if (!seen.has(name)) tracks.delete(name);
}

const recent = (rates) => {
  const last = rates.slice(-SMOOTH_POINTS * 2);
  return last.length > 0 ? last.reduce((sum, value) => sum + value, 0) / last.length : 0;
};

function spark(rates) {
  const highest = Math.max(1e-9, ...rates);
  const path = rates.map((value, index) =>
    `${index === 0 ? "M" : "L"}${((64 * (index + SPARK_POINTS - rates.length)) / (SPARK_POINTS - 1)).toFixed(1)} ${(17 - (16 * value) / highest).toFixed(1)}`);
  const svg = drawing("svg", { class: "spark", viewBox: "0 0 64 18", "aria-hidden": "true" });
  svg.append(drawing("path", { d: path.join("") }));
  return svg;
}

function renderCollections(figures) {
  const sorted = [...tracks].map(([name, track]) => [name, recent(track.rates), track.rates]).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const highest = sorted.length > 0 ? sorted[0][1] : 0;
  const isByType = figures.collections.items.length === 0;
  text("collections-title", isByType ? "By type" : "By collection");
  text("collections-note", isByType ? "entries/s, as committed" : "ops/s, as read from the relay");
  byId("collections").replaceChildren(...sorted.slice(0, COLLECTIONS_SHOWN).map(([name, value, rates]) => {
    const dot = name.lastIndexOf(".") + 1;
    const label = element("span", { class: "name", title: name }, element("i", {}, name.slice(0, dot)), name.slice(dot));
    const fill = element("span", { class: "fill" });
    fill.style.width = `${highest > 0 ? (100 * value) / highest : 0}%`;
    label.prepend(fill);
    return element("li", {}, label, spark(rates), element("span", { class: "rate" }, rate(value)));
  }));
}

// --- workers ---

function renderWorkers(figures, elapsed) {
  const earlier = before?.workers ?? [];
  const busy = figures.workers.reduce((sum, worker) => sum + worker.inFlight, 0);
  text("workers-note", `${figures.workers.length} ${figures.workers.length === 1 ? "thread" : "threads"}, ${number(busy)} entries in flight`);
  byId("workers").replaceChildren(...figures.workers.map((worker, index) => {
    const grown = worker.committed - (earlier[index]?.committed ?? worker.committed);
    const isStalled = worker.heartbeatAgeSeconds > 5;
    const cell = (value, name = "n") => element("td", { class: name }, value);
    const postgres = cell(isStalled ? `stands still for ${seconds(worker.heartbeatAgeSeconds)}` : worker.postgres, "");
    postgres.dataset.tone = isStalled ? "bad" : STATES[worker.postgres]?.tone ?? "warn";
    return element("tr", {}, cell(String(worker.worker), ""), postgres, cell(elapsed > 0 && grown >= 0 ? rate(grown / elapsed) : "–"),
      cell(number(worker.inFlight)), cell(seconds(worker.loopLagSeconds)), cell(number(worker.committed)));
  }));
}

// --- dead letters ---

let lettersShown = "";

// Only when they change: an open sample stays open, and a focus where it is.
function renderLetters(figures) {
  const letters = figures.deadLetters;
  text("dead-note", letters.length === 0 ? "" : "the newest of each");
  const shown = JSON.stringify(letters);
  if (shown === lettersShown) return;
  lettersShown = shown;
  const host = byId("dead-letters");
  const open = new Set([...host.querySelectorAll("details[open]")].map((node) => node.dataset.reason));
  host.replaceChildren(...letters.map((kind) => letterKind(kind, open.has(kind.reason))));
  if (letters.length === 0) host.append(element("p", { class: "none" }, "None. What cannot be applied waits here, with the reason."));
}

function letterKind({ reason, letters, newest }, isOpen) {
  const details = element("details", { "data-reason": reason });
  details.open = isOpen;
  const what = [newest.type, newest.collection].filter(Boolean).join(" ");
  const sample = element("div", { class: "sample" },
    element("p", {}, `${newest.time ?? ""} · sequence ${newest.seq} · ${what}`));
  if (newest.error) sample.append(element("p", {}, newest.error));
  if (newest.data) sample.append(element("pre", { tabindex: "0" }, newest.data));
  sample.append(element("p", {}, element("code", {}, `standpipe dead show ${newest.id}`)));
  details.append(element("summary", {}, element("b", {}, reason), element("span", {}, number(letters))), sample);
  return details;
}

// --- configuration ---

let configuration = [];

async function loadConfiguration() {
  const answer = await fetch("api/config", { headers: headers(), cache: "no-store" });
  if (!answer.ok) return;
  configuration = (await answer.json()).items;
  renderConfiguration();
}

function renderConfiguration() {
  const wanted = byId("config-filter").value.trim().toLowerCase();
  const onlyChanged = byId("config-changed").checked;
  const changed = configuration.filter((item) => item.origin !== "default");
  text("config-note", `${configuration.length} keys, ${changed.length} set`);
  const shown = (onlyChanged ? changed : configuration).filter((item) => `${item.key} ${item.value}`.toLowerCase().includes(wanted));
  byId("config-keys").replaceChildren(...shown.map((item) => {
    const row = element("tr", { class: item.origin === "default" ? "" : "changed" });
    row.append(...[item.key, item.value, item.origin, item.reload].map((value) => element("td", {}, value)));
    return row;
  }));
}

byId("config-filter").addEventListener("input", renderConfiguration);
byId("config-changed").addEventListener("change", renderConfiguration);

// --- the whole page ---

function renderAbout(figures, elapsed) {
  text("relay-url", host(figures.firehoseStatus.url));
  text("process", figures.consumer ?? "");
  text("version", `standpipe ${figures.version}, up ${duration(Date.parse(figures.lastUpdate) - Date.parse(figures.startTime))}`);
  const usage = figures.process, redis = figures.redis;
  const cpu = before && elapsed > 0 ? (100 * (usage.cpuSeconds - before.process.cpuSeconds)) / elapsed : -1;
  const limit = redis.memoryLimitBytes ? ` of ${bytes(redis.memoryLimitBytes)}` : "";
  text("usage", `Process ${usage.pid}: ${cpu < 0 ? "–" : cpu.toFixed(0)} % of a core, ${bytes(usage.residentBytes ?? 0)} in memory, ` +
    `${number(usage.openDescriptors)} descriptors. Redis: ${bytes(redis.memoryBytes ?? 0)}${limit}.`);
}

function render() {
  if (latest === null || lostAt !== null || document.hidden) return;
  const elapsed = before ? (Date.parse(latest.lastUpdate) - Date.parse(before.lastUpdate)) / 1000 : 0;
  renderState(latest);
  renderAlerts(latest);
  renderTiles(latest);
  renderLedger(latest);
  renderCollections(latest);
  renderWorkers(latest, elapsed);
  renderLetters(latest);
  renderAbout(latest, elapsed);
  for (const chart of charts) chart.draw();
}

document.addEventListener("visibilitychange", render);
window.addEventListener("resize", render);

// --- what is said aloud: changes of state, never figures ---

let announced = "";

function announce(words) {
  byId("announcer").textContent = words;
}

function announceOnce(words) {
  if (words !== announced) announce((announced = words));
}

// --- events ---

function onHistory(history) {
  addPoints(history.points);
}

function onMetrics(figures) {
  const isSameRun = latest !== null && latest.startTime === figures.startTime;
  before = isSameRun ? latest : null;
  const isReloaded = isSameRun && latest.reload.number !== figures.reload.number;
  if (!isSameRun || isReloaded) loadConfiguration().catch(() => {}); // asked for again with the next change
  thresholds = figures.thresholds;
  const elapsed = before ? (Date.parse(figures.lastUpdate) - Date.parse(before.lastUpdate)) / 1000 : 0;
  latest = figures;
  addPoints([[Date.parse(figures.lastUpdate), figures.received, figures.committed, figures.firehoseStatus.queueDepth,
    figures.lag.behindSeconds]]);
  countCollections(figures, elapsed);
  render();
}

function onEnd(end) {
  whyEnded = end.reason;
}

const handlers = { history: onHistory, metrics: onMetrics, end: onEnd };

// --- the connection ---

let lastId = "";
let retryMs = 2000;
let failures = 0;
let whyEnded = "";
let lostAt = null;

const headers = () => {
  const token = sessionStorage.getItem("standpipe-token");
  return token ? { Authorization: `Bearer ${token}` } : {};
};

// One event of the stream: lines of `field: value`, as the HTML standard has them.
function dispatch(block) {
  let name = "message", data = "";
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") name = value;
    else if (field === "data") data += value;
    else if (field === "id") lastId = value;
    else if (field === "retry") retryMs = Number(value) || retryMs;
  }
  if (data && handlers[name]) handlers[name](JSON.parse(data));
}

async function readEvents(body, alive) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = blocks.pop();
    blocks.forEach(dispatch);
  }
}

function showLive() {
  if (lostAt !== null) announce("The daemon is back.");
  lostAt = null;
  failures = 0;
  whyEnded = "";
  byId("link").dataset.link = "live";
  text("link-text", "live");
  byId("notice").hidden = true;
  document.body.classList.remove("stale");
}

function showLost(why, waitMs) {
  if (lostAt === null) {
    lostAt = Date.now();
    announce("The connection to the daemon is lost.");
    document.body.classList.add("stale");
    if (latest) text("state-reason", `Last seen ${byId("state-word").textContent.toLowerCase()}, at ${clock(latest.lastUpdate)}.`);
    text("state-word", "Disconnected");
    byId("state-word").dataset.tone = "bad";
    document.title = "Disconnected · standpipe";
    announced = "";
  }
  byId("link").dataset.link = "lost";
  text("link-text", "disconnected");
  text("notice", `No connection to the daemon since ${clock(lostAt)} (${why}). Trying again every ${Math.round(waitMs / 1000)} s; what was shown stays.`);
  byId("notice").hidden = false;
}

async function listen() {
  const abort = new AbortController();
  let silence = 0;
  const alive = () => {
    clearTimeout(silence);
    silence = setTimeout(() => abort.abort(new Error("it has gone silent")), SILENCE_MS);
  };
  alive();
  try {
    const asked = lastId ? { "Last-Event-ID": lastId } : {};
    const answer = await fetch("api/events/stream", { headers: { ...headers(), ...asked }, cache: "no-store", signal: abort.signal });
    if (answer.status === 401) {
      await askForToken();
      return "";
    }
    if (!answer.ok) return `it answers ${answer.status}`;
    showLive();
    await readEvents(answer.body, alive);
    return whyEnded || "it has closed the connection";
  } catch (error) {
    return whyEnded || (abort.signal.aborted ? "it has gone silent" : "it does not answer");
  } finally {
    clearTimeout(silence);
    abort.abort();
  }
}

async function connect() {
  for (;;) {
    const why = await listen();
    if (why === "") continue;
    const waitMs = Math.min(RETRY_MAX_MS, retryMs * 1.5 ** Math.min(failures++, 6));
    showLost(why, waitMs);
    await new Promise((resolve) => setTimeout(resolve, waitMs * (0.75 + Math.random() / 2)));
  }
}

// --- the token: kept for this tab, sent in a header ---

function askForToken() {
  const dialog = byId("token-dialog");
  const wasWrong = sessionStorage.getItem("standpipe-token") !== null;
  text("token-why", wasWrong ? "That token is not the daemon's. Its file is named by http.token_file."
    : "This daemon shows its figures to those who have its token (http.token_file).");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("standpipe-token", byId("token").value.trim());
      byId("token").value = "";
      resolve();
    }, { once: true });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    if (!dialog.open) dialog.showModal();
  });
}

connect();
