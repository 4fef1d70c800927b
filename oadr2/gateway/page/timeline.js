// The events of each VEN on a time line: a lane for each VEN, levels as steps, a marker for now.
import { ago, clock, moment, node, span, value } from "/words.js";

const SVG = "http://www.w3.org/2000/svg";
const ROW = 66, BAR = 30, TITLE = 28, GAP = 4;
const SPANS = [120, 600, 3600, 21600, 86400, 259200, 604800];
const NAMES = { 120: "2 min", 600: "10 min", 3600: "1 h", 21600: "6 h", 86400: "1 d", 259200: "3 d", 604800: "7 d" };
const WAYS = { http: "HTTP polls", push: "HTTP push", xmpp: "XMPP" };
const PAST = 1 / 3; // of the width is past
const ticksFor = (width) => Math.max(4, Math.floor(width / 95)); // four: on a telephone, too, one has a label

const make = (name, attributes, parent, text) => {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
};

const endOf = (event) => {
  const end = event.end === null ? Infinity : event.end;
  return event.gone_at === null ? end : Math.min(end, event.gone_at);
};

// The shortest span in which the next event to be told of is whole.
const fitting = (events, now) => {
  const ahead = events.filter((e) => endOf(e) > now).sort((a, b) => a.start - b.start)[0];
  if (ahead) {
    const until = isFinite(endOf(ahead)) ? endOf(ahead) : Math.max(now, ahead.start) + 60;
    return SPANS.find((s) => until - now <= s * (1 - PAST) * 0.95) || SPANS[SPANS.length - 1];
  }
  const last = events.map((e) => now - e.start).sort((a, b) => a - b)[0];
  return (last !== undefined && SPANS.find((s) => last <= s * PAST * 0.95)) || 21600;
};

const ticksOf = (from, to, room) => {
  const rough = (to - from) / room;
  const step = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400].find((s) => s >= rough) || 172800;
  const offset = new Date(from * 1000).getTimezoneOffset() * 60; // whole local hours
  const ticks = [];
  for (let t = Math.ceil((from - offset) / step) * step + offset; t <= to; t += step) ticks.push(t);
  return { ticks, step };
};

// Events that overlap go below one another.
const pack = (events) => {
  const ends = [];
  return events.slice().sort((a, b) => a.start - b.start).map((event) => {
    let row = ends.findIndex((end) => end <= event.start);
    if (row < 0) row = ends.push(0) - 1;
    ends[row] = endOf(event);
    return { event, row };
  });
};

const state = (event, now) => {
  if (event.phase === "cancelled") return "cancelled";
  if (event.phase === "ending") return "cancelled, ends soon";
  if (event.gone_at !== null) return event.end !== null && event.end <= event.gone_at + 1 ? "completed" : "withdrawn";
  if (event.end !== null && event.end <= now) return "completed";
  return event.start > now ? "far" : "active";
};
const isOver = (event, now) => endOf(event) <= now || event.phase === "cancelled";
const colour = (event, level) => {
  if (event.signal_name.trim().toUpperCase() === "SIMPLE") return `var(--l${Math.max(0, Math.min(3, Math.round(level)))})`;
  return "var(--l2)";
};

export class Timeline {
  constructor(holder, ranges) {
    this.holder = holder;
    this.chosen = 0; // 0: as fits
    this.boxes = [];
    this.tip = node("div", { class: "tip", hidden: true });
    ranges.append(...[0, ...SPANS.slice(1)].map((s) =>
      node("button", { type: "button", "aria-pressed": String(s === 0), onclick: (click) => {
        this.chosen = s;
        for (const other of ranges.children) other.setAttribute("aria-pressed", String(other === click.currentTarget));
        this.draw();
      } }, s ? NAMES[s] : "Auto")));
    holder.addEventListener("pointermove", (move) => this.tell(move));
    holder.addEventListener("pointerdown", (move) => this.tell(move));
    holder.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    new ResizeObserver(() => {
      if (holder.clientWidth !== this.width) this.draw();
    }).observe(holder);
  }

  show(vens, events, now) {
    Object.assign(this, { vens, events, now });
    this.draw();
  }

  draw() {
    if (!this.vens) return;
    const { holder, now } = this;
    const width = (this.width = holder.clientWidth);
    const length = this.chosen || fitting(this.events, now);
    const from = now - length * PAST, to = from + length;
    const X = (t) => Math.round(((t - from) / length) * width * 2) / 2;
    this.boxes = [];
    const lanes = this.vens.map((ven) => this.lane(ven, { X, from, to, width, length }));
    holder.replaceChildren(this.axis({ X, from, to, width, length }), ...lanes, this.tip);
    for (const box of this.boxes) box.top = box.svg.getBoundingClientRect().top - holder.getBoundingClientRect().top + box.y;
  }

