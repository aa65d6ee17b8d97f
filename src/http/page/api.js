// The daemon's API: what is asked for, and what it tells by itself.

// The page may stand behind a proxy, below a path of its own.
const base = new URL("../api/v1/", import.meta.url);

export class Failure extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function address(path, parameters = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

export async function get(path, parameters) {
  const response = await fetch(address(path, parameters), { headers: { accept: "application/json" } });
  if (response.ok) return response.json();
  let detail = response.statusText;
  try {
    detail = (await response.json()).detail ?? detail;
  } catch { /* It was no problem document. */ }
  throw new Failure(response.status, detail);
}

export const pathOf = (station) => `stations/${encodeURIComponent(station)}`;

/** How long to wait before trying again, where the browser does not by itself. */
const AGAIN_MS = 10000;

/**
 * Listens for events, for as long as the page is there. `hear` is called with kind and data, `resync` when something may have
 * been missed, `connected` with whether there is a connection.
 */
export function listen(station, { hear, resync, connected }) {
  let source;
  let again;
  let wasLost = false;
  const begin = () => {
    source = new EventSource(address("events", { station }));
    for (const kind of ["reading", "forecast", "status", "verification", "gone"]) {
      source.addEventListener(kind, (event) => hear(kind, JSON.parse(event.data)));
    }
    source.addEventListener("resync", resync);
    source.onopen = () => {
      connected(true);
      // What happened meanwhile was told to nobody.
      if (wasLost) resync();
      wasLost = false;
    };
    source.onerror = () => {
      wasLost = true;
      connected(false);
      if (source.readyState === EventSource.CLOSED) {
        source.close();
        again = setTimeout(() => {
          resync(); // Without events there is still asking.
          begin();
        }, AGAIN_MS);
      }
    };
  };
  const end = () => {
    clearTimeout(again);
    source?.close();
  };
  // A browser has six connections to a server, for all of its tabs: one that nobody sees takes none.
  const seen = () => {
    end();
    if (document.hidden) return;
    resync();
    begin();
  };
  if (!document.hidden) begin();
  document.addEventListener("visibilitychange", seen);
  return () => {
    document.removeEventListener("visibilitychange", seen);
    end();
  };
}
