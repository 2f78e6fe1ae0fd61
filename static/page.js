// What every page does: menus, toasts, the dialog of keys, copying, requests that change something.

const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

/** Call the API; the answer's JSON, or an Error whose message is fit for people. */
export async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: { "X-CSRFToken": token, Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new Error("The dashboard does not answer. Nothing was changed.");
  }
  if (answer.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    throw new Error("Your login has ended.");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.error || `The dashboard answered ${answer.status}.`);
  return found;
}

/** Say the result of an action for some seconds; `undo`: what the button does. */
export function toast(text, { undo, bad = false } = {}) {
  const box = document.querySelector(".toasts");
  const note = document.createElement("div");
  note.className = bad ? "toast bad" : "toast";
  note.append(Object.assign(document.createElement("span"), { textContent: text }));
  if (undo) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "button bare", textContent: "Undo" });
    button.addEventListener("click", () => (note.remove(), undo()));
    note.append(button);
  }
  box.replaceChildren(note);
  setTimeout(() => note.remove(), bad ? 9000 : 6000);
}

let asked = Promise.resolve(false);

/**
 * Ask in a dialog; true when the answer was yes. Enter on the first button says no. One question at a time: that a
 * dialog was closed is told a moment later, and must not be taken for the answer to the next question.
 */
export function ask(dialog) {
  asked = asked.then(
    () =>
      new Promise((resolve) => {
        dialog.returnValue = "";
        dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
        dialog.showModal();
      }),
  );
  return asked;
}

/** Whether a key press belongs to the page: no modifier, no dialog, nobody typing. */
export function forPage(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  if (document.querySelector("dialog[open]")) return false;
  return !event.target.closest?.("input, select, textarea, [contenteditable]");
}

export function toggleFullScreen(element = document.documentElement) {
  if (document.fullscreenElement) document.exitFullscreen();
  else element.requestFullscreen?.().catch(() => toast("This browser allows no full screen here.", { bad: true }));
}

document.querySelector("#logout")?.addEventListener("submit", () => (document.body.dataset.leaving = "yes"));

const keys = document.querySelector("#keys");

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (event.key === "Escape" && menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
  if (event.key === "?" && keys && forPage(event)) keys.showModal();
});

document.addEventListener("click", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (menu && !menu.contains(event.target)) menu.open = false;
  const pressed = event.target.closest("[data-do]");
  if (pressed?.dataset.do === "keys") {
    if (menu) menu.open = false;
    keys.showModal();
  }
  if (pressed?.dataset.do === "full") toggleFullScreen(document.querySelector(pressed.dataset.of ?? "html"));
  if (pressed?.dataset.do === "copy") copy(document.querySelector(pressed.dataset.of));
  if (event.target.matches("dialog")) event.target.close(); // a click on the backdrop
});

async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    toast("Copied.");
  } catch {
    getSelection().selectAllChildren(source); // without https there is no clipboard: select, so that Ctrl C works
    toast("Selected. Copy it with Ctrl C.");
  }
}
