// What charts are made of: elements, scales, axes, lines, areas, and a hair line that can be moved by pointer and keyboard.

import * as words from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Children are elements or text, which is never taken for markup. */
export function html(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A station's name, in whichever direction it is written. */
export function nameOf(station) {
  return html("bdi", { class: "name" }, station);
}

export function linear(from, to, low, high) {
  const scale = (value) => low + ((value - from) / (to - from || 1)) * (high - low);
  scale.invert = (position) => from + ((position - low) / (high - low || 1)) * (to - from);
  return scale;
}

/** Round numbers that divide a range. */
export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? power;
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + 1e-9; index += 1) {
    found.push(Number((index * step).toPrecision(12)));
  }
  return { step, values: found };
}

/** A range that round numbers bound and that is not too narrow to be read. */
export function roundRange(values, least, wanted) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  const lacking = least - (high - low);
  if (lacking > 0) {
    low -= lacking / 2;
    high += lacking / 2;
  }
  const { step } = ticks(low, high, wanted);
  return [Math.floor(low / step) * step, Math.ceil(high / step) * step];
}

/** The full hours between two times that are multiples of `every` on the clock of this time zone. */
export function localHours(from, to, every) {
  const found = [];
  const at = new Date(from);
  at.setMinutes(0, 0, 0);
  for (let step = 0; at.getTime() <= to && step < 2000; step += 1) {
    if (at.getTime() >= from && at.getHours() % every === 0) found.push(at.getTime());
    at.setTime(at.getTime() + 3600000);
  }
  return found;
}

const position = (x, y) => `${x.toFixed(1)} ${y.toFixed(1)}`;

/** A line through points [x, y], broken where one is null. */
export function line(points) {
  let path = "";
  let isDown = false;
  for (const point of points) {
    if (point === null) {
      isDown = false;
      continue;
    }
    path += `${isDown ? "L" : "M"}${position(point[0], point[1])}`;
    isDown = true;
  }
  return path;
}

/** The area between two lines of points. */
export function area(upper, lower) {
  if (upper.length === 0) return "";
  return `${line(upper)}${line([...lower].reverse()).replace("M", "L")}Z`;
}

/** Points in time with breaks where nothing is known for longer than `longest`. */
export function broken(points, longest) {
  const found = [];
  points.forEach((point, index) => {
    if (index > 0 && point.at - points[index - 1].at > longest) found.push(null);
    found.push(point);
  });
  return found;
}

/** The frame of a chart: its size, its margins, an axis of temperature or error. */
export function frame(width, height, margin) {
  const inner = { left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom };
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart" });
  return { root, inner, width, height };
}

export function levels(chart, scale, values, label, emphasised) {
  const group = svg("g", { class: "levels", "aria-hidden": "true" });
  for (const value of values) {
    const y = scale(value);
    const isMain = value === emphasised;
    group.append(
      svg("line", { x1: chart.inner.left, x2: chart.inner.right, y1: y, y2: y, class: isMain ? "level main" : "level" }),
      svg("text", { x: chart.inner.left - 8, y: y + 4, "text-anchor": "end" }, label(value)),
    );
  }
  chart.root.append(group);
}

/** Hours below, and the days that they are of. */
export function days(chart, scale, from, to, hasHours = true) {
  const group = svg("g", { class: "times", "aria-hidden": "true" });
  const perHour = (chart.inner.right - chart.inner.left) / ((to - from) / 3600000);
  const every = hasHours ? [3, 6, 12].find((hours) => hours * perHour >= 38) : undefined;
  for (const at of localHours(from, to, 24)) {
    const x = scale(at);
    group.append(svg("line", { x1: x, x2: x, y1: chart.inner.top, y2: chart.inner.bottom + 6, class: "midnight" }));
  }
  const starts = localHours(from, to, 24);
  const first = starts.length === 0 || starts[0] > from ? [from, ...starts] : starts;
  first.forEach((at, index) => {
    const end = Math.min(first[index + 1] ?? to, to);
    const room = (end - at) / 3600000 * perHour;
    const fits = (candidate) => room >= candidate.length * 6.8 + 8;
    const text = [words.time.day(at), words.time.weekday(at)].find(fits);
    if (text === undefined) return;
    group.append(svg("text", { x: (scale(at) + scale(end)) / 2, y: chart.inner.bottom + (every ? 36 : 20), "text-anchor": "middle", class: "day" }, text));
  });
  if (every) {
    for (const at of localHours(from, to, every)) {
      const x = scale(at);
      if (x < chart.inner.left + 6 || x > chart.inner.right + 2) continue;
      group.append(svg("text", { x, y: chart.inner.bottom + 18, "text-anchor": "middle" }, words.time.hour(at)));
    }
  }
  chart.root.append(group);
}

