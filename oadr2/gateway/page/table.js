// The points as a table. Only the rows in sight exist, so ten thousand cost no more than thirty.
import { ago, clock, count, node, span, value } from "/words.js";

const CAUSES = { normal: "normal", event: "event", override: "override", failsafe: "fail-safe", limit: "limit" };
const HEADS = [
  ["name", "Point"], ["found", "Present", "num"], ["wanted", "Wanted", "num"], ["cause", "Ruled by"], ["seen_at", "Heard", "num"],
];
const BEYOND = 8; // rows drawn above and below the window

const present = (row) => (row.found !== null && row.written !== "released" ? row.found : row.written);
const haystack = (row) => `${row.name}\n${row.driver}\n${row.device}\n${row.event_id}\n${row.vtn_id}\n${row.reason}\n${row.cause}\n${row.problem}`.toLowerCase();

export const KINDS = {
  all: () => true,
  event: (row) => row.cause === "event",
  override: (row) => row.cause === "override",
  failsafe: (row) => row.cause === "failsafe" || row.cause === "limit",
  astray: (row) => !row.settled && !row.problem,
  failing: (row) => row.problem !== "",
};

export const rulerOf = (row) => {
  const more = row.event_id ? `${row.reason}, ${row.event_id}` : row.reason;
  if (row.cause === "override") return [row.cause, "override", `by ${row.override_by}`];
  return [row.cause, CAUSES[row.cause] || row.cause, row.cause === "normal" ? "" : more];
};

// The same for the table, where what fails matters more.
const whyOf = (row) => (row.problem ? ["failing", "fails", row.problem] : rulerOf(row));

export class PointTable {
  constructor(holder, shown, open) {
    this.shown = shown;
    this.open = open;
    this.rows = new Map();
    this.list = [];
    this.kind = "all";
    this.words = [];
    this.order = { column: "", up: false };
    this.pool = [];
    this.now = 0;
    this.heads = node("div", { class: "row heads", role: "row" },
      ...HEADS.map(([column, word, kind]) => node("div", { class: `cell ${kind || ""}`, role: "columnheader" },
        node("button", { type: "button", "data-column": column, onclick: () => this.sort(column) }, word))),
      node("div", { class: "cell", role: "columnheader", "aria-label": "Action" }));
    this.body = node("div", { class: "body", role: "rowgroup" });
    this.nothing = node("p", { class: "none", hidden: true });
    holder.append(this.heads, this.body, this.nothing);
    this.holder = holder;
    addEventListener("scroll", () => this.later(), { passive: true });
    addEventListener("resize", () => this.later());
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  // Takes rows in; show() draws them.
  take(columns, rows, fresh) {
    if (fresh) this.rows.clear();
    for (const items of rows) {
      const row = {};
      columns.forEach((column, i) => { row[column] = items[i]; });
      row.words = null;
      this.rows.set(row.name, row);
    }
  }

  find(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.arrange();
  }

  filter(kind) {
    this.kind = kind;
    this.arrange();
  }

  sort(column) {
    const same = this.order.column === column;
    this.order = same && this.order.up ? { column: "", up: false } : { column, up: same };
    for (const button of this.heads.querySelectorAll("button")) {
      if (button.dataset.column === this.order.column) button.dataset.order = this.order.up ? "up" : "down";
      else delete button.dataset.order;
    }
    this.arrange();
  }

  arrange() {
    const fits = KINDS[this.kind];
    const list = [];
    for (const row of this.rows.values()) {
      if (!fits(row)) continue;
      if (this.words.length) {
        row.words ??= haystack(row);
        if (!this.words.every((word) => row.words.includes(word))) continue;
      }
      list.push(row);
    }
    const { column, up } = this.order;
    if (!column) list.sort((a, b) => a.place - b.place); // as in the gateway's file
    else {
      const key = column === "found" ? present : (row) => row[column];
      const compare = (a, b) => {
        const x = key(a) ?? -Infinity, y = key(b) ?? -Infinity;
        if (typeof x === "string" || typeof y === "string") return String(x).localeCompare(String(y), "en", { numeric: true });
        return x - y;
      };
      list.sort((a, b) => (up ? compare(b, a) : compare(a, b)));
    }
    this.list = list;
    const all = this.rows.size;
    this.shown.textContent = list.length === all ? count(all) : `${count(list.length)} of ${count(all)}`;
    this.nothing.hidden = list.length > 0;
    this.nothing.textContent = all ? "No point fits." : "";
    this.holder.setAttribute("aria-rowcount", list.length + 1);
    this.draw();
  }

  show(now, writable) {
    this.now = now;
    this.writable = writable;
    this.arrange();
  }

  draw() {
    const height = matchMedia("(max-width: 720px)").matches ? 68 : 46;
    this.body.style.height = `${this.list.length * height}px`;
    const top = this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - BEYOND);
    const last = Math.min(this.list.length, Math.ceil((innerHeight - top) / height) + BEYOND);
    for (let i = first; i < last; i++) {
      const line = (this.pool[i - first] ??= this.line());
      this.fill(line, this.list[i], i);
      line.node.style.transform = `translateY(${i * height}px)`;
      line.node.hidden = false;
    }
    for (let i = Math.max(0, last - first); i < this.pool.length; i++) this.pool[i].node.hidden = true;
  }

  line() {
    const line = { row: null };
    const cell = (name, ...inside) => (line[name] = node("div", { class: `cell ${name}`, role: "cell" }, ...inside));
    line.title = node("span");
    line.device = node("small");
    line.pill = node("span", { class: "cause" });
    line.reason = node("span");
    line.act = node("button", { type: "button", class: "act" });
    line.node = node("div", { class: "row", role: "row" },
      cell("name", line.title, line.device), cell("present"), cell("wanted"), cell("why", line.pill, line.reason), cell("seen"),
      node("div", { class: "cell", role: "cell" }, line.act));
    for (const name of ["present", "wanted", "seen"]) line[name].classList.add("num");
    line.node.addEventListener("click", () => this.open(line.row));
    this.body.append(line.node);
    return line;
  }

  fill(line, row, index) {
    line.row = row;
    line.node.setAttribute("aria-rowindex", index + 2);
    line.node.dataset.point = row.name;
    const set = (target, text) => { if (target.textContent !== text) target.textContent = text; };
    set(line.title, row.name);
    set(line.device, `${row.driver} ${row.device}`);
    const unit = row.unit && typeof present(row) === "number" ? ` ${row.unit}` : "";
    set(line.present, `${value(present(row))}${unit}`);
    line.present.className = `cell present num${row.problem ? " lost" : row.settled ? "" : " astray"}`;
    set(line.wanted, `${value(row.wanted)}${unit && row.wanted !== "released" ? unit : ""}`);
    const [kind, word, reason] = whyOf(row);
    const until = row.override_until === null ? "" : ` until ${clock(row.override_until)} (${span(Math.max(0, row.override_until - this.now))})`;
    line.pill.className = `cause ${kind}`;
    set(line.pill, word);
    set(line.reason, reason + until);
    line.reason.title = reason + until;
    set(line.seen, row.seen_at === null ? "never" : ago(this.now - row.seen_at));
    set(line.act, row.override_until !== null ? "Held" : "Override");
    line.act.className = `act${row.override_until !== null ? " ends" : ""}`;
    line.act.hidden = !this.writable;
    line.act.setAttribute("aria-label", `Override ${row.name}`);
  }
}
