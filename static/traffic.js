// What the page receives, in the button that saves it: live pictures can cost a phone its month.

const KEPT = "save-data"; // in the browser, not in the account: the link is the browser's

/** Whether the person asked for smaller and fewer pictures, or the browser does. */
export function savesData() {
  const kept = localStorage.getItem(KEPT);
  return kept === null ? navigator.connection?.saveData === true : kept === "yes";
}

/** Show the rate of the last seconds, and let the button change `savesData`; `changed` is called after that. */
export function keepTraffic(live, changed) {
  const button = document.querySelector("#traffic");
  const figure = button.querySelector(".figure");
  let before = live.received;
  let rate = 0;

  function show() {
    rate += ((live.received - before) / 1000 - rate) * 0.5;
    before = live.received;
    figure.textContent = rate < 999.5 ? `${Math.round(rate)} kB/s` : `${(rate / 1000).toFixed(1)} MB/s`;
    const saves = savesData();
    button.setAttribute("aria-pressed", String(saves));
    button.setAttribute("aria-label", `${saves ? "Saving data" : "Save data"}, now ${figure.textContent}`);
  }

  button.addEventListener("click", () => {
    localStorage.setItem(KEPT, savesData() ? "no" : "yes");
    show();
    changed();
  });
  setInterval(show, 1000);
  show();
}