  axis({ X, from, to, width, length }) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} 20`);
    svg.setAttribute("height", 20);
    const { ticks, step } = ticksOf(from, to, ticksFor(width));
    const nowX = X(this.now);
    for (const t of ticks) {
      if (Math.abs(X(t) - nowX) < 52) continue;
      const anchor = X(t) < 28 ? "start" : X(t) > width - 28 ? "end" : "middle";
      const d = new Date(t * 1000);
      const midnight = d.getHours() === 0 && d.getMinutes() === 0 && length > 86400;
      const text = midnight || step >= 86400 ? d.toLocaleDateString("en", { weekday: "short", day: "numeric" }) : clock(t, step < 60);
      make("text", { x: X(t), y: 13, "text-anchor": anchor }, svg, text);
    }
    make("text", { x: nowX, y: 13, class: "now-word", "text-anchor": "middle" }, svg, clock(this.now, length <= 600));
    return svg;
  }

  lane(ven, view) {
    const { X, from, to, width } = view;
    const mine = this.events.filter((e) => e.ven === ven.name && e.start < to && endOf(e) > from && endOf(e) > e.start);
    const placed = pack(mine);
    const rows = Math.max(1, ...placed.map((p) => p.row + 1));
    const height = placed.length ? rows * ROW + GAP : 30;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", mine.map((e) => `${e.event_id}, ${state(e, this.now)}, from ${moment(e.start, this.now)}`).join("; ") || "no events");
    const { ticks } = ticksOf(from, to, ticksFor(width));
    for (const t of ticks) make("line", { class: "grid", x1: X(t), x2: X(t), y1: 0, y2: height }, svg);
    for (const { event, row } of placed) this.event(svg, event, row * ROW + 4, view);
    if (!placed.length) make("text", { x: 0, y: 19 }, svg, this.events.some((e) => e.ven === ven.name) ? "No event in this time" : "No events");
    const titles = svg.querySelectorAll(".title");
    make("line", { class: "now", x1: X(this.now), x2: X(this.now), y1: 0, y2: height }, svg);
    svg.append(...titles); // words lie over the marker
    return node("div", { class: "lane" }, this.head(ven), svg);
  }

  head(ven) {
    const quiet = ven.problem || !ven.heard;
    const heard = ven.withdrawn ? "" : ven.heard ? `VTN heard ${ago(ven.silent_for)}` : "VTN not heard of yet";
    return node("div", { class: "lane-head" },
      node("span", { class: `dot ${ven.problem ? "bad" : quiet ? "warn" : "good"}` }),
      node("b", {}, ven.name), node("span", {}, heard),
      ven.problem ? node("span", { class: "problem" }, ven.problem) : null,
      node("span", { class: "url" }, [ven.vtn_url, `${ven.profile} over ${WAYS[ven.transport]}`, ven.registration].filter(Boolean).join(", ")));
  }

  event(svg, event, y, { X, from, to, width }) {
    const over = isOver(event, this.now), base = y + TITLE + BAR;
    const begin = Math.max(X(event.start), 0), until = Math.min(X(Math.min(endOf(event), to)), width);
    const simple = event.signal_name.trim().toUpperCase() === "SIMPLE";
    const highest = simple ? 3 : Math.max(...event.steps.map((s) => Math.abs(s[1])), 1e-9);
    const declined = event.opt_type !== "optIn" || event.is_test || event.phase === "cancelled";
    event.steps.forEach(([at, level], i) => {
      const next = i + 1 < event.steps.length ? event.steps[i + 1][0] : Infinity;
      const x0 = Math.max(X(Math.max(at, from)), begin), x1 = Math.min(X(Math.min(next, to)), until);
      if (next <= event.start || x1 <= x0) return;
      const h = Math.max(4, Math.round((Math.abs(level) / highest) * BAR));
      const box = { x: x0, y: base - h, width: Math.max(1, x1 - x0 - (x1 - x0 > 6 ? 1 : 0)), height: h };
      if (declined) make("rect", { ...box, class: "declined" }, svg);
      else make("rect", { ...box, class: `step${over ? " over-step" : ""}`, fill: colour(event, level) }, svg);
      if (x1 - x0 > 22 && !over) make("text", { x: (x0 + x1) / 2, y: base - h - 3, class: "level", "text-anchor": "middle" }, svg, value(level));
    });
    make("line", { class: "base", x1: begin, x2: until, y1: base + 0.5, y2: base + 0.5 }, svg);
    const notes = [event.is_test ? "test" : "", event.opt_type === "optIn" ? "" : "opted out", /cancel|withdrawn/.test(state(event, this.now)) ? state(event, this.now) : ""];
    const title = [event.event_id, ...notes.filter(Boolean)].join(", ");
    const text = make("text", { x: begin + 1, y: y + 11, class: `title${over ? " over" : ""}` }, svg, title);
    text.setAttribute("data-event", event.event_id);
    const room = Math.max(60, width - begin - 4);
    if (title.length * 6.6 > room) text.textContent = `${title.slice(0, Math.max(4, Math.floor(room / 6.6) - 1))}…`;
    this.boxes.push({ svg, event, x0: begin, x1: Math.max(until, begin + 24), y, height: TITLE + BAR });
  }

  tell(move) {
    const edge = this.holder.getBoundingClientRect();
    const x = move.clientX - edge.left, y = move.clientY - edge.top;
    const box = this.boxes.find((b) => x >= b.x0 - 2 && x <= b.x1 + 2 && y >= b.top && y <= b.top + b.height);
    if (!box) { this.tip.hidden = true; return; }
    const { event } = box, { now } = this;
    const t = now + ((x - this.width * PAST) / this.width) * (this.chosen || fitting(this.events, now));
    const step = event.steps.filter(([at]) => at <= t).pop();
    const end = event.end === null ? "open-ended" : `${moment(event.end, now, true)} (${span(event.end - event.start)})`;
    this.tip.replaceChildren(
      node("b", {}, event.event_id),
      node("span", {}, `${state(event, now)}, ${moment(event.start, now, true)} to ${end}`),
      step && t <= endOf(event) ? node("span", {}, `${event.signal_name} ${value(step[1])} at ${moment(t, now, true)}`) : "",
      node("span", {}, `${event.points} point${event.points === 1 ? "" : "s"}${event.left_out ? ` (${event.left_out} opted out)` : ""}, ${event.opt_type}, VTN ${event.vtn_id}, modification ${event.modification_number}`));
    this.tip.hidden = false;
    this.tip.style.top = `${box.top + box.height + 8}px`;
    this.tip.style.left = `${Math.max(0, Math.min(x + 10, this.width - this.tip.offsetWidth))}px`;
  }
}
