// One station: now, the hours ahead, how good that has been, the last week, and what makes the forecasts.

import * as api from "./api.js";
import { html, nameOf } from "./chart.js";
import { byLead, daily, fan, saidInterval, week, withIntervals } from "./charts.js";
import * as words from "./words.js";

const HOUR = 3600000;
const DAY = 24 * HOUR;
const LEADS = [1, 6, 12, 24];
/** The past is asked for anew no more often than this. */
const PAST_EVERY_MS = 5000;
/** Readings that are older than this by the clock on the wall, though they come, are those of a replay. */
const REPLAY_AFTER = 3 * HOUR;
/** How long to wait before what could not be had is asked for again. */
const AGAIN_MS = 10000;

/** Shows a station in `main` until the function that this returns is called. */
export function showStation(main, name, { connected }) {
  const state = {
    station: null, observed: [], verification: null, days: null, past: null, models: [], lead: 24, isGone: false, hasJournal: true,
  };
  const parts = {
    banner: html("div", { class: "banners" }),
    now: html("section", { class: "hero", "aria-labelledby": "name" }),
    ahead: html("section", { class: "card" }),
    good: html("section", { class: "card" }),
    week: html("section", { class: "card" }),
    model: html("section", { class: "card" }),
  };
  main.replaceChildren(...Object.values(parts));
  document.title = `${name} – forecastd`;
  let isOver = false;

  // What changes together is drawn once.
  const dirty = new Set();
  const redraw = (...names) => {
    if (dirty.size === 0) {
      requestAnimationFrame(() => {
        const drawn = [...dirty];
        dirty.clear();
        if (isOver) return;
        for (const part of drawn) {
          try {
            draw[part]();
          } catch (error) {
            // What cannot be drawn of one part takes no other with it.
            console.error(error);
          }
        }
      });
    }
    names.forEach((part) => dirty.add(part));
  };
  const all = () => redraw("now", "ahead", "good", "week", "model");

  const draw = {
    now: () => drawNow(parts, state, name),
    ahead: () => keepOpen(parts.ahead, () => drawAhead(parts.ahead, state)),
    good: () => keepOpen(parts.good, () => drawGood(parts.good, state)),
    week: () => keepOpen(parts.week, () => drawWeek(parts.week, state, (lead) => {
      state.lead = lead;
      loadPast(true);
    })),
    model: () => keepOpen(parts.model, () => drawModel(parts.model, state)),
  };

  async function load() {
    state.station = await api.get(api.pathOf(name));
    state.station.forecast = withIntervals(state.station.forecast);
    state.isGone = false;
    // What was said in their place is over.
    if (parts.now.parentNode !== main) main.replaceChildren(...Object.values(parts));
    redraw("now", "ahead");
    // What the journal cannot give now is asked for again; the rest is shown.
    const ofJournal = loadObserved().catch(failed);
    const [models, verification] = await Promise.all([api.get("models"), api.get(`${api.pathOf(name)}/verification`)]);
    Object.assign(state, { models, verification });
    all();
    await ofJournal;
    await loadPast(true);
  }

  async function loadObserved() {
    const newest = Date.parse(state.station?.status.newest_reading ?? new Date().toISOString());
    const found = await api.get(`${api.pathOf(name)}/observations`, {
      quantity: "air_temperature_c", from: new Date(newest - 2 * DAY).toISOString(),
    });
    state.hasJournal = found.from === "journal";
    state.observed = found.observations.map((row) => ({ at: Date.parse(row.time), celsius: row.air_temperature_c }));
    redraw("ahead");
  }

  // A browser may know a zone that the daemon does not: its days are then those of UTC.
  let zone = words.zone;
  async function loadDays() {
    const ask = () => api.get(`${api.pathOf(name)}/verification/days`, { lead_h: 24, days: 30, time_zone: zone });
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof api.Failure) || error.status !== 400 || zone === "UTC") throw error;
      zone = "UTC";
      return ask();
    }
  }

  async function loadPast() {
    const newest = Date.parse(state.station?.status.newest_reading ?? new Date().toISOString());
    const from = new Date(newest - 7 * DAY).toISOString();
    const [past, days] = await Promise.all([
      api.get(`${api.pathOf(name)}/forecasts`, { lead_h: state.lead, every: "hour", from }),
      loadDays(),
    ]);
    Object.assign(state, { past, days });
    redraw("good", "week");
  }

  // Asked again while an answer is on its way, something is asked once more when it has come.
  const paced = (load, every) => {
    let isBusy = false;
    let isWanted = false;
    const run = async () => {
      if (isBusy) {
        isWanted = true;
        return;
      }
      isBusy = true;
      do {
        isWanted = false;
        try {
          await load();
        } catch (error) {
          failed(error);
        }
        await new Promise((resolve) => setTimeout(resolve, every));
      } while (isWanted && !isOver);
      isBusy = false;
    };
    return run;
  };
  let again = null;
  const failed = (error) => {
    if (isOver) return;
    if (error instanceof api.Failure && error.status === 404) {
      state.isGone = true;
      if (state.station) redraw("now");
      else main.replaceChildren(nobody(name));
    } else {
      if (!state.station) main.replaceChildren(html("p", { class: "quiet" }, `The station cannot be shown now: ${error.message}. Trying again.`));
      again ??= setTimeout(() => {
        again = null;
        if (!isOver) reload();
      }, AGAIN_MS);
    }
  };
  const reload = paced(load, 1000);
  const reloadObserved = paced(loadObserved, 1000);
  const reloadPast = paced(loadPast, PAST_EVERY_MS);

  const hear = (kind, data) => {
    if (!state.station) {
      reload();
      return;
    }
    if (kind === "reading") {
      state.station.status.newest_reading = data.time;
      if (data.air_temperature_c !== undefined) {
        state.station.temperature_c = data.air_temperature_c;
        const at = Date.parse(data.time);
        const last = state.observed.at(-1);
        if (last && at > last.at && at - last.at <= 1.5 * HOUR) {
          state.observed.push({ at, celsius: data.air_temperature_c });
          state.observed = state.observed.filter((point) => point.at >= at - 2 * DAY);
        } else if (!last || at !== last.at) {
          reloadObserved();
        }
      }
      redraw("now", "ahead");
    } else if (kind === "forecast") {
      state.station.forecast = withIntervals(data);
      redraw("now", "ahead");
    } else if (kind === "status") {
      state.station.status = data;
      state.isGone = false;
      redraw("now");
    } else if (kind === "verification") {
      state.verification = data;
      redraw("good");
      reloadPast();
    } else if (kind === "gone") {
      state.isGone = true;
      redraw("now");
    }
  };

  reload();
  const silence = api.listen(name, { hear, resync: reload, connected });
  // Ages grow by themselves.
  const aging = setInterval(() => redraw("now"), 30000);
  let width = 0;
  const watcher = new ResizeObserver(() => {
    if (main.clientWidth !== width) {
      width = main.clientWidth;
      if (state.station) redraw("ahead", "good", "week");
    }
  });
  watcher.observe(main);
  return {
    redraw: () => state.station && all(),
    end: () => {
      isOver = true;
      silence();
      clearInterval(aging);
      watcher.disconnect();
    },
  };
}

