// What the address asks for: a station, or all of them.

import * as api from "./api.js";
import { html } from "./chart.js";
import { showStation } from "./station.js";
import { showStations } from "./stations.js";
import * as words from "./words.js";

const main = document.getElementById("main");
const lost = document.getElementById("lost");
let shown = null;
let knownAt = new Date();

function connected(is) {
  if (is) {
    lost.hidden = true;
    knownAt = new Date();
  } else if (lost.hidden) {
    lost.textContent = `Connection lost at ${words.time.clock(new Date())}: what is shown may be older than it looks. Reconnecting.`;
    lost.hidden = false;
  }
}

async function begin() {
  shown?.end();
  shown = null;
  const station = new URLSearchParams(location.search).get("station");
  if (station) {
    shown = showStation(main, station, { connected });
    return;
  }
  try {
    // Where there is one station, it is what people come for.
    const list = await api.get("stations", { limit: 2 });
    const [only] = list.stations;
    shown = list.served === 1 && only ? showStation(main, only.station, { connected }) : showStations(main, { connected });
  } catch (error) {
    main.replaceChildren(html("p", { class: "quiet" }, `Nothing can be shown now: ${error.message}. Trying again.`));
    setTimeout(begin, 3000);
  }
}

for (const button of document.querySelectorAll("[data-unit]")) {
  const press = () => {
    for (const other of document.querySelectorAll("[data-unit]")) {
      other.setAttribute("aria-pressed", String(other.dataset.unit === words.currentUnit()));
    }
  };
  button.addEventListener("click", () => {
    words.chooseUnit(button.dataset.unit);
    press();
    shown?.redraw();
  });
  press();
}
window.addEventListener("popstate", begin);
begin();
