// One tile: a picture, its age, and the truth about both. Knows nothing of the connection it is fed from.

import { age, moment } from "./clock.js";
import { Player } from "./player.js";

const WORDS = { live: "live", stale: "stale", stalled: "stalled", offline: "offline", connecting: "connecting", disabled: "disabled" };

/** Whether a picture is too old to pass for live: older than max(1 s, 3 intervals of the camera). Times in ms. */
export function isStale(ageMs, fps) {
  const interval = fps > 0 ? 1000 / fps : 0;
  return ageMs > Math.max(1000, 3 * interval);
}

export class Tile {
  codec = "";
  takenAt = 0; // server ms of the picture on the screen; 0 before the first
  visible = true;
  #decoding = false;
  #fps = 0;
  #status = { state: "connecting", reason: "", since: 0, fps: 0, moving: false, boxes: [] };
  #shown = "";
  #size = "";
  #player = null;
  #noVideo = ""; // why this browser cannot play the camera's own video

  /** `element`: a .tile of the page; `clock`: the server's; `drawn(camera, frame)`: called once a picture is done. */
  constructor(element, clock, drawn) {
    this.element = element;
    this.camera = element.dataset.camera;
    this.clock = clock;
    this.drawn = drawn;
    this.rate = 12;
    const part = (name) => element.querySelector(`.${name}`);
    this.canvas = part("picture");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.parts = Object.fromEntries(["boxes", "name", "state", "age", "fps", "marker", "what", "why", "notice"].map((name) => [name, part(name)]));
    this.icon = part("notice").querySelector("use");
    const { state, reason, since } = element.dataset;
    this.#status = { ...this.#status, state, reason, since: Number(since) };
    this.tick();
  }

