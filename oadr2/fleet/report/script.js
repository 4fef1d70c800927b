"use strict";
// Draws the plots described in #plots at the width they have, and reads them out under the pointer.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const TOP = 20, BOTTOM = 26, LEFT = 54;
  const PRINTED = 680;

  const span = (us) => {
    if (us === 0) return "0";
    if (us < 1e3) return `${Math.round(us)} µs`;
    if (us < 1e6) return `${+(us / 1e3).toPrecision(3)} ms`;
    if (us < 6e7) return `${+(us / 1e6).toPrecision(3)} s`;
    return clock(us / 1e6);
  };
  const clock = (s) => {
    const whole = Math.round(s), m = Math.floor(whole / 60), rest = String(whole % 60).padStart(2, "0");
    return m < 60 ? `${m}:${rest}` : `${Math.floor(m / 60)}:${String(m % 60).padStart(2, "0")}:${rest}`;
  };
  const number = (v) => (v >= 1e6 ? `${+(v / 1e6).toPrecision(3)} M` : v >= 1e4 ? `${+(v / 1e3).toPrecision(3)} k`
    : v.toLocaleString("en", { maximumFractionDigits: v < 10 ? 2 : 0 }));
  const share = (v) => `${+v.toFixed(v > 99 && v < 100 ? 2 : 1)} %`;
  const percentile = (x) => `${+(100 * (1 - 1 / x)).toFixed(x < 99 ? 0 : x < 999 ? 1 : x < 9999 ? 2 : 4)}`;
  const WORDS = { us: span, time: clock, count: number, rate: number, share, percentile: (x) => `p${percentile(x)}` };

  const linearTicks = (low, high, room) => {
    const rough = (high - low) / Math.max(1, room);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((s) => s >= rough);
    const ticks = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) ticks.push(v);
    return ticks;
  };
  const timeTicks = (low, high, room) => {
    const rough = (high - low) / Math.max(1, room);
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400]
      .find((s) => s >= rough) || rough;
    const ticks = [];
    for (let v = Math.ceil(low / step) * step; v <= high; v += step) ticks.push(v);
    return ticks;
  };
  const logTicks = (low, high) => {
    const few = Math.log10(high / low) < 1.7, ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const k of few ? [1, 2, 5] : [1]) {
        const v = k * 10 ** e;
        if (v >= low * 0.999 && v <= high * 1.001) ticks.push(v);
      }
    return ticks;
  };

  const make = (name, attributes, parent, text) => {
    const node = document.createElementNS(SVG, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  };

  const draw = (holder, plot, given) => {
    const width = given || holder.clientWidth || PRINTED, height = plot.height || (width < 480 ? 210 : 240);
    const labels = plot.labels && width > 420;
    const right = labels ? 48 : 12;
    const w = width - LEFT - right, h = height - TOP - BOTTOM;
    const values = plot.series.flatMap((s) => s.values).filter((v) => v !== null && (plot.y !== "log" || v > 0));
    let sums = values;
    if (plot.stacked) sums = plot.xs.map((_, i) => plot.series.reduce((t, s) => t + s.values[i], 0));
    let low = 0, high = Math.max(plot.top || 0, ...sums);
    if (plot.y === "log") {
      low = Math.min(...values); high = Math.max(...values);
      low = 10 ** (Math.floor(Math.log10(low) * 2) / 2); high = 10 ** (Math.ceil(Math.log10(high) * 2) / 2);
      if (high <= low) high = low * 10;
    } else if (plot.top === undefined) {
      const ticks = linearTicks(0, high || 1, 4);
      high = ticks[ticks.length - 1] >= high ? ticks[ticks.length - 1] : ticks[ticks.length - 1] + (ticks[1] - ticks[0]);
      if (high === 0 || !isFinite(high)) high = 1;
    }
    const [x0, x1] = plot.range;
    const X = plot.x === "percentile"
      ? (v) => LEFT + (Math.log(v / x0) / Math.log(x1 / x0)) * w
      : (v) => LEFT + ((v - x0) / (x1 - x0)) * w;
    const Y = plot.y === "log"
      ? (v) => TOP + h - (Math.log(Math.max(v, low) / low) / Math.log(high / low)) * h
      : (v) => TOP + h - (v / high) * h;

    holder.querySelectorAll("svg").forEach((old) => old.remove());
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": plot.summary }, holder);

    const yTicks = plot.y === "log" ? logTicks(low, high) : linearTicks(0, high, 4);
    for (const v of yTicks) {
      make("line", { class: "grid", x1: LEFT, x2: LEFT + w, y1: Y(v), y2: Y(v) }, svg);
      make("text", { x: LEFT - 8, y: Y(v) + 4, "text-anchor": "end" }, svg, WORDS[plot.unit](v));
    }
    const room = Math.max(2, Math.floor(w / 90));
    const xTicks = plot.x === "percentile"
      ? [2, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7].filter((v) => v <= x1 * 1.001)
      : plot.x === "us" ? linearTicks(x0, x1, room) : timeTicks(x0, x1, room);
    for (const v of xTicks)
      make("text", { x: X(v), y: TOP + h + 18, "text-anchor": "middle" }, svg, WORDS[plot.x](v));
    make("line", { class: "axis", x1: LEFT, x2: LEFT + w, y1: TOP + h, y2: TOP + h }, svg);

    let free = -1e9;
    for (const band of plot.bands || []) {
      if (band.at > x0) make("line", { class: "stage", x1: X(band.at), x2: X(band.at), y1: 6, y2: TOP + h }, svg);
      if (X(band.at) < free) continue;
      const text = make("text", { x: X(band.at) + 5, y: 12 }, svg, band.label);
      free = X(band.at) + 12 + text.getComputedTextLength();
    }
    for (const mark of plot.marks || []) {
      const line = make("line", { class: "mark", x1: X(mark.at), x2: X(mark.at), y1: TOP, y2: TOP + h }, svg);
      make("title", {}, line, mark.label);
    }

    if (plot.stacked) {
      const bar = Math.max(1, Math.min(26, (w / plot.xs.length) * 0.82));
      plot.xs.forEach((x, i) => {
        let sum = 0;
        for (const s of plot.series) {
          const v = s.values[i];
          if (!v) continue;
          const y = Y(sum + v), below = Y(sum);
          make("rect", { x: X(x - plot.step / 2) - bar / 2, width: bar, y, height: Math.max(1, below - y - (sum ? 1 : 0)),
            fill: `var(${s.color})` }, svg);
          sum += v;
        }
      });
    } else {
      const ends = [];
      for (const s of plot.series) {
        let path = "", first = null, last = null;
        plot.xs.forEach((x, i) => {
          const v = s.values[i];
          if (v === null || (plot.y === "log" && v <= 0)) { if (path && !path.endsWith(" ")) path += " "; return; }
          const at = [X(x), Y(v)];
          path += `${!path || path.endsWith(" ") ? "M" : "L"}${at[0].toFixed(1)},${at[1].toFixed(1)}`;
          first = first || at; last = at;
        });
        if (!path) continue;
        if (s.area && !path.includes(" "))
          make("path", { d: `${path}L${last[0]},${TOP + h}L${first[0]},${TOP + h}Z`, fill: `var(${s.color})`, opacity: 0.12 }, svg);
        make("path", { class: "line", d: path, stroke: `var(${s.color})` }, svg);
        if (plot.xs.length === 1) make("circle", { cx: last[0], cy: last[1], r: 4, fill: `var(${s.color})` }, svg);
        ends.push({ y: last[1], name: s.name });
      }
      if (labels) {
        ends.sort((a, b) => a.y - b.y);
        ends.forEach((end, i) => { if (i) end.y = Math.max(end.y, ends[i - 1].y + 14); });
        for (const end of ends) make("text", { class: "label", x: LEFT + w + 7, y: end.y + 4 }, svg, end.name);
      }
    }
    const cross = make("g", { visibility: "hidden" }, svg);
    return { svg, cross, X, Y, h, w, width };
  };

  const readOut = (holder, plot, state, index) => {
    let tip = holder.querySelector(".tip");
    if (!tip) { tip = document.createElement("div"); tip.className = "tip"; holder.appendChild(tip); }
    const { cross, X, Y, h, width } = state.drawn, x = plot.xs[index];
    const at = X(plot.stacked ? x - plot.step / 2 : x);
    cross.setAttribute("visibility", "visible");
    cross.replaceChildren();
    make("line", { class: "cross", x1: at, x2: at, y1: TOP, y2: TOP + h }, cross);
    tip.replaceChildren();
    const head = document.createElement("b");
    head.textContent = plot.x === "us" ? `within ${span(x)}` : plot.x === "percentile" ? `${percentile(x)} % are within` : clock(x);
    tip.appendChild(head);
    for (const s of plot.series) {
      const v = s.values[index];
      if (v === null || (plot.stacked && !v)) continue;
      if (!plot.stacked) make("circle", { class: "dot", cx: at, cy: Y(v), r: 4.5, fill: `var(${s.color})` }, cross);
      const row = document.createElement("div"), key = document.createElement("i"), value = document.createElement("em");
      key.style.background = `var(${s.color})`;
      value.textContent = WORDS[plot.unit](v);
      row.append(key, s.name, value);
      tip.appendChild(row);
    }
    if (tip.childElementCount === 1) tip.append(plot.stacked ? "none" : "nothing");
    tip.hidden = false;
    tip.style.left = at > width / 2 ? "auto" : `${at + 12}px`;
    tip.style.right = at > width / 2 ? `${width - at + 12}px` : "auto";
    state.index = index;
  };

  const hide = (holder, state) => {
    const tip = holder.querySelector(".tip");
    if (tip) tip.hidden = true;
    state.drawn.cross.setAttribute("visibility", "hidden");
  };

  const nearest = (plot, state, x) => {
    let best = 0, distance = Infinity;
    plot.xs.forEach((value, i) => {
      const d = Math.abs(state.drawn.X(plot.stacked ? value - plot.step / 2 : value) - x);
      if (d < distance) { best = i; distance = d; }
    });
    return best;
  };

  const plots = JSON.parse(document.getElementById("plots").textContent);
  const drawAll = [];
  for (const [id, plot] of Object.entries(plots)) {
    const holder = document.getElementById(id), state = { index: 0 };
    holder.tabIndex = 0;
    const redraw = (width) => { hideTip(); state.drawn = draw(holder, plot, width); };
    const hideTip = () => { const tip = holder.querySelector(".tip"); if (tip) tip.hidden = true; };
    redraw();
    drawAll.push(redraw);
    const move = (event) => readOut(holder, plot, state, nearest(plot, state, event.clientX - holder.getBoundingClientRect().left));
    holder.addEventListener("pointermove", move);
    holder.addEventListener("pointerdown", move);
    holder.addEventListener("pointerleave", () => hide(holder, state));
    holder.addEventListener("blur", () => hide(holder, state));
    holder.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") hide(holder, state);
      if (!step) return;
      event.preventDefault();
      readOut(holder, plot, state, Math.min(plot.xs.length - 1, Math.max(0, state.index + step)));
    });
    let seen = holder.clientWidth;
    new ResizeObserver(() => {
      if (holder.clientWidth !== seen) { seen = holder.clientWidth; redraw(); }
    }).observe(holder);
  }
  addEventListener("beforeprint", () => drawAll.forEach((redraw) => redraw(PRINTED)));
  addEventListener("afterprint", () => drawAll.forEach((redraw) => redraw()));
  document.documentElement.dataset.drawn = String(drawAll.length);
})();
