// The charts of a station.

import { area, broken, days, frame, legend, levels, line, linear, roundRange, svg, table, ticks, withHair } from "./chart.js";
import * as words from "./words.js";

const HOUR = 3600000;
/** Nothing known for longer than this is shown as nothing. */
const HOLE = 3 * HOUR;

let count = 0;

/** Intervals of a lead, the widest first: what share of outcomes they are to hold, and their ends in °C. */
export function intervals(lead) {
  return lead.intervals ?? [];
}

/** A forecast with the intervals of each lead: those between its quantiles, or else the one that it has. */
export function withIntervals(forecast) {
  if (!forecast) return forecast;
  const levels = forecast.quantiles ?? [];
  const leads = forecast.leads.map((lead) => {
    const found = [];
    if (lead.quantiles_c) {
      levels.forEach((level, index) => {
        const mirror = levels.findIndex((other) => Math.abs(level + other - 1) < 1e-6);
        if (mirror > index) found.push({ share: levels[mirror] - level, low: lead.quantiles_c[index], high: lead.quantiles_c[mirror] });
      });
    } else if (lead.low_c !== undefined) {
      found.push({ share: 0.8, low: lead.low_c, high: lead.high_c });
    }
    return { ...lead, intervals: found.map((interval) => ({ ...interval, share: Math.round(interval.share * 100) / 100 })) };
  });
  return { ...forecast, leads };
}

/** The interval that is said in words: the one of 80 %. */
export function saidInterval(lead) {
  const all = intervals(lead);
  return all.find((interval) => Math.abs(interval.share - 0.8) < 0.01) ?? all[0];
}

/** Draws `paint` twice: what lies above freezing in one colour, what lies below in the other. */
function byFreezing(chart, y, paint) {
  const zero = Math.max(chart.inner.top - 4, Math.min(chart.inner.bottom + 4, y(words.shown(0))));
  const clip = (name, top, bottom) => {
    count += 1;
    const id = `${name}-${count}`;
    chart.root.append(svg("clipPath", { id }, svg("rect", {
      x: 0, y: top, width: chart.width, height: Math.max(0, bottom - top),
    })));
    return `url(#${id})`;
  };
  const warm = clip("warm", chart.inner.top - 8, zero);
  const cold = clip("cold", zero, chart.inner.bottom + 8);
  chart.root.append(svg("g", { class: "warm", "clip-path": warm }, paint()), svg("g", { class: "cold", "clip-path": cold }, paint()));
}

