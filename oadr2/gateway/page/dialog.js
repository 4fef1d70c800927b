// One point: how it stands, its override, and what the audit log says of it.
import { ago, clock, moment, node, value } from "/words.js";
import { rulerOf } from "/table.js";

const TIMES = { "15m": "15 minutes", "30m": "30 minutes", "1h": "1 hour", "2h": "2 hours", "4h": "4 hours", "8h": "8 hours", "1d": "1 day" };
const KEPT_TOKEN = "oadr2-token", KEPT_NAME = "oadr2-name", KEPT_TIME = "oadr2-time";

// http://host/#token=...&point=...: the part behind # never leaves the browser, and goes from its
// address line. Gives the name of the point to open, or null.
export const takeHash = () => {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("token")) {
    sessionStorage.setItem(KEPT_TOKEN, given.get("token"));
    history.replaceState(null, "", location.pathname);
  }
  return given.get("point");
};

export class PointDialog {
  constructor(holder, look, refresh) {
    this.holder = holder;
    this.look = look; // the row of a point, as it is now
    this.refresh = refresh;
    holder.addEventListener("click", (click) => { if (click.target === holder) holder.close(); });
    holder.addEventListener("close", () => { this.name = null; });
  }

  open(row, view) {
    this.name = row.name;
    this.facts = node("dl");
    this.said = node("p", { class: "said", role: "status", hidden: true });
    this.story = node("ul", { class: "lines story" }, node("li", {}, "One moment"));
    this.form = view.writable ? this.makeForm(row) : node("p", { class: "soft" }, "Overrides are not set from this page; oadr2 gateway override does it.");
    this.holder.replaceChildren(
      node("div", { class: "top" }, node("h2", { id: "dialog-title" }, row.name),
        node("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.holder.close() }, "✕")),
      this.facts, node("h3", {}, "Override"), this.form, this.said, node("h3", {}, "What happened"), this.story);
    this.show(view);
    this.holder.showModal();
    this.tell();
  }

  // The facts move on while the dialog is open; the form is left alone.
  show(view) {
    const row = this.name && this.look(this.name);
    if (!row) return;
    const [kind, word, reason] = rulerOf(row);
    const unit = row.unit ? ` ${row.unit}` : "";
    const facts = [
      ["Device says", row.found === null ? "–" : `${value(row.found)}${unit}`],
      ["Accepted last", `${value(row.written)}${typeof row.written === "number" ? unit : ""}`],
      ["Wanted", `${value(row.wanted)}${row.wanted === "released" ? "" : unit}${row.settled ? "" : ", not there yet"}`],
      ["Ruled by", node("span", {}, node("span", { class: `cause ${kind}` }, word), reason ? ` ${reason}` : "")],
      row.problem ? ["Fails", node("span", { class: "problem" }, row.problem)] : null,
      row.override_until === null ? null : ["Held by", `${row.override_by}, until ${moment(row.override_until, view.now)}`],
      ["Device", `${row.driver}, ${row.device}`],
      ["Heard", row.seen_at === null ? "never" : `${ago(view.now - row.seen_at)}, ${moment(row.seen_at, view.now, true)}`],
    ];
    this.facts.replaceChildren(...facts.filter(Boolean).flatMap(([name, content]) => [node("dt", {}, name), node("dd", {}, content)]));
    if (this.end) this.end.hidden = row.override_until === null;
  }

  makeForm(row) {
    const number = node("input", { type: "number", step: "any", id: "override-value", min: row.lowest, max: row.highest, required: true });
    const choices = row.choices.map((choice) => node("button", { type: "button", "aria-pressed": "false", onclick: (click) => {
      for (const other of choices) other.setAttribute("aria-pressed", String(other === click.currentTarget));
      this.choice = choice;
      number.required = choice !== "released";
      number.value = choice === "released" ? "" : choice;
    } }, choice === "released" ? "release" : `${value(choice)}${row.unit ? ` ${row.unit}` : ""}`));
    this.choice = null;
    number.addEventListener("input", () => {
      this.choice = null;
      number.required = true;
      for (const other of choices) other.setAttribute("aria-pressed", "false");
    });
    const kept = localStorage.getItem(KEPT_TIME) || "1h";
    const time = node("select", { id: "override-time" }, ...Object.entries(TIMES).map(([key, word]) => node("option", { value: key, selected: key === kept }, word)));
    const by = node("input", { type: "text", maxlength: "60", autocomplete: "name", id: "override-by" });
    by.value = localStorage.getItem(KEPT_NAME) || "";
    this.token = node("input", { type: "password", autocomplete: "off", id: "override-token" });
    this.token.value = sessionStorage.getItem(KEPT_TOKEN) || "";
    this.tokenLabel = node("label", { class: "whole", hidden: this.token.value !== "" }, "Token", this.token);
    this.end = node("button", { type: "button", id: "override-end", onclick: () => this.send("/api/override/end", { point: row.name }) }, "End override");
    return node("form", { onsubmit: (submit) => {
      submit.preventDefault();
      localStorage.setItem(KEPT_NAME, by.value);
      localStorage.setItem(KEPT_TIME, time.value);
      const held = this.choice === "released" ? "released" : Number(number.value);
      this.send("/api/override", { point: row.name, value: held, for: time.value, by: by.value });
    } },
    node("div", { class: "values" }, ...choices),
    node("div", { class: "fields" },
      node("label", {}, `Value${row.unit ? `, ${row.unit}` : ""}`, number), node("label", {}, "For", time),
      node("label", { class: "whole" }, "Your name, for the audit log", by), this.tokenLabel),
    node("div", { class: "go" }, this.end, node("button", { type: "submit", class: "main", id: "override-go" }, "Hold")));
  }

  async send(path, body) {
    let said, kind = "good";
    try {
      const answer = await fetch(path, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${this.token.value}` },
        body: JSON.stringify(body),
      });
      const data = await answer.json();
      if (answer.ok) {
        sessionStorage.setItem(KEPT_TOKEN, this.token.value);
        this.tokenLabel.hidden = true;
        said = path.endsWith("/end") ? "The override has ended." : `Held until ${clock(data.until)}.`;
      } else {
        kind = "bad";
        said = `Not done: ${data.error}.`;
        if (answer.status === 401) this.tokenLabel.hidden = false;
      }
    } catch (error) {
      [kind, said] = ["bad", `Not done: the gateway was not reached (${error.message}).`];
    }
    this.said.className = `said ${kind}`;
    this.said.textContent = said;
    this.said.hidden = false;
    document.documentElement.dataset.said = said;
    this.refresh();
    setTimeout(() => this.tell(), 400); // the log is written a moment later
  }

  async tell() {
    const { name } = this;
    if (!name) return;
    let lines;
    try {
      const answer = await fetch(`/api/audit?limit=40&point=${encodeURIComponent(name)}`);
      lines = (await answer.json()).lines;
    } catch {
      return; // the page says already that the gateway is not reached
    }
    if (name !== this.name || !lines) return;
    const now = Date.now() / 1000;
    this.story.replaceChildren(...lines.reverse().map((line) => {
      const values = line.new === null ? "" : line.old === null ? ` ${value(line.new)}` : ` ${value(line.old)} → ${value(line.new)}`;
      const back = line.read_back === null ? "" : `, read back ${value(line.read_back)}`;
      return node("li", {}, node("time", {}, moment(line.at, now, true)),
        node("span", {}, node("b", {}, line.kind), `${values}${back}: ${line.reason}${line.event_id ? `, ${line.event_id}` : ""}`));
    }));
    if (!lines.length) this.story.replaceChildren(node("li", {}, "Nothing is known."));
  }
}