/** Draws a section anew; what was unfolded, focused or read out stays so. */
function keepOpen(section, drawSection) {
  const open = [...section.querySelectorAll("details")].map((details) => details.open);
  const focusable = () => [...section.querySelectorAll("[tabindex='0'], summary, input, button, a")];
  const focused = focusable().indexOf(document.activeElement);
  const read = [...section.querySelectorAll(".plot")].map((plot) => plot.readingAt());
  drawSection();
  section.querySelectorAll(".plot").forEach((plot, index) => plot.readAt(read[index] ?? null));
  section.querySelectorAll("details").forEach((details, index) => {
    details.open = open[index] ?? false;
  });
  if (focused >= 0) focusable()[focused]?.focus({ preventScroll: true });
}

function nobody(name) {
  return html(
    "section",
    { class: "card" },
    html("h1", {}, "No such station"),
    html("p", {}, "No station is called ", nameOf(name), ". It appears here by itself with its first reading."),
    html("p", {}, html("a", { href: "./" }, "All stations")),
  );
}

const inner = (section) => Math.max(280, section.clientWidth - 2 * parseFloat(getComputedStyle(section).paddingLeft || "0"));

function newestOf(state) {
  const newest = state.station.status.newest_reading;
  return newest ? Date.parse(newest) : null;
}

