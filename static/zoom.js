// Zooming into the picture of one camera and moving about in it: wheel, pinch, drag, double tap and keys. What is
// shown belongs to the tile; this module only says where its layers lie, and asks nobody for pictures.

import { forPage } from "./page.js";

const MOST = 8;
const NEAR = 2.5; // where a double tap leads
const STEP = 1.5; // of a key
const PAN = 0.15; // of a key, in widths or heights of the tile
const TAP_MS = 320; // between the two taps of a double tap
const TAP_PX = 24; // how far a tap may slip

/**
 * The place of the whole picture: `x` and `y` are where the tile's corner lies, in widths and heights of the tile, so
 * that a place stays true when the tile gets another size.
 */
export const WHOLE = Object.freeze({ scale: 1, x: 0, y: 0 });

/** `offset` such that no edge of the picture, which covers `cover` of the tile, leaves the tile's edge. */
function clamped(offset, scale, cover) {
  const margin = (scale * (1 - cover)) / 2; // a picture of another shape than the tile has bars at its sides
  if (scale * cover <= 1) return (1 - scale) / 2;
  return Math.min(-margin, Math.max(1 - scale + margin, offset)) || 0; // || 0: no -0
}

/** `state` moved by `dx`, `dy`, in widths and heights of the tile. `cover`: the picture's share of both. */
export function panned({ scale, x, y }, dx, dy, cover = [1, 1]) {
  return { scale, x: clamped(x + dx, scale, cover[0]), y: clamped(y + dy, scale, cover[1]) };
}

/** `state` larger by `factor`; what is under the point `x`, `y` (0 to 1 across the tile) stays there. */
export function zoomed(state, factor, x, y, cover = [1, 1]) {
  const scale = Math.min(MOST, Math.max(1, state.scale * factor));
  if (factor < 1 && scale < 1.01) return { ...WHOLE }; // only on the way back: a slow pinch begins with less than that
  const by = scale / state.scale;
  return panned({ scale, x: x - (x - state.x) * by, y: y - (y - state.y) * by }, 0, 0, cover);
}

/** Let people zoom into `tile`; `pill` says how far, with a button back. The tile sends "zoom" after each change. */
export function zoomable(tile, pill) {
  const pointers = new Map(); // id -> place of each finger or button that is down
  let state = WHOLE;
  let tap = { at: -Infinity, x: 0, y: 0 };
  let pressed = null; // where a press that may become a tap began
  let wheeledAt = -Infinity;

  function show(next) {
    if (next.scale === state.scale && next.x === state.x && next.y === state.y) return false;
    state = next;
    const near = state.scale > 1;
    for (const [name, value] of Object.entries({ "--zoom": state.scale, "--zoom-x": state.x, "--zoom-y": state.y })) tile.style.setProperty(name, value);
    tile.classList.toggle("zoomed", near);
    if (!near && pill.contains(document.activeElement)) pill.closest("main").focus();
    pill.hidden = !near;
    pill.querySelector("output").textContent = near ? `${Number(state.scale.toFixed(1))}x` : "";
    tile.dispatchEvent(new CustomEvent("zoom", { detail: state }));
    return true;
  }

  /** The share of the tile's width and height that the picture covers. */
  function cover() {
    const video = [...tile.querySelectorAll(".video")].find((one) => one.videoWidth && one.checkVisibility());
    const canvas = tile.querySelector(".picture");
    const shape = (video ? video.videoWidth / video.videoHeight : canvas.width / canvas.height) / (tile.clientWidth / tile.clientHeight);
    return [Math.min(1, shape), Math.min(1, 1 / shape)];
  }

  /** A place on the screen as a point of the tile. */
  function point({ x, y }) {
    const { left, top, width, height } = tile.getBoundingClientRect();
    return [(x - left) / width, (y - top) / height];
  }

  const zoom = (factor, x = 0.5, y = 0.5) => show(zoomed(state, factor, x, y, cover()));
  const pan = (dx, dy) => show(panned(state, dx, dy, cover()));
  const whole = () => show(WHOLE);

  tile.addEventListener(
    "wheel",
    (event) => {
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
      const speed = event.ctrlKey ? 0.01 : 0.002; // with ctrl: a pinch on a touchpad, told as small turns of the wheel
      const changed = zoom(Math.exp(-event.deltaY * lines * speed), ...point(event));
      // The page scrolls where zooming has nothing to do, yet not with the last swing of zooming out.
      if (changed || state.scale > 1 || event.timeStamp - wheeledAt < 400) event.preventDefault();
      if (changed) wheeledAt = event.timeStamp;
    },
    { passive: false },
  );

  // Two fingers zoom; without this the page would scroll with them. One finger at 1x scrolls the page.
  for (const type of ["touchstart", "touchmove"]) {
    tile.addEventListener(type, (event) => event.touches.length > 1 && event.cancelable && event.preventDefault(), { passive: false });
  }

  tile.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    tile.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    pressed = pointers.size === 1 ? { x: event.clientX, y: event.clientY } : null;
  });

  tile.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const before = spread([...pointers.values()]);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = spread([...pointers.values()]);
    if (pressed && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > TAP_PX) pressed = null;
    if (pointers.size === 1 && state.scale === 1) return;
    tile.classList.add("held");
    const [from, to] = [point(before), point(after)];
    if (before.apart && after.apart) zoom(after.apart / before.apart, ...from);
    pan(to[0] - from[0], to[1] - from[1]);
  });

  function release(event) {
    pointers.delete(event.pointerId);
    if (!pointers.size) tile.classList.remove("held");
  }

  tile.addEventListener("pointerup", (event) => {
    release(event);
    if (!pressed) return;
    pressed = null;
    const { clientX: x, clientY: y, timeStamp: at } = event;
    const double = at - tap.at < TAP_MS && Math.hypot(x - tap.x, y - tap.y) < TAP_PX;
    tap = { at: double ? -Infinity : at, x, y };
    if (double && !whole()) zoom(NEAR, ...point({ x, y })); // not "dblclick", which some phones never send
  });

  tile.addEventListener("pointercancel", (event) => {
    release(event);
    pressed = null;
  });

  document.addEventListener("keydown", (event) => {
    if (!forPage(event)) return;
    const act = {
      "+": () => zoom(STEP),
      "=": () => zoom(STEP), // the same key without shift
      "-": () => zoom(1 / STEP),
      0: whole,
      ...(state.scale > 1 && {
        ArrowLeft: () => pan(PAN, 0),
        ArrowRight: () => pan(-PAN, 0),
        ArrowUp: () => pan(0, PAN),
        ArrowDown: () => pan(0, -PAN),
      }),
    }[event.key];
    if (!act) return;
    event.preventDefault(); // which also tells the page's own keys that this one is spent
    act();
  });

  pill.querySelector("button").addEventListener("click", whole);
  new ResizeObserver(() => pan(0, 0)).observe(tile); // another shape of the tile, other edges
}

/** The middle of these places, and how far the first two are apart. */
function spread(places) {
  const [one, two = one] = places;
  return { x: (one.x + two.x) / 2, y: (one.y + two.y) / 2, apart: Math.hypot(one.x - two.x, one.y - two.y) };
}