/** What was observed, and the hours ahead as a fan. */
export function fan(width, observed, forecast, now, isStale) {
  const back = width < 560 ? 24 : 48;
  const leads = (forecast?.leads ?? []).map((lead) => ({ ...lead, at: Date.parse(lead.valid_at) }));
  const origin = forecast ? Date.parse(forecast.issued_at) : now;
  const from = now - back * HOUR;
  const to = Math.max(now, leads.at(-1)?.at ?? now + 24 * HOUR);
  const seen = observed.filter((point) => point.at >= from && point.at <= to);
  const values = [
    ...seen.map((point) => point.celsius),
    ...leads.flatMap((lead) => [lead.temperature_c, ...intervals(lead).flatMap((interval) => [interval.low, interval.high])]),
  ].map(words.shown);
  if (values.length === 0) return [];

  const height = width < 560 ? 270 : 330;
  const chart = frame(width, height, { left: 40, right: 14, top: 22, bottom: 46 });
  const [low, high] = roundRange(values, words.shownDifference(4), 5);
  const x = linear(from, to, chart.inner.left, chart.inner.right);
  const y = linear(low, high, chart.inner.bottom, chart.inner.top);
  levels(chart, y, ticks(low, high, 5).values, words.tick, words.shown(0));
  days(chart, x, from, to);

  const at = (point) => point && [x(point.at), y(words.shown(point.celsius))];
  const begin = { at: origin, celsius: forecast?.temperature_c };
  byFreezing(chart, y, () => {
    const parts = [];
    const shares = leads.length > 0 ? intervals(leads[0]).map((interval) => interval.share) : [];
    for (const share of shares) {
      const ends = leads.map((lead) => [lead.at, intervals(lead).find((interval) => interval.share === share)]);
      const known = ends.filter(([, interval]) => interval);
      const high = known.map(([when, interval]) => at({ at: when, celsius: interval.high }));
      const low = known.map(([when, interval]) => at({ at: when, celsius: interval.low }));
      parts.push(svg("path", { class: "band", d: area([at(begin), ...high], [at(begin), ...low]) }));
    }
    parts.push(svg("path", { class: "observed", d: line(broken(seen, HOLE).map(at)) }));
    if (leads.length > 0) {
      const median = [begin, ...leads.map((lead) => ({ at: lead.at, celsius: lead.temperature_c }))];
      parts.push(svg("path", { class: "median", d: line(median.map(at)) }));
    }
    return parts;
  });

  const line_x = x(now);
  chart.root.append(
    svg("line", { class: "now", x1: line_x, x2: line_x, y1: chart.inner.top - 6, y2: chart.inner.bottom }),
    svg("text", { class: "now", x: line_x, y: chart.inner.top - 10, "text-anchor": "middle", "aria-hidden": "true" }, isStale ? "last reading" : "now"),
  );

  const last = leads.at(-1);
  const title = last
    ? `Observed temperature of the last ${back} hours, and the forecast of the next ${words.plural(Math.round((last.at - origin) / HOUR), "hour")}: ${words.degrees(last.temperature_c)} at its end.`
    : `Observed temperature of the last ${back} hours.`;
  chart.root.setAttribute("aria-label", title);
  const hourly = seen.filter((point, index) => index === seen.length - 1 || !sameHour(point.at, seen[index + 1].at));
  const stops = [
    ...hourly.map((point) => ({ at: point.at, say: `${words.time.dayAndClock(point.at)}: observed ${words.degrees(point.celsius)}` })),
    ...leads.map((lead) => ({ at: lead.at, say: `${words.time.dayAndClock(lead.at)}: ${leadSaid(lead)}` })),
  ];
  const entries = [["observed", "observed"]];
  if (leads.length > 0) entries.push(["median", forecast.source === "model" ? "forecast" : "reference forecast"]);
  for (const { share } of leads.length > 0 ? intervals(leads[0]) : []) {
    entries.push([`band share-${Math.round(share * 100)}`, `${words.percent(share)} interval`]);
  }
  return [
    ...withHair(chart, stops.map((stop) => x(stop.at)), (index) => stops[index].say, title, legend(entries)),
    leads.length > 0 && table(
      "The hours ahead",
      ["Time", "Temperature", ...intervals(leads[0]).map(({ share }) => `${words.percent(share)} interval`)],
      leads.map((lead) => [
        words.time.dayAndClock(lead.at),
        words.degrees(lead.temperature_c),
        ...intervals(lead).map((interval) => `${words.degrees(interval.low)} to ${words.degrees(interval.high)}`),
      ]),
    ),
  ];
}

function sameHour(one, other) {
  return Math.floor(one / HOUR) === Math.floor(other / HOUR);
}

export function leadSaid(lead) {
  const interval = saidInterval(lead);
  const median = words.degrees(lead.temperature_c);
  return interval
    ? `${median}, with ${words.percent(interval.share)} from ${words.degrees(interval.low)} to ${words.degrees(interval.high)}`
    : median;
}

