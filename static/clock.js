// Ages and times in words. The server's clock and zone rule; the browser's own may be wrong.

const zone = document.body.dataset.zone || undefined;
const zoneNames = new Map((document.body.dataset.zones ?? "").split(" ").map((pair) => pair.split("=")));

const formatter = make({
  weekday: "short",
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "longOffset",
});

function make(options) {
  try {
    return new Intl.DateTimeFormat("en-US", { ...options, timeZone: zone });
  } catch {
    return new Intl.DateTimeFormat("en-US", options); // a zone this browser does not know
  }
}

/** "0.2 s", "14 s", "3 min", "5 h", "2 d": how old something is, from milliseconds. */
export function age(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** "14:02:11 CET" if that was today, "Mon 23 Nov 14:02:11 CET" otherwise: as the server writes it. */
export function moment(ms, now) {
  const [at, today] = [ms, now].map((time) => Object.fromEntries(formatter.formatToParts(time).map(({ type, value }) => [type, value])));
  const offset = at.timeZoneName.replace(/^GMT$/, "GMT+00:00"); // browsers differ
  const name = zoneNames.get(offset) ?? offset.replace("GMT", "UTC");
  const clock = `${at.hour}:${at.minute}:${at.second} ${name}`;
  const sameDay = ["year", "month", "day"].every((part) => at[part] === today[part]);
  return sameDay ? clock : `${at.weekday} ${at.day} ${at.month} ${clock}`;
}

/** How far the browser's clock is ahead of the server's, from the quickest of the last messages. */
export class ServerClock {
  #ahead = [];

  /** Learn from a message sent at `sent` (server, ms) and read at `read` (browser, ms). */
  learn(sent, read = Date.now()) {
    const ahead = read - sent;
    if (this.#ahead.length && Math.abs(ahead - Math.min(...this.#ahead)) > 2000) this.#ahead = []; // a clock was set
    this.#ahead.push(ahead);
    if (this.#ahead.length > 30) this.#ahead.shift();
  }

  /** The server's time now, in ms. */
  now(read = Date.now()) {
    return this.#ahead.length ? read - Math.min(...this.#ahead) : read;
  }
}
