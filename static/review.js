// The list of events: keys, marking, deleting, and events that come while one looks. The server draws every card;
// this script fetches the page anew and puts in place what changed.

import { keepBanners } from "./banners.js";
import { Live } from "./live.js";
import { ask, call, forPage, toast } from "./page.js";

const list = document.querySelector("#events");
const pill = document.querySelector(".pill");
const filters = document.querySelector(".filters");
const first = list.dataset.first === "yes"; // the newest page: new events belong on it
const live = new Live();
const fresh = new Set();
let timer = 0;

const cards = () => [...list.querySelectorAll(".event")];
const current = () => document.activeElement?.closest(".event") ?? null;
const linkOf = (card) => card.querySelector("a");

function go(step) {
  const all = cards();
  if (!all.length) return;
  const here = all.indexOf(current());
  const to = here < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, here + step));
  if (here >= 0 && to === here && Math.abs(step) === 1) {
    document.querySelector(step > 0 ? "a[rel=next]" : "a[rel=prev]")?.focus();
    return;
  }
  linkOf(all[to]).focus();
  all[to].scrollIntoView({ block: "nearest" });
}

/** How many cards stand in a row, for the keys up and down. */
function perRow() {
  const all = (current()?.parentElement ?? list).querySelectorAll(".event");
  const top = all[0]?.offsetTop;
  const count = [...all].findIndex((card) => card.offsetTop !== top);
  return count < 1 ? all.length || 1 : count;
}

async function mark(card, reviewed) {
  show(card, reviewed);
  try {
    await call("POST", `/api/events/${card.dataset.event}/reviewed`, { reviewed });
    toast(reviewed ? "Marked reviewed." : "Marked as still to review.", { undo: () => mark(card, !reviewed) });
  } catch (error) {
    show(card, !reviewed);
    toast(error.message, { bad: true });
  }
}

/** All events on this page that are not reviewed yet, with one request and one Undo. */
async function markAll() {
  const open = cards().filter((card) => !card.classList.contains("reviewed"));
  if (!open.length) return toast("Every event on this page is reviewed already.");
  await setAll(open, true);
}

async function setAll(some, reviewed) {
  try {
    await call("POST", "/api/events/reviewed", { events: some.map((card) => Number(card.dataset.event)), reviewed });
    for (const card of some) show(card, reviewed);
    const count = some.length === 1 ? "1 event" : `${some.length} events`;
    toast(reviewed ? `${count} marked reviewed.` : `${count} marked as still to review.`, { undo: () => setAll(some, !reviewed) });
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

function show(card, reviewed) {
  card.classList.toggle("reviewed", reviewed);
  card.querySelector(".tick")?.setAttribute("aria-pressed", reviewed);
}

async function remove(card) {
  const dialog = document.querySelector("#delete");
  if (!dialog) return toast("Only an administrator may delete events.", { bad: true });
  dialog.querySelector(".which").textContent = card.querySelector(".tick").getAttribute("aria-label").replace("Reviewed: ", "");
  if (!(await ask(dialog))) return linkOf(card).focus();
  const all = cards();
  const next = all[all.indexOf(card) + 1] ?? all[all.indexOf(card) - 1];
  card.classList.add("leaving");
  try {
    await call("DELETE", `/api/events/${card.dataset.event}`);
    if (next) linkOf(next).focus();
    card.remove();
    toast("Event deleted.");
    refresh();
  } catch (error) {
    card.classList.remove("leaving");
    toast(error.message, { bad: true });
  }
}

/** Bring the page up to date without moving what the reader looks at. */
async function refresh() {
  const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const focused = current()?.dataset.event;
  const held = new Set(cards().map((card) => card.dataset.event));
  for (const part of ["#events", "#hours", "#count"]) {
    const [old, now] = [document.querySelector(part), page.querySelector(part)];
    if (!old || !now) continue;
    if (part === "#events") keepPictures(old, now);
    old.replaceChildren(...now.childNodes);
  }
  for (const card of cards()) if (!held.has(card.dataset.event) && fresh.has(card.dataset.event)) card.classList.add("fresh");
  fresh.clear();
  pill.hidden = true;
  const again = focused && list.querySelector(`.event[data-event="${focused}"] a`);
  if (again && document.activeElement === document.body) again.focus({ preventScroll: true });
}

/** Loaded pictures move over to the new cards, so that nothing flickers. */
function keepPictures(old, now) {
  for (const picture of now.querySelectorAll(".thumb img")) {
    const same = old.querySelector(`.thumb img[src="${CSS.escape(picture.getAttribute("src"))}"]`);
    if (same) picture.replaceWith(same);
  }
}

function belongs(camera) {
  const wanted = filters.elements.camera.value;
  return first && (!wanted || wanted === camera) && list.dataset.open === "yes";
}

function soon() {
  timer ||= setTimeout(() => {
    timer = 0;
    refresh();
  }, 700);
}

live.addEventListener("event", ({ detail }) => {
  const { what, event, camera } = detail;
  const card = list.querySelector(`.event[data-event="${Number(event)}"]`);
  if (what === "reviewed") return card && soonUnless(card);
  if (what === "deleted") return card && !card.classList.contains("leaving") && soon();
  if (what === "ended") return card && soon();
  if (!belongs(camera)) return;
  fresh.add(String(event));
  if (scrollY < 120 && !document.querySelector("dialog[open]")) return soon();
  pill.hidden = false;
  pill.querySelector(".count").textContent = fresh.size === 1 ? "1 new event" : `${fresh.size} new events`;
});

/** Another person marked it: follow, unless this page has just said the same. */
function soonUnless(card) {
  call("GET", `/api/events/${card.dataset.event}`).then((found) => show(card, found.reviewed), () => {});
}

pill.addEventListener("click", () => {
  scrollTo({ top: 0 });
  refresh();
});

document.querySelector("#mark-all").addEventListener("click", markAll);

list.addEventListener("click", (event) => {
  const tick = event.target.closest(".tick");
  if (tick) mark(tick.closest(".event"), tick.getAttribute("aria-pressed") !== "true");
});

list.addEventListener("error", (event) => {
  if (event.target.tagName !== "IMG") return;
  const gone = document.querySelector("#gone").content.firstElementChild.cloneNode(true);
  event.target.replaceWith(gone);
}, true);

filters.addEventListener("change", (event) => {
  if (event.target.name === "day" && event.target.value && !event.target.validity.valid) return;
  for (const field of filters.elements) field.disabled ||= !field.value; // keeps empty ones out of the address
  filters.submit();
});
addEventListener("pageshow", () => {
  for (const field of filters.elements) field.disabled = false;
  try {
    const seen = sessionStorage.getItem("event");
    sessionStorage.removeItem("event");
    if (seen) list.querySelector(`.event[data-event="${Number(seen)}"] a`)?.focus();
  } catch {
    // Storage may be forbidden; then the list begins at its top.
  }
});

document.addEventListener("keydown", (event) => {
  if (!forPage(event)) return;
  const card = current();
  const moves = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1, ArrowDown: perRow(), ArrowUp: -perRow() };
  if (event.key in moves) {
    event.preventDefault();
    return go(moves[event.key]);
  }
  if (event.key === "R") return markAll();
  if (event.key === "r" && card) return mark(card, !card.classList.contains("reviewed"));
  if ((event.key === "Delete" || event.key === "Backspace") && card) {
    event.preventDefault();
    return remove(card);
  }
  if (event.key === "w") return location.assign("/");
  if (event.key === "o") return document.querySelector("a[rel=next]")?.click();
  if (event.key === "n") return document.querySelector("a[rel=prev]")?.click();
});

keepBanners(live);
live.start();
