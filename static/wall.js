// The wall: every camera's tile, in the order of cameras.yaml, fed by one connection.

import { keepBanners } from "./banners.js";
import { fit, pictureWidth, tileRate } from "./layout.js";
import { Live } from "./live.js";
import { forPage, toggleFullScreen } from "./page.js";
import { playable } from "./player.js";
import { keepTraffic, savesData } from "./traffic.js";
import { Tile } from "./tile.js";

const wall = document.querySelector(".wall");
const blank = document.querySelector("#blank-tile");
const empty = document.querySelector("#empty");
const said = document.querySelector("#said");
const live = new Live();
const codecs = playable();
const tiles = new Map(); // id -> Tile, in the order of the file
let layout = { columns: 1, width: 320 };

const inSight = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const tile = tiles.get(target.dataset.camera);
      if (tile) tile.visible = isIntersecting;
    }
    watch();
  },
  { rootMargin: "120px" },
);

function add(element) {
  const tile = new Tile(element, live.clock, (camera, frame) => live.drawn(camera, frame));
  tiles.set(tile.camera, tile);
  inSight.observe(element);
  return tile;
}

function make(camera) {
  const element = blank.content.firstElementChild.cloneNode(true);
  element.dataset.camera = camera.id;
  element.dataset.state = camera.enabled ? "connecting" : "disabled";
  element.href = `/cameras/${encodeURIComponent(camera.id)}`;
  element.querySelector(".name").textContent = camera.name;
  return add(element);
}

/** Bring the tiles in line with the file: those that stay keep their picture. */
function arrange(cameras) {
  const wanted = new Set(cameras.map((camera) => camera.id));
  for (const [id, tile] of tiles) {
    if (wanted.has(id)) continue;
    inSight.unobserve(tile.element);
    tile.element.remove();
    tiles.delete(id);
  }
  const before = new Map(tiles);
  tiles.clear();
  cameras.forEach((camera, place) => {
    const tile = before.get(camera.id) ?? make(camera);
    tiles.set(camera.id, tile);
    tile.rename(camera.name);
    if (wall.children[place] !== tile.element) wall.insertBefore(tile.element, wall.children[place] ?? null);
  });
  wall.hidden = tiles.size === 0;
  empty.hidden = tiles.size > 0;
  lay();
  summarise();
}

function lay() {
  if (!tiles.size) return;
  const top = wall.getBoundingClientRect().top + scrollY;
  const foot = parseFloat(getComputedStyle(document.body).paddingBottom) || 0;
  layout = fit(tiles.size, wall.clientWidth, innerHeight - top - foot);
  wall.style.gridTemplateColumns = `repeat(${layout.columns}, ${layout.width}px)`;
  wall.classList.toggle("scrolls", layout.scrolls);
  watch();
}

function watch() {
  const shown = document.hidden ? [] : [...tiles.values()].filter((tile) => tile.visible);
  const fps = tileRate(shown.length);
  const width = pictureWidth(layout.width * Math.min(devicePixelRatio, 2));
  const fewer = savesData();
  for (const tile of tiles.values()) {
    tile.rate = fewer ? fps / 3 : fps;
    if (fewer || !shown.includes(tile)) tile.rest();
  }
  live.watch(
    shown.map((tile) => ({
      camera: tile.camera,
      width: fewer ? Math.min(width, 480) : width,
      fps: tile.rate,
      ...(!fewer && tile.playsVideo && codecs.length && { video: codecs }),
    })),
  );
}

/** "7 live, 1 offline", in the bar. */
function summarise() {
  const counts = { live: 0, stale: 0, offline: 0 };
  for (const { state } of tiles.values()) {
    if (state === "stalled") counts.stale += 1;
    else if (state in counts) counts[state] += 1;
  }
  for (const [name, count] of Object.entries(counts)) {
    const item = document.querySelector(`#sum-${name}`);
    item.hidden = count === 0;
    item.querySelector(".count").textContent = count;
  }
}

/** The tile that a key press means, from the place `from`. */
function neighbour(key, from) {
  const last = tiles.size - 1;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -layout.columns, ArrowDown: layout.columns }[key];
  if (key === "Home") return 0;
  if (key === "End") return last;
  if (step === undefined) return null;
  if (from < 0) return 0;
  const to = from + step;
  return to >= 0 && to <= last ? to : key === "ArrowDown" && Math.floor(from / layout.columns) < Math.floor(last / layout.columns) ? last : null;
}

document.addEventListener("keydown", (event) => {
  if (!forPage(event)) return;
  if (event.key === "f") return toggleFullScreen();
  if (event.key === "e") return location.assign("/events");
  const order = [...tiles.values()];
  const from = order.findIndex((tile) => tile.element === document.activeElement);
  if (from < 0 && document.activeElement !== document.body && document.activeElement?.closest(".bar, .banner")) return;
  const to = neighbour(event.key, from);
  if (to === null || !order[to]) return;
  event.preventDefault();
  order[to].element.focus();
  order[to].element.scrollIntoView({ block: "nearest" });
});

wall.addEventListener("change", ({ detail }) => {
  summarise();
  const { tile, before, shown, reason } = detail;
  if (shown === "offline") said.textContent = `${tile.name} is offline. ${reason}`;
  else if (shown === "live" && before === "offline") said.textContent = `${tile.name} is live again.`;
});

live.addEventListener("picture", ({ detail }) => tiles.get(detail.camera)?.picture(detail) ?? live.drawn(detail.camera, detail.frame));
live.addEventListener("video", ({ detail }) => tiles.get(detail.camera)?.video(detail));
live.addEventListener("fragment", ({ detail }) => tiles.get(detail.camera)?.fragment(detail));
wall.addEventListener("novideo", watch);
live.addEventListener("cameras", ({ detail }) => arrange(detail.cameras));
live.addEventListener("status", ({ detail }) => {
  for (const [id, status] of Object.entries(detail.cameras)) tiles.get(id)?.status(status);
});
/** A wall on full screen keeps the screen on, where the browser lets it. */
async function keepAwake() {
  if (document.fullscreenElement && !document.hidden) await navigator.wakeLock?.request("screen").catch(() => {});
}

document.addEventListener("fullscreenchange", keepAwake);
document.addEventListener("visibilitychange", keepAwake);
document.addEventListener("visibilitychange", watch);
new ResizeObserver(lay).observe(document.body);
new ResizeObserver(lay).observe(document.querySelector(".banners"));
addEventListener("resize", lay);
setInterval(() => tiles.forEach((tile) => tile.tick()), 200);

for (const element of wall.querySelectorAll(".tile")) add(element);
keepBanners(live);
keepTraffic(live, watch);
lay();
summarise();
live.start();
