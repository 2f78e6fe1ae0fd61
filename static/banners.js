// The banners on top of a page with a live connection: connection lost, cameras.yaml refused, disk nearly full.

const LATE = 1500; // a short break of the connection is not worth a banner

/** Keep the banners true to what `live` says. */
export function keepBanners(live) {
  const [lost, config, disk] = ["lost", "config", "disk"].map((name) => document.querySelector(`#banner-${name}`));
  let timer = 0;

  live.addEventListener("lost", () => (timer ||= setTimeout(() => (lost.hidden = false), LATE)));
  live.addEventListener("connected", () => {
    clearTimeout(timer);
    timer = 0;
    lost.hidden = true;
  });

  live.addEventListener("config", ({ detail }) => {
    const lines = detail.findings.map((text) => Object.assign(document.createElement("li"), { textContent: text }));
    config.querySelector("ul").replaceChildren(...lines);
    config.hidden = lines.length === 0;
  });

  live.addEventListener("disk", ({ detail }) => {
    disk.querySelector(".free").textContent = bytes(detail.free);
    disk.hidden = !detail.reserved;
  });
}

/** "1.4 GB": decimal units, as disks are sold. */
export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (count >= 999.5 && step < units.length - 1) {
    count /= 1000;
    step += 1;
  }
  return `${step && count < 9.95 ? count.toFixed(1) : Math.round(count)} ${units[step]}`;
}
