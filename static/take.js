// Taking the picture out of the page of one camera: a still image to keep, a small window above all others. How the
// picture gets into the page and where it lies there is not known here.

import { forPage, toast } from "./page.js";

/** "yard-2026-11-24-14-02-11.jpg": names sort by time, and every file system takes them. */
export function stillName(camera, ms, zone) {
  const parts = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  let format;
  try {
    format = new Intl.DateTimeFormat("sv-SE", { ...parts, timeZone: zone });
  } catch {
    format = new Intl.DateTimeFormat("sv-SE", parts); // a zone this browser does not know
  }
  return `${camera}-${format.format(ms).replace(/\D+/g, "-")}.jpg`;
}

/** Give the link `still` its name for the moment it is followed, and the key s. */
export function stills(tile, still, clock) {
  still.addEventListener("click", (event) => {
    if (tile.matches(".offline, .disabled, .connecting")) {
      event.preventDefault();
      toast("There is no picture to save now.", { bad: true });
    }
    still.download = stillName(tile.dataset.camera, clock.now(), document.body.dataset.zone || undefined);
  });
  onKey("s", still);
}

/** Make `button` and the key p open and close the small window, where the browser has one. */
export function smallWindow(tile, button) {
  if (!document.pictureInPictureEnabled) return;
  const copy = Object.assign(document.createElement("video"), { className: "hush", muted: true, playsInline: true });
  copy.setAttribute("aria-hidden", "true");
  tile.after(copy); // in the page, so that its events reach the document
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      if (document.pictureInPictureElement) return void (await document.exitPictureInPicture());
      const own = [...tile.querySelectorAll("video.video")].find((video) => video.checkVisibility());
      if (!own) await mirror();
      await (own ?? copy).requestPictureInPicture();
    } catch {
      toast("This browser opens no small window here.", { bad: true });
    }
  });
  onKey("p", button);

  /** Only a video can leave the page, so the canvas is shown in one. */
  async function mirror() {
    copy.srcObject ??= tile.querySelector(".picture").captureStream();
    await copy.play();
  }

  copy.addEventListener("leavepictureinpicture", () => {
    copy.srcObject?.getTracks().forEach((track) => track.stop());
    copy.srcObject = null;
  });
  for (const [type, pressed] of Object.entries({ enterpictureinpicture: true, leavepictureinpicture: false })) {
    document.addEventListener(type, () => button.setAttribute("aria-pressed", pressed));
  }
  // The small window has no age beside its picture: rather than pass an old one for live, it closes.
  tile.addEventListener("change", ({ detail }) => {
    if (detail.shown === "live" || !document.pictureInPictureElement) return;
    document.exitPictureInPicture().catch(() => {});
    toast(`The small window was closed: ${detail.tile.name} is ${detail.shown}.`, { bad: true });
  });
}

function onKey(key, control) {
  document.addEventListener("keydown", (event) => forPage(event) && event.key === key && !event.repeat && control.click());
}