function drawNow(parts, state, name) {
  const { station } = state;
  const { status, forecast } = station;
  const newest = newestOf(state);
  const found = banners(state);
  // Who reads with the ears hears of a banner once.
  if (found.map((banner) => banner.textContent).join() !== [...parts.banner.children].map((banner) => banner.textContent).join()) {
    parts.banner.replaceChildren(...found);
  }
  const day = forecast?.leads.find((lead) => lead.lead_h === 24) ?? forecast?.leads.at(-1);
  const age = newest === null ? null : Date.now() - newest;
  const isReplay = status.state !== "stale" && age !== null && Math.abs(age) > REPLAY_AFTER;
  const said = newest === null
    ? "No reading yet"
    : isReplay ? `Reading of ${words.time.full(newest)}` : `Reading of ${words.time.dayAndClock(newest)}, ${words.duration(age)} ago`;
  parts.now.replaceChildren(
    html("h1", { id: "name" }, nameOf(name)),
    html("p", { class: `age ${status.state}` }, html("span", { class: "dot", "aria-hidden": "true" }), said),
    html(
      "div",
      { class: "headline" },
      html(
        "p",
        { class: "current" },
        html("span", { class: "label" }, status.state === "stale" ? "Last reading" : "Now"),
        html("span", { class: "big" }, station.temperature_c === null ? "–" : words.degrees(station.temperature_c)),
      ),
      day && html(
        "p",
        { class: "later" },
        html("span", { class: "label" }, status.state === "stale" ? `${words.plural(day.lead_h, "hour")} later` : `In ${words.plural(day.lead_h, "hour")}`),
        html("span", { class: "big" }, words.degrees(day.temperature_c)),
        saidInterval(day) && html("span", { class: "between" }, `probably ${between(saidInterval(day))}`),
      ),
    ),
    facts(forecast),
  );
}

function between(interval) {
  return `${words.degrees(interval.low)} to ${words.degrees(interval.high)}`;
}

/** The lowest and the highest temperature ahead, and frost: as the model says, or else as the hours show. */
function facts(forecast) {
  if (!forecast || forecast.source === "persistence") return "";
  const ahead = forecast.day_ahead;
  const byWarmth = [...forecast.leads].sort((one, other) => one.temperature_c - other.temperature_c);
  const [coldest, warmest] = [byWarmth[0], byWarmth.at(-1)];
  const entry = (label, value, ...more) =>
    html("div", {}, html("dt", {}, label), html("dd", {}, html("strong", {}, value), more.map((line) => html("span", {}, line))));
  const around = (lead) => `around ${words.time.clock(Math.round(Date.parse(lead.valid_at) / HOUR) * HOUR)}`;
  const found = [];
  if (ahead) {
    const span = `next ${words.plural(ahead.hours, "hour")}`;
    found.push(
      entry(`Lowest, ${span}`, words.degrees(ahead.lowest_c), `${words.degrees(ahead.lowest_low_c)} to ${words.degrees(ahead.lowest_high_c)}`, around(coldest)),
      entry(`Highest, ${span}`, words.degrees(ahead.highest_c), `${words.degrees(ahead.highest_low_c)} to ${words.degrees(ahead.highest_high_c)}`, around(warmest)),
    );
    if (ahead.frost_probability !== null) found.push(entry("Chance of frost", words.chance(ahead.frost_probability), `below ${words.degrees(0)}`));
    for (const below of ahead.below) {
      found.push(entry(`Chance of less than ${words.degrees(below.threshold_c)}`, words.chance(below.probability)));
    }
  } else {
    found.push(
      entry("Coldest hour ahead", words.degrees(coldest.temperature_c), around(coldest)),
      entry("Warmest hour ahead", words.degrees(warmest.temperature_c), around(warmest)),
    );
  }
  return html("dl", { class: "facts" }, found);
}

