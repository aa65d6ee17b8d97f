// Numbers, times and phrases as the person before the screen reads them: in the browser's language and time zone, °C or °F.

const KEY = "forecastd.unit";
let unit = remembered();

function remembered() {
  try {
    return localStorage.getItem(KEY) === "f" ? "f" : "c";
  } catch {
    return "c"; // Storage can be forbidden; the choice then lasts as long as the page.
  }
}

export function currentUnit() {
  return unit;
}

export function chooseUnit(chosen) {
  unit = chosen === "f" ? "f" : "c";
  try {
    localStorage.setItem(KEY, unit);
  } catch { /* see above */ }
}

/** A temperature in the chosen unit. */
export function shown(celsius) {
  return unit === "f" ? celsius * 1.8 + 32 : celsius;
}

/** A difference of temperatures in the chosen unit. */
export function shownDifference(celsius) {
  return unit === "f" ? celsius * 1.8 : celsius;
}

const one = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const upToOne = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const upToTwo = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });

/** Without a negative zero, and with a minus sign rather than a hyphen. */
function signed(format, value, digits) {
  const rounded = Number(value.toFixed(digits));
  return format.format(rounded === 0 ? 0 : rounded).replace("-", "−");
}

/** "−3.2°". */
export function degrees(celsius) {
  return `${signed(one, shown(celsius), 1)}°`;
}

/** "−3°", for axes. */
export function tick(value) {
  return `${signed(upToOne, value, 1)}°`;
}

/** "1.9 °C", for errors. */
export function difference(celsius) {
  return `${signed(one, shownDifference(celsius), 1)} ${unitName()}`;
}

export function unitName() {
  return unit === "f" ? "°F" : "°C";
}

export function number(value) {
  return whole.format(value);
}

export function decimal(value) {
  return upToTwo.format(value);
}

export function percent(fraction) {
  return `${whole.format(Math.round(fraction * 100))} %`;
}

/** Chances are said no finer than anybody can use, and never as certain. */
export function chance(fraction) {
  if (fraction < 0.01) return "under 1 %";
  if (fraction > 0.99) return "over 99 %";
  return percent(fraction);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const hourOnly = new Intl.DateTimeFormat(undefined, { hour: "numeric" });
const dayAndClock = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "numeric", minute: "2-digit" });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export const time = {
  clock: (at) => clock.format(at),
  /** "06" where the language counts to 24, "6 AM" where it does not. */
  hour: (at) => {
    const parts = hourOnly.formatToParts(at);
    const keep = parts.filter((part) => part.type === "hour" || part.type === "dayPeriod");
    return keep.map((part) => part.value).join(" ").replace(/ ([AP])M$/i, " $1M");
  },
  dayAndClock: (at) => dayAndClock.format(at),
  day: (at) => longDay.format(at),
  weekday: (at) => weekday.format(at),
  full: (at) => full.format(at),
  date: (at) => date.format(at),
  /** A calendar day, "2020-01-31", which is in no time zone. */
  calendarDay: (text) => {
    const [year, month, day] = text.split("-").map(Number);
    return longDay.format(new Date(year, month - 1, day));
  },
};

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** "3 hours". */
export function duration(milliseconds) {
  const minutes = Math.max(0, Math.round(milliseconds / 60000));
  if (minutes < 1) return "less than a minute";
  if (minutes < 120) return plural(minutes, "minute");
  const hours = Math.round(minutes / 60);
  if (hours < 48) return plural(hours, "hour");
  return plural(Math.round(hours / 24), "day");
}

export function plural(count, noun) {
  return `${whole.format(count)} ${noun}${count === 1 ? "" : "s"}`;
}

const QUANTITIES = {
  air_temperature: "temperature",
  air_pressure: "pressure",
  air_pressure_at_mean_sea_level: "pressure at sea level",
  relative_humidity: "humidity",
  dew_point_temperature: "dew point",
  wind_speed: "wind speed",
  wind_speed_of_gust: "gusts",
  wind_from_direction: "wind direction",
};

/** A CF standard name as people say it. */
export function quantity(name) {
  return QUANTITIES[name] ?? name.replaceAll("_", " ");
}

const REFERENCES = {
  persistence: "same as now",
  yesterday: "same as at this time yesterday",
  mixture: "yesterday’s course, moved to now",
};

/** What an expert is, in words; a model's name where there is nothing to say of it. */
export function expert(name, models) {
  if (Object.hasOwn(REFERENCES, name)) return REFERENCES[name];
  const known = models.find(({ model }) => model === name || model.split("@")[0] === name);
  if (!known) return name;
  if (known.stations.length > 0) return "the station’s own model";
  return known.site ? "a model of this place" : "the model for any place";
}
