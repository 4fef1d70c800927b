// Asks the gateway once a second what has changed, and shows it.
import { PointDialog, takeHash } from "/dialog.js";
import { KINDS, PointTable } from "/table.js";
import { Timeline } from "/timeline.js";
import { count, moment, node, span } from "/words.js";

const EVERY = 1000, AWAY = 5000, LOST = 2000; // milliseconds
const FEW_ALERTS = 4;
const at = (id) => document.getElementById(id);
const many = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

const seen = { generation: "", revision: 0, state: null, skew: 0, lost: "", whole: false };
const view = { now: Date.now() / 1000, writable: false };
const timeline = new Timeline(at("timeline"), at("ranges"));
const table = new PointTable(at("points"), at("shown"), (row) => dialog.open(row, view));
const dialog = new PointDialog(at("dialog"), (name) => table.rows.get(name), () => soon(0));
let timer = 0, asking = false, again = false, allAlerts = false, asked = takeHash();

const TILES = [
  ["all", "Points", () => "of this gateway"],
  ["event", "Under events", () => "follow a VTN"],
  ["override", "Overridden", () => "held by a person"],
  ["failsafe", "Fail-safe", () => "or at a limit"],
  ["astray", "On their way", () => "not there yet"],
  ["failing", "Failing", () => "silent or refusing"],
];
const tiles = {};
for (const [kind, name, more] of TILES) {
  const figure = node("div", { class: "value" }, "–");
  const tile = node("button", { type: "button", class: "tile", "aria-pressed": String(kind === "all"), "data-kind": kind, onclick: () => {
    for (const other of Object.values(tiles)) other.tile.setAttribute("aria-pressed", String(other.tile === tile));
    table.filter(kind);
  } }, node("div", { class: "name" }, name), figure, node("div", { class: "more" }, more()));
  tiles[kind] = { tile, figure };
  at("tiles").append(tile);
}
at("search").addEventListener("input", (input) => table.find(input.target.value));
at("all-alerts").addEventListener("click", () => { allAlerts = !allAlerts; showAlerts(seen.state); });

const tally = () => {
  const counts = {};
  for (const kind in KINDS) counts[kind] = 0;
  for (const row of table.rows.values()) for (const kind in KINDS) if (KINDS[kind](row)) counts[kind] += 1;
  return counts;
};

const sentence = (state, counts) => {
  if (!seen.whole) return `${count(table.rows.size)} of ${many(state.total, "point")} are here`;
  if (counts.failing) return `${many(counts.failing, "point")} ${counts.failing === 1 ? "fails" : "fail"}`;
  if (counts.astray) return `${many(counts.astray, "point")} ${counts.astray === 1 ? "is" : "are"} on ${counts.astray === 1 ? "its" : "their"} way`;
  if (state.total === 0) return "The gateway is starting";
  return state.total === 1 ? "The point is where it should be" : `All ${count(state.total)} points are where they should be`;
};

const showHead = (state) => {
  const counts = tally();
  for (const kind in counts) tiles[kind].figure.textContent = count(counts[kind]);
  tiles.failing.tile.classList.toggle("wrong", counts.failing > 0);
  tiles.override.tile.classList.toggle("held", counts.override > 0);
  const told = sentence(state, counts);
  at("sentence").textContent = told;
  document.title = `${told} - oadr2 gateway`;
  at("kicker").textContent = `oadr2 gateway, ${moment(view.now, view.now, true)}`;
  const late = state.lateness_p99 === null ? "" : `, an event's within ${span(state.lateness_p99)} (p99)`;
  at("about").textContent = `${many(state.total, "point")} behind ${many(state.vens.length, "VEN")}, ${many(state.writes, "write")} since ${moment(state.started_at, view.now)}${late}`;
  at("footer").textContent = `oadr2 ${state.version}. Numbers for machines: /metrics, /healthz, /readyz.`;
};

const showStates = (state) => {
  const states = [];
  if (seen.lost) states.push(["bad", `The gateway is not reached: ${seen.lost}. What is shown is of ${moment(view.now, view.now, true)}`]);
  if (state) {
    if (state.dry_run) states.push(["warn", "Dry run: nothing is written"]);
    for (const ven of state.vens) {
      if (ven.withdrawn) states.push(["warn", `${ven.name}: ${ven.registration}`]);
      else if (!ven.heard) states.push(["warn", `The VTN of ${ven.name} has not been heard of yet`]);
      else if (ven.registered === false) states.push(["bad", `${ven.name}: ${ven.registration}`]);
      else if (ven.problem) states.push(["bad", `The VTN of ${ven.name} is silent for ${span(ven.silent_for)}`]);
    }
    if (state.audit_problem) states.push(["bad", `The audit log cannot be written: ${state.audit_problem}`]);
    if (!state.ready) states.push(["warn", "Not every device has been read yet"]);
    if (!states.length) {
      const active = state.events.filter((e) => e.gone_at === null && e.start <= view.now && (e.end === null || e.end > view.now)).length;
      const hear = state.vens.length === 1 ? "The VTN is heard" : `All ${state.vens.length} VTNs are heard`;
      states.push(["good", `${hear}, ${active ? `${many(active, "event")} at work` : "no event at work"}`]);
    }
  }
  at("states").replaceChildren(...states.slice(0, 8).map(([kind, text]) => node("span", { class: `state ${kind}` }, text)));
};

const showAlerts = (state) => {
  const alerts = state.alerts.slice().reverse();
  at("alerts").hidden = !alerts.length;
  const button = at("all-alerts");
  button.hidden = alerts.length <= FEW_ALERTS;
  button.textContent = allAlerts ? "Fewer" : `All ${alerts.length}`;
  at("alert-lines").replaceChildren(...alerts.slice(0, allAlerts ? alerts.length : FEW_ALERTS).map((alert) =>
    node("li", {}, node("time", {}, moment(alert.at, view.now, true)), node("span", {}, node("b", {}, alert.point), `: ${alert.reason}`))));
};

const show = (state) => {
  view.now = state.now;
  view.writable = state.writable;
  table.show(view.now, view.writable);
  timeline.show(state.vens, state.events, view.now);
  showHead(state);
  showStates(state);
  showAlerts(state);
  dialog.show(view);
  document.documentElement.dataset.drawn = String(table.rows.size);
  if (asked !== null && table.rows.has(asked)) {
    dialog.open(table.rows.get(asked), view);
    asked = null;
  }
};

const ask = async () => {
  if (asking) { again = true; return; }
  asking = true;
  let wait = document.hidden ? AWAY : EVERY;
  try {
    const answer = await fetch(`/api/state?generation=${encodeURIComponent(seen.generation)}&revision=${seen.revision}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    const state = await answer.json();
    table.take(state.columns, state.rows, state.fresh);
    Object.assign(seen, { generation: state.generation, revision: state.revision, state, lost: "", whole: !state.more });
    show(state);
    if (state.more) wait = 0;
  } catch (error) {
    seen.lost = error.message;
    showStates(seen.state);
    wait = LOST;
  }
  asking = false;
  soon(again ? 0 : wait);
  again = false;
};

const soon = (wait) => {
  clearTimeout(timer);
  timer = setTimeout(ask, wait);
};

document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(0); });
ask();