/** What is to be known before anything else is believed. */
function banners(state) {
  const { station } = state;
  const { status } = station;
  const newest = newestOf(state);
  const found = [];
  const banner = (kind, title, ...text) => found.push(html("div", { class: `banner ${kind}`, role: "status" }, html("strong", {}, title), " ", ...text));
  if (state.isGone) {
    banner("stale", "No longer served.", "The station was forgotten, or has been silent for very long.");
  }
  const main = state.models.find((model) => model.role === "main");
  if (status.state === "stale") {
    banner("stale", "Nothing new for too long.", newest === null ? "" : `The last reading is of ${words.time.full(newest)}, ${words.duration(Date.now() - newest)} ago. The forecast was made then.`);
  } else if (status.state === "silent") {
    banner("warming", "No reading yet.", "The forecast begins with the first.");
  } else if (status.state === "warming_up") {
    const missing = status.missing_hours ?? 0;
    const needed = main?.window_hours;
    banner(
      "warming",
      "Warming up.",
      `The model looks at ${needed ? `the last ${words.plural(Math.round(needed), "hour")}` : "some hours"}: ${words.decimal(missing)} h of ${words.quantity(status.missing ?? "history")} are still missing. Until then you see reference forecasts.`,
      needed ? html("progress", { max: needed, value: Math.max(0, needed - missing), "aria-label": "History that is there" }) : null,
    );
  } else if (status.state === "no_place") {
    banner("warming", "It is not known where this station stands.", "The model needs a latitude and longitude, or a time zone: [station.NAME] or [site] in the configuration. Until then you see reference forecasts.");
  } else if (status.state === "elsewhere") {
    banner("warming", "The model is for another place,", `${words.number(status.model_distance_km)} km away. You see reference forecasts; model.anywhere = true runs it all the same.`);
  }
  if (status.state === "ready" && status.model_distance_km !== undefined) {
    banner("warming", "The model is for another place,", `${words.number(status.model_distance_km)} km away, and runs because model.anywhere says so.`);
  }
  const age = newest === null ? 0 : Date.now() - newest;
  if (status.state !== "stale" && Math.abs(age) > REPLAY_AFTER) {
    banner("replay", "Readings of another time.", `“Now” is the newest reading, ${words.time.full(newest)}: ${age > 0 ? "a replay, or a station whose clock is behind" : "the station’s clock is ahead"}.`);
  }
  return found;
}

function drawAhead(section, state) {
  const { forecast } = state.station;
  const newest = newestOf(state) ?? Date.now();
  const heading = html("h2", {}, "The next 24 hours");
  if (!forecast && state.observed.length === 0) {
    section.replaceChildren(heading, html("p", { class: "quiet" }, "There is nothing to show before the first reading with a temperature."));
    return;
  }
  const longest = forecast?.leads.at(-1)?.lead_h;
  if (longest) heading.textContent = `The next ${words.plural(longest, "hour")}`;
  const isStale = state.station.status.state === "stale";
  section.replaceChildren(
    heading,
    ...fan(inner(section), state.observed, forecast, newest, isStale).filter(Boolean),
    isStale && forecast ? html("p", { class: "quiet" }, `Made at ${words.time.full(Date.parse(forecast.issued_at))}; nothing has come since.`) : "",
  );
}

function drawGood(section, state) {
  const heading = html("h2", {}, "How good it has been");
  const leads = state.verification?.leads ?? [];
  const scored = leads.filter((lead) => lead.mae_c !== null);
  if (scored.length === 0) {
    section.replaceChildren(heading, html("p", { class: "quiet" }, "No forecast has been verified yet: the first is one hour after it was made."));
    return;
  }
  const longest = scored.find((lead) => lead.lead_h === 24) ?? scored.at(-1);
  const { days } = state;
  const sentences = [];
  if (days && days.counted_days > 0) {
    sentences.push(html("p", { class: "verdict" },
      "A day ahead, it was closer than “same as now” on ",
      html("strong", {}, `${words.number(days.closer_than_persistence_days)} of the last ${words.plural(days.counted_days, "day")}`), "."));
  }
  const others = [["“same as now”", longest.persistence_mae_c], ["“same as yesterday”", longest.yesterday_mae_c]].filter(([, error]) => error !== null);
  const gain = longest.skill === null ? null : Math.round(100 * longest.skill) / 100;
  const compared = gain === 0 ? "as much as" : `${words.percent(Math.abs(gain))} ${gain > 0 ? "less" : "more"} than`;
  const skill = gain === null ? "" : ` That is ${compared} “same as now”.`;
  sentences.push(html("p", {},
    `Lately it was off by ${words.difference(longest.mae_c)} on average, ${words.plural(longest.lead_h, "hour")} ahead; ${others.map(([name, error]) => `${name} by ${words.difference(error)}`).join(", ")}.${skill}`));
  if (longest.coverage !== undefined && longest.coverage !== null) {
    sentences.push(html("p", {}, `${words.percent(longest.coverage)} of the observations lay within the 80 % interval.`));
  }
  const counted = days?.days.filter((day) => day.counted) ?? [];
  section.replaceChildren(
    heading,
    ...sentences,
    ...(counted.length > 1 ? [html("h3", {}, "Day by day"), ...daily(inner(section), counted)] : []),
    html("h3", {}, "By hours ahead"),
    ...byLead(inner(section), scored),
    html("p", { class: "quiet" }, `Mean absolute error over the last ${words.number(state.verification.rolling_days)} days or so, the newest counting most.`),
  );
}

