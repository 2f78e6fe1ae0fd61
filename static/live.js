// The page's one connection to the dashboard: pictures of all tiles, states, events. What is done with them is
// not known here; a `Live` is an EventTarget.
//
//   picture {camera, frame, takenAt, jpeg}   cameras   status   event   config   disk     from the server
//   video {camera, name, codec}: what comes next; fragment {camera, takenAt, start (s), data}, start null for an opening
//   connected   lost   failing                                                            about the connection

import { ServerClock } from "./clock.js";

const HEADER = 20; // bytes: version, flags, index, frame number, taken at, start
const [VIDEO, OPENING] = [1, 2]; // flags
const SILENCE = 6000; // a status comes each second; without one for so long, the connection is dead

export class Live extends EventTarget {
  clock = new ServerClock();
  #socket = null;
  #cameras = [];
  #watched = "[]";
  #pause = 500;
  #retry = 0;
  #heard = 0;
  #opened = false;
  received = 0; // bytes, since the page was opened

  start() {
    this.#connect();
    setInterval(() => this.#checkSilence(), 2000);
    addEventListener("online", () => this.#soon(0));
    addEventListener("pagehide", () => this.#socket?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#soon(0));
  }

  /** Ask for exactly these tiles: [{camera, width, fps, video: codecs that may come as they are}]. */
  watch(tiles) {
    const wanted = JSON.stringify(tiles);
    if (wanted === this.#watched) return;
    this.#watched = wanted;
    this.#send({ type: "watch", tiles });
  }

  /** Tell the server that a picture is on the screen (or cannot be): the next one may come. */
  drawn(camera, frame) {
    this.#send({ type: "drawn", camera, frame });
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/live`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#onOpen();
    socket.onmessage = (event) => this.#onMessage(event.data);
    socket.onclose = (event) => socket === this.#socket && this.#onClose(event.code);
    this.#socket = socket;
    this.#opened = false;
    this.#heard = Date.now();
  }

  #onOpen() {
    this.#opened = true;
    this.#heard = Date.now();
    this.#send({ type: "watch", tiles: JSON.parse(this.#watched) });
    this.#tell("connected");
  }

  async #onClose(code) {
    this.#socket = null;
    if (code === 4401) return leave();
    this.#tell("lost");
    if (!this.#opened && (await refused())) return leave();
    this.#soon(this.#pause * (0.75 + Math.random() / 2));
    this.#pause = Math.min(5000, this.#pause * 2);
  }

  #soon(pause) {
    if (this.#socket) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), pause);
  }

  #checkSilence() {
    if (!this.#socket || document.hidden || Date.now() - this.#heard < SILENCE) return;
    const dead = this.#socket;
    this.#onClose(1006);
    dead.close();
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #onMessage(data) {
    this.#heard = Date.now();
    this.received += data.length ?? data.byteLength;
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.now) this.clock.learn(message.now);
      if (message.type === "cameras") this.#cameras = message.cameras;
      if (message.type === "status") this.#pause = 500; // it works again
      this.#tell(message.type, message);
      return;
    }
    const header = new DataView(data, 0, HEADER);
    if (header.getUint8(0) !== 1) return;
    const index = header.getUint16(2);
    const camera = this.#cameras.find((one) => one.index === index)?.id;
    if (camera === undefined) return;
    const takenAt = Number(header.getBigUint64(8));
    const flags = header.getUint8(1);
    if (flags & VIDEO) {
      const start = flags & OPENING ? null : header.getUint32(16) / 1000;
      return this.#tell("fragment", { camera, takenAt, start, data: new Uint8Array(data, HEADER) });
    }
    this.#tell("picture", { camera, frame: header.getUint32(4), takenAt, jpeg: new Uint8Array(data, HEADER) });
  }

  #tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function leave() {
  if (document.body.dataset.leaving) return; // the page itself is logging out, and knows where to go
  const back = location.pathname + location.search;
  location.assign(`/login?next=${encodeURIComponent(back)}`);
}

/** Whether the server is there and says that this browser is not logged in. */
async function refused() {
  try {
    return (await fetch("/api/version", { cache: "no-store", redirect: "manual" })).status === 401;
  } catch {
    return false;
  }
}
