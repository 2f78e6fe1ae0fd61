// The page of one camera: the same tile, large, with what is known about it beside.

import { keepBanners } from "./banners.js";
import { pictureWidth } from "./layout.js";
import { Live } from "./live.js";
import { forPage, toggleFullScreen } from "./page.js";
import { smallWindow, stills } from "./take.js";
import { Tile } from "./tile.js";
import { zoomable } from "./zoom.js";

const element = document.querySelector(".tile");
const id = element.dataset.camera;
const live = new Live();
const tile = new Tile(element, live.clock, (camera, frame) => live.drawn(camera, frame));
tile.rate = 25;
let scale = 1;
element.addEventListener("zoom", ({ detail }) => ((scale = detail.scale), watch()));
zoomable(element, document.querySelector(".zoom")); // before the keys below: arrows that pan are spent then
stills(element, document.querySelector("#still"), live.clock);
smallWindow(element, document.querySelector("#small-window"));
document.querySelector("[data-do=full]").hidden = !document.fullscreenEnabled;

function watch() {
  const pixels = element.clientWidth * Math.min(devicePixelRatio, 2) * scale;
  live.watch(document.hidden && !document.pictureInPictureElement ? [] : [{ camera: id, width: pictureWidth(pixels, 1920), fps: tile.rate }]);
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
watch();
live.start();