function drawWeek(section, state, choose) {
  const heading = html("h2", {}, "The last week");
  const { past } = state;
  if (!past || past.forecasts.length === 0) {
    const why = state.hasJournal ? "No forecast of the last week is old enough yet." : "There is no journal (journal.enabled), so past forecasts are not kept.";
    section.replaceChildren(heading, html("p", { class: "quiet" }, why));
    return;
  }
  const choice = html("fieldset", { class: "choice" }, html("legend", {}, "As it was forecast"),
    LEADS.map((lead) => html("label", {},
      html("input", { type: "radio", name: "lead", value: lead, checked: lead === state.lead, onchange: () => choose(lead) }),
      html("span", {}, `${words.number(lead)} h before`))));
  section.replaceChildren(heading, choice, ...week(inner(section), past.forecasts, past.lead_h));
}

function drawModel(section, state) {
  const { status, forecast, specialists } = state.station;
  const main = state.models.find((model) => model.role === "main");
  const heading = html("h2", {}, "What makes the forecast");
  if (!main) {
    section.replaceChildren(heading);
    return;
  }
  const row = (term, ...text) => html("div", {}, html("dt", {}, term), html("dd", {}, ...text));
  const training = main.training;
  const test = main.scores.find((part) => part.part === "test") ?? main.scores[0];
  const last = test?.leads.find((lead) => lead.lead_h === 24) ?? test?.leads.at(-1);
  const place = status.place;
  const precisions = { given: "as given", payload: "as its readings say", time_zone: "as the time zone says, roughly", country: "as the country says, roughly", missing: "not known" };
  const side = (degrees, plus, minus) => `${words.decimal(Math.abs(degrees))}° ${degrees < 0 ? minus : plus}`;
  const rows = [
    row("Model", html("code", {}, main.model)),
    row("Looks at", `${main.inputs.map(words.quantity).join(", ")}; the last ${words.plural(Math.round(main.window_hours), "hour")}`),
    row("Place of the station", place.latitude_deg === undefined ? precisions.missing : `${side(place.latitude_deg, "N", "S")}, ${side(place.longitude_deg, "E", "W")}, ${precisions[place.precision] ?? place.precision}`),
  ];
  if (training) {
    rows.push(row("Learned from", `${words.number(training.rows)} readings${training.records > 1 ? " of many stations" : ""}, ${words.time.date(Date.parse(training.first))} to ${words.time.date(Date.parse(training.last))}`));
  }
  if (last) {
    rows.push(row("When it was tested", `off by ${words.difference(last.mae_c)} on average ${words.plural(last.lead_h, "hour")} ahead, “same as now” by ${words.difference(last.persistence_mae_c)}`));
  }
  if (specialists.length > 0) rows.push(row("Beside it", ...specialists.flatMap((id, index) => [index > 0 ? ", " : "", html("code", {}, id)])));
  const experts = (state.verification?.experts ?? []).filter((expert) => !expert.asleep);
  if (experts.length > 0) {
    const at = (expert) => expert.leads.find((lead) => lead.lead_h === 24) ?? expert.leads.at(-1);
    const said = experts.map((expert) => [expert.name, at(expert)]).filter(([, lead]) => lead).sort((one, other) => other[1].weight - one[1].weight);
    rows.push(row("How much each counts, a day ahead", html("ul", { class: "weights" }, said.map(([name, lead]) => {
      const called = words.expert(name, state.models);
      return html("li", {},
        html("span", { class: "expert", title: name }, called), html("meter", { min: 0, max: 1, value: lead.weight, "aria-label": `Share of ${called}` }), words.percent(lead.weight));
    }))));
  }
  const names = { model: "The model, or what it and the reference forecasts say together.", reference: "What the reference forecasts say together, as long as the model cannot run.", persistence: "The newest temperature, as long as the model cannot run." };
  section.replaceChildren(
    heading,
    forecast ? html("p", {}, names[forecast.source] ?? "") : "",
    html("dl", { class: "sheet" }, rows),
    html("p", { class: "links" },
      html("a", { href: api.address(`${api.pathOf(state.station.station)}/forecast`, { format: "csv" }).href }, "Forecast (CSV)"), " · ",
      html("a", { href: api.address(`${api.pathOf(state.station.station)}/observations`, { format: "csv" }).href }, "Observations (CSV)"), " · ",
      html("a", { href: api.address(`${api.pathOf(state.station.station)}/forecasts`, { format: "csv" }).href }, "Past forecasts (CSV)")),
  );
}