/** Mean absolute error by lead, beside the reference forecasts. */
export function byLead(width, leads) {
  const kinds = [
    ["model", "mae_c", "forecast"],
    ["persistence", "persistence_mae_c", "same as now"],
    ["yesterday", "yesterday_mae_c", "same as yesterday"],
  ];
  const known = (lead, key) => lead[key] !== null && lead[key] !== undefined;
  const shownKinds = kinds.filter(([, key]) => leads.some((lead) => known(lead, key)));
  const values = leads.flatMap((lead) => shownKinds.map(([, key]) => lead[key])).filter((value) => value !== null && value !== undefined);
  if (values.length === 0) return [];
  const chart = frame(width, 240, { left: 40, right: 14, top: 14, bottom: 40 });
  const high = roundRange([0, ...values.map(words.shownDifference)], words.shownDifference(1), 4)[1];
  const longest = leads.at(-1).lead_h;
  const x = linear(0, longest, chart.inner.left, chart.inner.right);
  const y = linear(0, high, chart.inner.bottom, chart.inner.top);
  levels(chart, y, ticks(0, high, 4).values, words.tick, undefined);
  const axis = svg("g", { class: "times", "aria-hidden": "true" });
  for (const lead of ticks(0, longest, 4).step >= 5 ? [6, 12, 18, 24].filter((hour) => hour <= longest) : ticks(0, longest, 4).values) {
    axis.append(svg("text", { x: x(lead), y: chart.inner.bottom + 18, "text-anchor": "middle" }, words.number(lead)));
  }
  axis.append(svg("text", { x: (chart.inner.left + chart.inner.right) / 2, y: chart.inner.bottom + 35, "text-anchor": "middle", class: "day" }, "hours ahead"));
  chart.root.append(axis);
  for (const [kind, key] of [...shownKinds].reverse()) {
    const points = leads.filter((lead) => known(lead, key)).map((lead) => [x(lead.lead_h), y(words.shownDifference(lead[key]))]);
    chart.root.append(svg("path", { class: `score ${kind}`, d: line(points) }));
  }
  const label = `Mean absolute error in ${words.unitName()} by hours ahead, of the forecast and of the reference forecasts`;
  chart.root.setAttribute("aria-label", label);
  const say = (index) => {
    const lead = leads[index];
    const errors = shownKinds.filter(([, key]) => known(lead, key)).map(([, key, name]) => `${name} ${words.difference(lead[key])}`);
    return `${words.plural(lead.lead_h, "hour")} ahead, off by: ${errors.join(", ")}`;
  };
  return [
    ...withHair(chart, leads.map((lead) => x(lead.lead_h)), say, label, legend(shownKinds.map(([kind, , name]) => [`score ${kind}`, name]))),
    table(
      label,
      ["Hours ahead", ...shownKinds.map(([, , name]) => name), "forecasts"],
      leads.map((lead) => [
        words.number(lead.lead_h),
        ...shownKinds.map(([, key]) => (known(lead, key) ? words.difference(lead[key]) : "–")),
        words.number(lead.forecasts),
      ]),
    ),
  ];
}

/** Each of the last days as a column: how far off the forecast was, and whether "same as now" was further. */
export function daily(width, list) {
  const chart = frame(width, 132, { left: 40, right: 14, top: 10, bottom: 26 });
  const errors = list.map((day) => words.shownDifference(day.mae_c));
  const references = list.map((day) => words.shownDifference(day.persistence_mae_c));
  const high = roundRange([0, ...errors, ...references], words.shownDifference(1), 3)[1];
  const y = linear(0, high, chart.inner.bottom, chart.inner.top);
  const step = (chart.inner.right - chart.inner.left) / Math.max(list.length, 10);
  levels(chart, y, ticks(0, high, 3).values, words.tick, undefined);
  const middles = list.map((_, index) => chart.inner.left + (index + 0.5) * step);
  list.forEach((day, index) => {
    const isCloser = day.mae_c < day.persistence_mae_c;
    const top = y(errors[index]);
    const wide = Math.min(step * 0.7, 26);
    chart.root.append(
      svg("rect", {
        x: middles[index] - wide / 2, y: top, width: wide, height: chart.inner.bottom - top, rx: 2,
        class: isCloser ? "column closer" : "column further",
      }),
      svg("line", {
        x1: middles[index] - wide / 2 - 1, x2: middles[index] + wide / 2 + 1, y1: y(references[index]), y2: y(references[index]), class: "reference",
      }),
    );
  });
  const axis = svg("g", { class: "times", "aria-hidden": "true" });
  const every = Math.max(1, Math.ceil(84 / step));
  list.forEach((day, index) => {
    if ((list.length - 1 - index) % every === 0 && middles[index] > chart.inner.left + 24) {
      axis.append(svg("text", { x: Math.min(middles[index], chart.inner.right - 24), y: chart.inner.bottom + 18, "text-anchor": "middle" }, words.time.calendarDay(day.date)));
    }
  });
  chart.root.append(axis);
  const label = "Mean absolute error of the forecast by day, beside that of “same as now”";
  chart.root.setAttribute("aria-label", label);
  const say = (index) => {
    const day = list[index];
    return `${words.time.calendarDay(day.date)}: off by ${words.difference(day.mae_c)}, “same as now” by ${words.difference(day.persistence_mae_c)}`;
  };
  return [
    ...withHair(chart, middles, say, label, legend([
      ["column closer", "closer than “same as now”"], ["column further", "not closer"], ["reference", "“same as now”"],
    ])),
    table(label, ["Day", "forecast", "same as now", "same as yesterday"], list.map((day) => [
      words.time.calendarDay(day.date),
      words.difference(day.mae_c),
      words.difference(day.persistence_mae_c),
      day.yesterday_mae_c === null ? "–" : words.difference(day.yesterday_mae_c),
    ])),
  ];
}

