// Values, moments and spans as people read them; and how nodes are made.

export const value = (v) => (v === null || v === undefined ? "–" : v === "released" ? "released" : String(+(+v).toPrecision(6)));
export const count = (n) => n.toLocaleString("en");

export const span = (s) => {
  if (s < 1) return `${Math.max(0, Math.round(s * 1000))} ms`;
  if (s < 99.5) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 129600) return `${+(s / 3600).toFixed(s < 36000 ? 1 : 0)} h`;
  return `${+(s / 86400).toFixed(1)} d`;
};
export const ago = (s) => (s < 1.5 ? "now" : `${span(s)} ago`);

const pad = (n) => String(n).padStart(2, "0");
export const clock = (t, seconds = false) => {
  const d = new Date(t * 1000);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}${seconds ? `:${pad(d.getSeconds())}` : ""}`;
};
const day = (t) => new Date(t * 1000).toLocaleDateString("en", { weekday: "short", day: "numeric", month: "short" });
export const moment = (t, now, seconds = false) => {
  const same = new Date(t * 1000).toDateString() === new Date(now * 1000).toDateString();
  return same ? clock(t, seconds) : `${day(t)}, ${clock(t, seconds)}`;
};

// node("div", {class: "tile"}, "text", child): text is never read as markup.
export const node = (name, attributes = {}, ...inside) => {
  const made = document.createElement(name);
  for (const [key, content] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), content);
    else if (content !== false && content !== null) made.setAttribute(key, content === true ? "" : content);
  }
  made.append(...inside.filter((part) => part !== null && part !== undefined));
  return made;
};