/**
 * A chart with a hair line. `stops` are the x positions that it can stand at; `say` tells what is there. Pointer, touch and
 * arrow keys move it. `keys` is the legend.
 */
export function withHair(chart, stops, say, label, keys) {
  const readout = html("p", { class: "readout", "aria-live": "polite" });
  // What is read out takes the place of the legend, so that nothing moves.
  const under = html("div", { class: "under" }, readout, keys);
  const hair = svg("line", { class: "hair", y1: chart.inner.top, y2: chart.inner.bottom, visibility: "hidden" });
  chart.root.append(hair);
  let index = null;
  const show = (chosen) => {
    index = chosen;
    if (index === null || stops.length === 0) {
      hair.setAttribute("visibility", "hidden");
      readout.textContent = "";
      under.classList.remove("reading");
      return;
    }
    hair.setAttribute("x1", stops[index]);
    hair.setAttribute("x2", stops[index]);
    hair.setAttribute("visibility", "visible");
    readout.textContent = say(index);
    under.classList.add("reading");
  };
  const nearest = (event) => {
    const box = chart.root.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * chart.width;
    let best = 0;
    stops.forEach((stop, candidate) => {
      if (Math.abs(stop - x) < Math.abs(stops[best] - x)) best = candidate;
    });
    return best;
  };
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -6, PageDown: 6 };
  const holder = html("div", { class: "plot", tabindex: "0", role: "group", "aria-label": `${label}. Arrow keys read it out.` }, chart.root);
  holder.addEventListener("pointermove", (event) => show(nearest(event)));
  holder.addEventListener("pointerdown", (event) => show(nearest(event)));
  holder.addEventListener("pointerleave", () => show(null));
  holder.addEventListener("blur", () => show(null));
  holder.addEventListener("keydown", (event) => {
    if (event.key in steps && stops.length > 0) {
      const from = index ?? (steps[event.key] > 0 ? -1 : stops.length);
      show(Math.max(0, Math.min(stops.length - 1, from + steps[event.key])));
      event.preventDefault();
    } else if (event.key === "Escape") {
      show(null);
    }
  });
  // A chart that is drawn anew goes on reading out where it was.
  holder.readingAt = () => index;
  holder.readAt = (at) => show(at === null || stops.length === 0 ? null : Math.min(at, stops.length - 1));
  return [holder, under];
}

/** What a chart shows, as a table for those who would rather read. */
export function table(caption, columns, rows) {
  return html(
    "details",
    { class: "numbers" },
    html("summary", {}, "As a table"),
    html(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      html(
        "table",
        {},
        html("caption", {}, caption),
        html("thead", {}, html("tr", {}, columns.map((column) => html("th", { scope: "col" }, column)))),
        html(
          "tbody",
          {},
          rows.map((row) => html("tr", {}, row.map((cell, index) =>
            index === 0 ? html("th", { scope: "row" }, cell) : html("td", {}, cell)))),
        ),
      ),
    ),
  );
}

export function legend(entries) {
  return html(
    "ul",
    { class: "legend" },
    entries.map(([kind, text]) => html("li", {}, html("span", { class: `key ${kind}`, "aria-hidden": "true" }), text)),
  );
}