  /** What the tile shows now, for its details: "H.264 as the camera sends it", "JPEG (why)", or "" before the first. */
  get means() {
    if (this.#player?.playing) return `${{ h264: "H.264", hevc: "HEVC" }[this.codec] ?? this.codec}, as the camera sends it`;
    return this.takenAt ? `JPEG${this.#noVideo ? ` (${this.#noVideo})` : ""}` : "";
  }

  get playsVideo() {
    return !this.#noVideo;
  }

  /** The camera's own video comes next. */
  video({ name, codec }) {
    this.codec = codec;
    this.#player ??= new Player(this.#screen(), (takenAt) => this.#onFrame(takenAt), (why) => this.#onFailure(why));
    if (this.#player.playing) this.#hold();
    this.#player.open(name);
  }

  fragment({ data, start, takenAt }) {
    this.#player?.append(data, start, takenAt);
  }

  /** Nothing is asked for any more: let go of the video, and keep its last picture. */
  rest() {
    if (!this.#player?.playing) return;
    this.#hold();
    this.#player.close();
  }

  get name() {
    return this.parts.name.textContent;
  }

  get state() {
    return this.#shown.split("|")[0];
  }

  rename(name) {
    if (this.name !== name) this.parts.name.textContent = name;
  }

  /** A picture came. Decodes off the main thread, draws, and says so, also when the bytes were no picture. */
  async picture({ frame, takenAt, jpeg }) {
    if (this.#decoding) return;
    this.#decoding = true;
    if (this.#player?.playing) this.rest(); // the camera sends something else now
    try {
      const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
      if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
        this.canvas.width = bitmap.width;
        this.canvas.height = bitmap.height;
        this.#drawBoxes();
      }
      this.context.drawImage(bitmap, 0, 0);
      bitmap.close();
      this.takenAt = takenAt;
      this.tick();
    } catch {
      // Not a picture: the old one stays, grows old, and is marked so.
    } finally {
      this.#decoding = false;
      this.drawn(this.camera, frame);
    }
  }

  #screen() {
    const video = Object.assign(document.createElement("video"), { className: "video", playsInline: true, muted: true, tabIndex: -1 });
    video.setAttribute("aria-hidden", "true");
    this.canvas.after(video);
    return video;
  }

  /** Keep the last picture of the video on the canvas, so that a change of streams does not go black. */
  #hold() {
    const { video } = this.#player;
    const { videoWidth: width, videoHeight: height } = video;
    if (width && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.classList.contains("on")) {
      Object.assign(this.canvas, { width, height });
      this.context.drawImage(video, 0, 0);
    }
    video.classList.remove("on");
  }

  #onFrame(takenAt) {
    const { video } = this.#player;
    if (!video.classList.contains("on") || this.canvas.width !== video.videoWidth || this.canvas.height !== video.videoHeight) {
      Object.assign(this.canvas, { width: video.videoWidth, height: video.videoHeight });
      video.classList.add("on");
      this.#drawBoxes();
    }
    this.takenAt = takenAt;
    this.tick();
  }

  #onFailure(why) {
    this.#player.video.classList.remove("on");
    this.#noVideo = why;
    this.element.dispatchEvent(new CustomEvent("novideo", { bubbles: true, detail: { tile: this, why } }));
  }

  status(status) {
    const wasLive = this.#status.state === "live";
    this.#status = status;
    if (status.state !== "live" && status.state !== "stalled" && wasLive) this.takenAt = 0;
    this.#drawBoxes();
    this.tick();
  }

  /** Say how things are now. Called many times a second; touches the page only where something changed. */
  tick() {
    const now = this.clock.now();
    const { state, reason, since, fps, moving } = this.#status;
    const old = this.takenAt ? now - this.takenAt : Infinity;
    const live = state === "live" || state === "stalled";
    const rate = this.#player?.playing ? this.#fps || this.rate : Math.min(this.#fps || this.rate, this.rate);
    const stale = live && this.takenAt > 0 && isStale(old, rate);
    if (live && !stale && fps > 0) this.#fps = fps; // a rate that fades while pictures fail to come excuses nothing
    const shown = stale ? (state === "stalled" ? "stalled" : "stale") : state === "stalled" && this.takenAt ? "live" : state;
    const waiting = shown === "live" && !this.takenAt;
    this.#show(waiting ? "connecting" : shown, reason, since, now);
    set(this.parts.age, live && this.takenAt ? age(old) : "");
    set(this.parts.fps, live && !stale && fps ? `${fps < 9.95 ? Number(fps.toFixed(1)) : Math.round(fps)} fps` : "");
    if (this.element.title !== this.means) this.element.title = this.means;
    if (stale) set(this.parts.what, `${capital(WORDS[shown])} for ${age(old)}`);
    const moves = Boolean(moving) && !stale && shown === "live";
    if (this.parts.marker.hidden === moves) {
      this.parts.marker.hidden = !moves;
      this.element.classList.toggle("moving", moves);
      this.parts.boxes.classList.toggle("idle", !moves);
    }
  }

  #show(shown, reason, since, now) {
    const slow = shown === "stale" && this.#status.age_ms !== null && !isStale(this.#status.age_ms, this.#status.fps);
    const key = `${shown}|${reason}|${since}|${this.name}|${slow}`;
    if (key === this.#shown) return;
    const before = this.state;
    this.#shown = key;
    for (const name of Object.keys(WORDS)) this.element.classList.toggle(name, name === shown);
    const at = since ? ` since ${moment(since, now)}` : "";
    const [icon, what, why] = {
      live: ["camera", "", ""],
      connecting: ["camera", "Connecting", reason === "live" ? "" : reason],
      stale: ["clock", "Stale", slow ? "Your connection is slow: pictures come late" : "No new picture"],
      stalled: ["clock", "Stalled", reason || "No new picture"],
      offline: ["nosignal", `Offline${at}`, reason],
      disabled: ["off", "Disabled", reason || "Switched off in cameras.yaml"],
    }[shown];
    this.icon.setAttribute("href", `#i-${icon}`);
    set(this.parts.what, what);
    set(this.parts.why, why);
    set(this.parts.state, WORDS[shown]);
    this.element.setAttribute("aria-label", [this.name, what || "live", why].filter(Boolean).join(", "));
    if (before && before !== shown) this.element.dispatchEvent(new CustomEvent("change", { bubbles: true, detail: { tile: this, before, shown, reason } }));
  }

  #drawBoxes() {
    const { boxes = [], moving } = this.#status;
    const { width, height } = this.canvas;
    const size = `0 0 ${width} ${height}`;
    if (size !== this.#size) this.parts.boxes.setAttribute("viewBox", (this.#size = size));
    const rects = (moving ? boxes : []).map(([x, y, w, h]) => {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const at = { x: x * width, y: y * height, width: w * width, height: h * height };
      for (const [name, value] of Object.entries(at)) rect.setAttribute(name, value.toFixed(1));
      return rect;
    });
    if (rects.length || this.parts.boxes.firstChild) this.parts.boxes.replaceChildren(...rects);
  }
}

function set(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
