// Plays a camera's own video in a <video>: fragments in, pictures at the live edge out, by Media Source Extensions.
// Where the fragments come from, and what a tile says about them, is not known here.

const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

const KNOWN = { h264: "avc1.640028", hevc: "hvc1.1.6.L120.B0" };
const KEEP = 12; // s of video behind the picture that are kept, for a browser that counts its memory
const BEHIND = 0.8; // s behind the newest picture after which it jumps: at 1 s the tile would call it stale
const NEAR = 0.25; // s behind that are kept, so that the browser does not run dry: it takes a second to go on after that
const [SLOWER, FASTER] = [0.92, 1.12]; // rates to fall back and to catch up at, which nobody sees
const SETTLE = 1500; // ms after a jump in which the browser fills its decoder, and must be left alone

/** FFmpeg's names of the codecs that this browser plays. */
export function playable() {
  if (!Source) return [];
  return Object.keys(KNOWN).filter((codec) => Source.isTypeSupported(`video/mp4; codecs="${KNOWN[codec]}"`));
}

/** Seconds by which the newest picture moves on at once, by the `starts` of the newest fragments: B-frames come in lumps. */
export function lump(starts) {
  let [newest, widest] = [starts[0], 0];
  for (const start of starts) {
    widest = Math.max(widest, start - newest);
    newest = Math.max(newest, start);
  }
  return widest || 0.1;
}

/** Seconds behind the newest picture to be at. */
export const place = (step) => Math.max(NEAR, 1.5 * step);

/**
 * What to do at `lag` s behind the newest picture, which moves on by `step` s: a rate to play at, or a jump. `burst`:
 * pictures of the past have come at once, so that the lag is not one that builds up by itself.
 */
export function pursuit(lag, step, burst) {
  const near = place(step);
  if (lag > Math.max(burst ? 2 * NEAR : BEHIND, near + 1.5 * step)) return { jump: true, rate: 1 };
  if (lag < near - step) return { jump: false, rate: SLOWER };
  return { jump: false, rate: lag > near + step ? FASTER : 1 };
}

export class Player {
  #source = null;
  #buffer = null;
  #waiting = [];
  #stamps = []; // {start, takenAt} of what is buffered, in order of arrival
  #url = "";
  #starts = []; // of the newest fragments; B-frames come in another order than they are shown
  #jump = null; // the last one: {when: ms on the clock of the page, end: s of the newest picture then}

  /** `shown(takenAt)`: a picture is on the screen; `failed(why)`: this browser cannot play it. */
  constructor(video, shown, failed) {
    this.video = video;
    this.shown = shown;
    this.failed = failed;
    video.muted = true;
    video.disableRemotePlayback = true; // else an iPhone gives no ManagedMediaSource
    video.addEventListener("error", () => this.#source && this.#fail(video.error?.message || "it cannot be decoded"));
    video.requestVideoFrameCallback?.(this.#onFrame);
  }

  get playing() {
    return this.#source !== null;
  }

  /** A stream begins: `name` is its codec, RFC 6381. Pictures of the stream before stay until the first new one. */
  open(name) {
    this.close();
    const type = `video/mp4; codecs="${name}"`;
    if (!Source?.isTypeSupported(type)) return this.#fail(`this browser does not play ${name}`);
    const source = (this.#source = new Source());
    this.#url = URL.createObjectURL(source);
    source.addEventListener("sourceopen", () => {
      if (source !== this.#source) return;
      try {
        this.#buffer = source.addSourceBuffer(type);
      } catch (error) {
        return this.#fail(error.message);
      }
      this.#buffer.addEventListener("updateend", () => this.#next());
      this.#next();
    });
    this.video.src = this.#url;
  }

  /** Bytes of the stream, in order; `start`: s on its timeline, null for its opening. */
  append(data, start, takenAt) {
    if (!this.#source) return;
    if (start !== null) {
      this.#starts.push(start);
      if (this.#starts.length > 30) this.#starts.shift();
      this.#stamps.push({ start, takenAt });
      if (this.#stamps.length > 3000) this.#stamps.splice(0, 1000);
    }
    this.#waiting.push(data);
    this.#next();
  }

  close() {
    if (!this.#source) return;
    this.#source = this.#buffer = null;
    this.#waiting = [];
    this.#stamps = [];
    this.#starts = [];
    this.#jump = null;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.#url);
  }

  #next() {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || this.#source.readyState !== "open") return;
    this.#pursue();
    const { video } = this;
    const { buffered } = buffer;
    if (buffered.length && video.currentTime - buffered.start(0) > 2 * KEEP) return buffer.remove(0, video.currentTime - KEEP);
    if (!this.#waiting.length) return;
    const size = this.#waiting.reduce((sum, data) => sum + data.byteLength, 0);
    const whole = new Uint8Array(size);
    let at = 0;
    for (const data of this.#waiting.splice(0)) {
      whole.set(data, at);
      at += data.byteLength;
    }
    try {
      buffer.appendBuffer(whole);
    } catch (error) {
      this.#fail(error.message);
    }
  }

  /** Keep to the live edge: begin there, jump there when far behind, else play a little faster until there. */
  #pursue() {
    const { video } = this;
    const { buffered } = this.#buffer;
    if (!buffered.length) return;
    const end = buffered.end(buffered.length - 1);
    const step = lump(this.#starts);
    const now = performance.now();
    const since = this.#jump ? now - this.#jump.when : Infinity;
    const burst = this.#jump !== null && end - this.#jump.end > since / 1000 + NEAR;
    const { jump, rate } = pursuit(end - video.currentTime, step, burst);
    const lost = video.currentTime < buffered.start(buffered.length - 1);
    if (!this.#jump || ((jump || lost) && (burst || since > SETTLE))) {
      this.#jump = { when: now, end };
      video.currentTime = Math.max(buffered.start(buffered.length - 1), end - place(step));
    }
    if (video.playbackRate !== rate) video.playbackRate = rate;
    if (video.paused && !document.hidden) video.play().catch(() => {});
  }

  #onFrame = (_, { mediaTime }) => {
    this.video.requestVideoFrameCallback(this.#onFrame);
    if (!this.#source) return;
    let best = null;
    for (const stamp of this.#stamps) if (stamp.start <= mediaTime + 0.002 && (!best || stamp.start > best.start)) best = stamp;
    if (!best) return;
    this.#stamps = this.#stamps.filter((stamp) => stamp.start >= best.start);
    this.shown(best.takenAt);
  };

  #fail(why) {
    this.close();
    this.failed(why);
  }
}
