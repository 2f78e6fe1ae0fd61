// How tiles of 16:9 fill a field. Pure: numbers in, numbers out.

const TILE = 16 / 9;

/**
 * The number of columns for `n` tiles in a field of `aspect` (width / height): tiles as large as they can be, and of
 * the numbers that come near to that the largest, since it fills the field from side to side.
 */
export function columns(n, aspect) {
  const widths = Array.from({ length: n }, (_, place) => Math.min(aspect / (place + 1), TILE / Math.ceil(n / (place + 1))));
  const widest = Math.max(...widths); // in heights of the field
  return widths.findLastIndex((width) => width >= 0.94 * widest) + 1;
}

/** The most columns: a phone shows one upright and two on its side, since smaller pictures say nothing to a thumb. */
function most(width, height) {
  if (width <= 640) return 1;
  return width <= 960 && height <= 430 ? 2 : Infinity;
}

/** Columns and tile width for a field in CSS pixels; `scrolls` when tiles would be too small to see all at once. */
export function fit(n, width, height, gap = 2, smallest = 150) {
  const limit = most(width, height);
  const count = Math.max(1, Math.min(limit, columns(n, width / height), Math.floor((width + gap) / (smallest + gap)) || 1));
  const rows = Math.ceil(n / count);
  const byWidth = (width - gap * (count - 1)) / count;
  const byHeight = ((height - gap * (rows - 1)) / rows) * TILE;
  const scrolls = byHeight < smallest || byHeight < byWidth * (limit === Infinity ? 0.5 : 0.7);
  return { columns: count, width: Math.floor(scrolls ? byWidth : Math.min(byWidth, byHeight)), scrolls };
}

/** The width to ask pictures in: a few steps only, so that viewers share what is encoded. */
export function pictureWidth(pixels, most = 1280) {
  const steps = [160, 240, 320, 480, 640, 960, 1280, 1920, 2560];
  return Math.min(most, steps.find((step) => step >= pixels) ?? most);
}

/** Pictures a second for each of `n` tiles in sight. */
export function tileRate(n) {
  if (n <= 9) return 12;
  return n <= 16 ? 10 : 6;
}
