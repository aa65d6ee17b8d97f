// All stations: found by name, each with its temperature, a day back and a day ahead.

import * as api from "./api.js";
import { html, nameOf } from "./chart.js";
import { sparkline } from "./charts.js";
import * as words from "./words.js";

const PAGE = 50;
/** Lists are asked for anew no more often than this, however much happens. */
const EVERY_MS = 5000;

const STATES = {
  ready: "", stale: "nothing new", silent: "no reading yet", warming_up: "warming up", no_place: "place not known", elsewhere: "model of another place",
};

/** Shows the stations in `main` until the function that this returns is called. */
export function showStations(main, { connected }) {
  const state = { pages: 1, search: "", list: [], matching: 0, served: 0, after: null };
  const search = html("input", { type: "search", id: "search", placeholder: "Name", autocomplete: "off", spellcheck: "false" });
  const summary = html("p", { class: "quiet", role: "status" });
  const list = html("ul", { class: "stations" });
  const more = html("button", { type: "button", class: "more", hidden: true }, "Show more");
  main.replaceChildren(
    html("section", { class: "hero" }, html("h1", {}, "Stations"), html("p", { class: "search" }, html("label", { for: "search" }, "Find a station"), search)),
    summary, list, more,
  );
  document.title = "Stations – forecastd";
  let isOver = false;
  let isBusy = false;
  let isWanted = false;

  const draw = () => {
    more.hidden = state.after === null;
    let said = words.plural(state.served, "station");
    if (state.served === 0) said = "No station has sent a reading yet. They appear here by themselves.";
    else if (state.search) said = `${words.number(state.matching)} of ${said}`;
    // Who reads with the ears hears what changed, and who uses the keyboard stays at the station where they are.
    if (summary.textContent !== said) summary.textContent = said;
    const focused = list.contains(document.activeElement) ? document.activeElement.href : null;
    list.replaceChildren(...state.list.map(entry));
    if (focused) [...list.querySelectorAll("a")].find((link) => link.href === focused)?.focus({ preventScroll: true });
  };

  const load = async () => {
    if (isBusy) {
      isWanted = true;
      return;
    }
    isBusy = true;
    do {
      isWanted = false;
      const wanted = state.search;
      try {
        const found = [];
        let after;
        for (let page = 0; page < state.pages; page += 1) {
          const part = await api.get("stations", { search: wanted, after, limit: PAGE });
          found.push(...part.stations);
          Object.assign(state, { served: part.served, matching: part.matching, after: part.after });
          after = part.after;
          if (after === null) break;
        }
        state.list = found;
        if (!isOver) draw();
      } catch (error) {
        if (!isOver) summary.textContent = `The stations cannot be shown now: ${error.message}.`;
      }
      if (state.search !== wanted) isWanted = true;
    } while (isWanted && !isOver);
    isBusy = false;
  };
  search.addEventListener("input", () => {
    state.search = search.value.trim();
    state.pages = 1;
    load();
  });
  more.addEventListener("click", () => {
    state.pages += 1;
    load();
  });
  load();
  let due = null;
  const soon = () => {
    due ??= setTimeout(() => {
      due = null;
      load();
    }, EVERY_MS);
  };
  const silence = api.listen(undefined, { hear: soon, resync: soon, connected });
  return {
    redraw: draw,
    end: () => {
      isOver = true;
      clearTimeout(due);
      silence();
    },
  };
}

function entry(station) {
  const words24 = station.temperature_24h_c === null ? "–" : words.degrees(station.temperature_24h_c);
  const now = station.temperature_c === null ? "–" : words.degrees(station.temperature_c);
  const state = STATES[station.state] ?? station.state;
  const missing = station.missing_hours === null ? "" : `, ${words.decimal(station.missing_hours)} h missing`;
  const address = new URL("./", document.baseURI);
  address.search = new URLSearchParams({ station: station.station }).toString();
  return html(
    "li",
    {},
    html(
      "a",
      { href: address.href, class: station.state },
      html("span", { class: "who" }, nameOf(station.station), state && html("span", { class: "state" }, `${state}${missing}`)),
      html("span", { class: "temperature" }, html("span", { class: "label" }, "now"), now),
      sparkline(station.observed_hourly_c, station.forecast_hourly_c),
      html("span", { class: "temperature" }, html("span", { class: "label" }, "in 24 h"), words24),
    ),
  );
}