/** Forecasts of the last week, each as it was said so many hours before, beside what was observed. */
export function week(width, list, leadHours) {
  const points = list.map((past) => ({ ...past, at: Date.parse(past.valid_at) }));
  if (points.length === 0) return [];
  const [from, to] = [points[0].at, points.at(-1).at];
  const values = points
    .flatMap((past) => [past.temperature_c, past.low_c, past.high_c, past.observed_c])
    .filter((value) => value !== null)
    .map(words.shown);
  const chart = frame(width, 250, { left: 40, right: 14, top: 14, bottom: 30 });
  const [low, high] = roundRange(values, words.shownDifference(4), 4);
  const x = linear(from, Math.max(to, from + HOUR), chart.inner.left, chart.inner.right);
  const y = linear(low, high, chart.inner.bottom, chart.inner.top);
  levels(chart, y, ticks(low, high, 4).values, words.tick, words.shown(0));
  days(chart, x, from, to, false);
  const at = (when, celsius) => [x(when), y(words.shown(celsius))];
  const runs = [[]];
  points.forEach((past, index) => {
    if (index > 0 && past.at - points[index - 1].at > HOLE) runs.push([]);
    runs.at(-1).push(past);
  });
  for (const run of runs) {
    const held = run.filter((past) => past.low_c !== null);
    chart.root.append(
      svg("path", { class: "past-band", d: area(held.map((past) => at(past.at, past.high_c)), held.map((past) => at(past.at, past.low_c))) }),
      svg("path", { class: "past-median", d: line(run.map((past) => at(past.at, past.temperature_c))) }),
    );
  }
  const observed = points.filter((past) => past.observed_c !== null);
  chart.root.append(svg("path", {
    class: "past-observed",
    d: line(broken(observed, HOLE).map((past) => past && at(past.at, past.observed_c))),
  }));
  const label = `Forecasts of the last week as they were ${words.plural(leadHours, "hour")} before, beside what was observed`;
  chart.root.setAttribute("aria-label", label);
  const interval = (past) => (past.low_c === null ? "" : `, ${words.degrees(past.low_c)} to ${words.degrees(past.high_c)}`);
  const seen = (past) => (past.observed_c === null ? "nothing observed" : `observed ${words.degrees(past.observed_c)}`);
  const say = (index) => {
    const past = points[index];
    return `${words.time.dayAndClock(past.at)}: forecast ${words.degrees(past.temperature_c)}${interval(past)}; ${seen(past)}`;
  };
  const entries = [["past-observed", "observed"], ["past-median", `forecast ${words.plural(leadHours, "hour")} before`]];
  if (points.some((past) => past.low_c !== null)) entries.push(["past-band", "80 % interval"]);
  const rows = points.filter((past) => new Date(past.at).getHours() % 6 === 0);
  return [
    ...withHair(chart, points.map((past) => x(past.at)), say, label, legend(entries)),
    table(`${label}, every six hours`, ["Time", "Forecast", "Interval", "Observed"], rows.map((past) => [
      words.time.dayAndClock(past.at),
      words.degrees(past.temperature_c),
      past.low_c === null ? "–" : `${words.degrees(past.low_c)} to ${words.degrees(past.high_c)}`,
      past.observed_c === null ? "–" : words.degrees(past.observed_c),
    ])),
  ];
}

/** A day back and a day ahead in a line of a list. */
export function sparkline(observed, forecast) {
  const [width, height] = [168, 44];
  const values = [...observed, ...forecast].filter((value) => value !== null);
  if (values.length < 2) return svg("svg", { width, height, "aria-hidden": "true", class: "spark" });
  const low = Math.min(...values);
  const high = Math.max(...values, low + 3);
  const x = linear(-(observed.length - 1), forecast.length, 3, width - 3);
  const y = linear(low, high, height - 5, 5);
  const back = observed.map((value, index) => (value === null ? null : [x(index - observed.length + 1), y(value)]));
  const newest = observed.at(-1) ?? null;
  const ahead = [newest, ...forecast].map((value, index) => (value === null ? null : [x(index), y(value)]));
  return svg(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMinYMid", "aria-hidden": "true", class: "spark" },
    svg("path", { class: "spark-observed", d: line(back) }),
    svg("path", { class: "spark-forecast", d: line(ahead) }),
    newest !== null && svg("circle", { class: "spark-now", cx: x(0), cy: y(newest), r: 3 }),
  );
}
