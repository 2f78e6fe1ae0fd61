// The page of one camera: the same tile, large, with what is known about it beside.

import { keepBanners } from "./banners.js";
import { pictureWidth } from "./layout.js";
import { Live } from "./live.js";
import { forPage, toggleFullScreen } from "./page.js";
import { playable } from "./player.js";
import { smallWindow, stills } from "./take.js";
import { Tile } from "./tile.js";
import { keepTraffic, savesData } from "./traffic.js";
import { zoomable } from "./zoom.js";

const element = document.querySelector(".tile");
const id = element.dataset.camera;
const live = new Live();
const codecs = playable();
const tile = new Tile(element, live.clock, (camera, frame) => live.drawn(camera, frame));
tile.rate = 25;
let scale = 1;
element.addEventListener("zoom", ({ detail }) => ((scale = detail.scale), watch()));
zoomable(element, document.querySelector(".zoom")); // before the keys below: arrows that pan are spent then
stills(element, document.querySelector("#still"), live.clock);
smallWindow(element, document.querySelector("#small-window"));
document.querySelector("[data-do=full]").hidden = !document.fullscreenEnabled;

function watch() {
  const seen = !document.hidden || document.pictureInPictureElement;
  const video = !savesData() && tile.playsVideo && codecs.length && { video: codecs };
  const pixels = element.clientWidth * Math.min(devicePixelRatio, 2) * scale;
  if (!seen || !video) tile.rest();
  live.watch(seen ? [{ camera: id, width: pictureWidth(pixels, savesData() ? 640 : 1920), fps: tile.rate, ...video }] : []);
}

/** Fetch this page anew and put its fresh `parts` in place: rendering stays on the server. */
async function refresh(...parts) {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) {
    const [old, fresh] = [document.querySelector(part), page.querySelector(part)];
    if (old && fresh && old.innerHTML !== fresh.innerHTML && !old.contains(document.activeElement)) old.replaceChildren(...fresh.childNodes);
  }
}

live.addEventListener("picture", ({ detail }) => detail.camera === id && tile.picture(detail));
live.addEventListener("video", ({ detail }) => detail.camera === id && tile.video(detail));
live.addEventListener("fragment", ({ detail }) => detail.camera === id && tile.fragment(detail));
element.addEventListener("novideo", watch);
live.addEventListener("status", ({ detail }) => detail.cameras[id] && tile.status(detail.cameras[id]));
live.addEventListener("event", ({ detail }) => detail.camera === id && refresh("#recent"));
live.addEventListener("cameras", ({ detail }) => {
  const camera = detail.cameras.find((one) => one.id === id);
  if (camera) tile.rename(camera.name);
  else location.assign("/"); // no longer in cameras.yaml
});
element.addEventListener("change", () => refresh("#history", "#facts"));

document.addEventListener("keydown", (event) => {
  if (!forPage(event)) return;
  const link = (rel) => document.querySelector(`a[rel="${rel}"]`)?.click();
  if (event.key === "ArrowLeft" || event.key === "k") link("prev");
  if (event.key === "ArrowRight" || event.key === "j") link("next");
  if (event.key === "f") toggleFullScreen(document.querySelector(".stage"));
  if (event.key === "e") document.querySelector("#all-events")?.click();
  if (event.key === "Escape" && !document.fullscreenElement) location.assign("/");
});

for (const change of ["visibilitychange", "leavepictureinpicture"]) document.addEventListener(change, watch);
new ResizeObserver(watch).observe(element);
setInterval(() => tile.tick(), 100);
setInterval(() => document.hidden || refresh("#facts"), 5000);
keepBanners(live);
keepTraffic(live, watch);
watch();
live.start();
