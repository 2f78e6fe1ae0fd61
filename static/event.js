// One event: its filmstrip without loading a page for each picture, the box, marking, deleting.

import { keepBanners } from "./banners.js";
import { Live } from "./live.js";
import { ask, call, forPage, toast } from "./page.js";

const story = document.querySelector(".story");
const id = story.dataset.event;
const shot = document.querySelector(".shot");
const strip = document.querySelector(".strip");
const markButton = document.querySelector("#mark");
const boxButton = document.querySelector("#box");
const live = new Live();

/** Put the picture of one link of the strip on the stage. */
function choose(link) {
  const slide = link.querySelector("template");
  shot.replaceChildren(slide.content.cloneNode(true));
  for (const other of strip.querySelectorAll("a")) other.toggleAttribute("aria-current", other === link);
  link.setAttribute("aria-current", "true");
  history.replaceState(null, "", link.href);
}

strip?.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  choose(link);
});

function boxes(shown) {
  story.classList.toggle("nobox", !shown);
  boxButton?.setAttribute("aria-pressed", shown);
  try {
    localStorage.setItem("boxes", shown ? "yes" : "no");
  } catch {
    // Storage may be forbidden; then the choice lasts for this page.
  }
}

function show(reviewed) {
  markButton.setAttribute("aria-pressed", reviewed);
  markButton.querySelector("span").textContent = reviewed ? "Reviewed" : "Mark reviewed";
}

async function mark(reviewed) {
  show(reviewed);
  try {
    await call("POST", `/api/events/${id}/reviewed`, { reviewed });
    toast(reviewed ? "Marked reviewed." : "Marked as still to review.", { undo: () => mark(!reviewed) });
  } catch (error) {
    show(!reviewed);
    toast(error.message, { bad: true });
  }
}

async function remove() {
  const dialog = document.querySelector("#delete");
  if (!dialog) return toast("Only an administrator may delete events.", { bad: true });
  if (!(await ask(dialog))) return;
  try {
    await call("DELETE", `/api/events/${id}`);
    const onward = document.querySelector("a[rel=next]") ?? document.querySelector("a[rel=prev]");
    location.replace(onward?.href ?? "/events");
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

/** To the list; by the browser's own history if one came from there, so that it is where it was. */
function back() {
  const link = document.querySelector("#back");
  if (document.referrer && new URL(document.referrer).pathname === "/events" && history.length > 1) history.back();
  else link.click();
}

const isMarked = () => markButton.getAttribute("aria-pressed") === "true";
markButton.addEventListener("click", () => mark(!isMarked()));
boxButton?.addEventListener("click", () => boxes(story.classList.contains("nobox")));
document.querySelector("#remove")?.addEventListener("click", remove);

document.addEventListener("error", (event) => {
  if (event.target.tagName !== "IMG") return;
  const gone = document.querySelector("#gone").content.firstElementChild.cloneNode(true);
  if (event.target.closest(".strip")) gone.querySelector(".long")?.remove();
  event.target.parentElement.querySelector(".boxes")?.remove();
  event.target.replaceWith(gone);
}, true);

document.addEventListener("keydown", (event) => {
  if (!forPage(event)) return;
  const follow = (rel) => document.querySelector(`a[rel="${rel}"]`)?.click();
  if (event.key === "j" || event.key === "ArrowRight") follow("next");
  if (event.key === "k" || event.key === "ArrowLeft") follow("prev");
  if (event.key === "r") mark(!isMarked());
  if (event.key === "b" && boxButton) boxes(story.classList.contains("nobox"));
  if (event.key === "Delete" || event.key === "Backspace") remove();
  if (event.key === "Escape") back();
  if (/^[1-4]$/.test(event.key)) strip?.querySelectorAll("a")[event.key - 1]?.click();
});

live.addEventListener("event", ({ detail }) => {
  if (String(detail.event) !== id) return;
  if (detail.what === "ended" && story.dataset.open === "yes") location.reload();
  if (detail.what === "deleted") toast("This event has been deleted.", { bad: true });
  if (detail.what === "reviewed") call("GET", `/api/events/${id}`).then((found) => show(found.reviewed), () => {});
});

try {
  sessionStorage.setItem("event", id); // the list puts the focus back on it
  if (localStorage.getItem("boxes") === "no") boxes(false);
} catch {
  // As above.
}
keepBanners(live);
live.start();
