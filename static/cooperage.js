// Makes pages more comfortable; all of them are complete without it.
"use strict";

// Buttons that copy the command beside them.
for (const button of document.querySelectorAll(".copy")) {
  button.hidden = false;
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    // Without https there is no clipboard: the text is selected, ready for the keyboard.
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

// Fetches a page again and puts its newer version of one element in place of the shown one.
async function renew(id, address) {
  const response = await fetch(address, { headers: { accept: "text/html" } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const renewed = page.getElementById(id);
  const shown = document.getElementById(id);
  if (!renewed || !shown) return;
  shown.replaceWith(renewed);
  for (const button of renewed.querySelectorAll(".copy")) button.hidden = false;
}

// A terminal's Select Graphic Rendition, as classes: eight colours and bold.
function select(look, parameters) {
  const codes = parameters.split(";").map(Number);
  while (codes.length > 0) {
    const code = codes.shift();
    if (code === 0) look = { bold: false, colour: null };
    else if (code === 1) look = { ...look, bold: true };
    else if (code === 22) look = { ...look, bold: false };
    else if (code >= 30 && code <= 37) look = { ...look, colour: code - 30 };
    else if (code >= 90 && code <= 97) look = { ...look, colour: code - 90 };
    else if (code === 39) look = { ...look, colour: null };
    else if (code === 38 || code === 48) codes.splice(0, codes[0] === 2 ? 4 : 2);
  }
  return look;
}

// What a terminal would do with a line: nodes to show, and the look that the next line begins with.
function paint(line, look) {
  let nodes = [];
  let returned = false;
  const parts = line.matchAll(/\x1b\[([0-?]*)[ -\/]*([@-~])|\x1b\][^\x07]*?(?:\x07|\x1b\\)|\x1b\[[0-?]*$|\x1b.?|\r|[^\x1b\r]+/g);
  for (const [part, parameters, end] of parts) {
    if (end === "m") look = select(look, parameters);
    if (part === "\r") returned = true;
    const text = part.startsWith("\x1b") ? "" : part.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, "");
    if (text === "") continue;
    if (returned) nodes = [];
    returned = false;
    const node = document.createElement("span");
    node.className = [look.bold && "bold", look.colour !== null && "ansi-" + look.colour].filter(Boolean).join(" ");
    node.textContent = text;
    nodes.push(node.className ? node : document.createTextNode(text));
  }
  return { nodes, look };
}

// The live log. A browser that loses the connection asks again with the offset it has.
const log = document.getElementById("log");
if (log && log.dataset.events) {
  const unfinished = document.createElement("span");
  let line = "";
  let look = { bold: false, colour: null };
  log.classList.add("live");
  log.scrollTop = log.scrollHeight;
  const events = new EventSource(log.dataset.events);

  events.addEventListener("log", (event) => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const lines = (line + JSON.parse(event.data)).split("\n");
    line = lines.pop();
    const whole = document.createDocumentFragment();
    for (const text of lines) {
      const painted = paint(text, look);
      look = painted.look;
      whole.append(...painted.nodes, "\n");
    }
    unfinished.replaceChildren(...paint(line, look).nodes);
    unfinished.remove();
    log.append(whole, unfinished);
    if (atEnd) log.scrollTop = log.scrollHeight;
  });

  events.addEventListener("state", (event) => {
    const build = JSON.parse(event.data);
    if (["succeeded", "failed", "cancelled"].includes(build.state)) {
      events.close();
      log.classList.remove("live");
    }
    renew("build", location.pathname).catch(() => {});
  });
} else if (log) {
  log.scrollTop = log.scrollHeight;
}

// Pages that show what goes on now, for as long as they say that something does.
function keepFresh() {
  const shown = document.querySelector("[data-refresh]");
  if (!shown) return;
  setTimeout(async () => {
    if (!document.hidden) await renew(shown.id, shown.dataset.refresh).catch(() => {});
    keepFresh();
  }, 1000 * Number(shown.dataset.every ?? 5));
}
keepFresh();

// Running times go on between two events. They count from the hub's clock, not from the reader's.
setInterval(() => {
  for (const shown of document.querySelectorAll("[data-elapsed]")) {
    shown.began ??= performance.now() - 1000 * Number(shown.dataset.elapsed);
    const seconds = Math.floor((performance.now() - shown.began) / 1000);
    const minutes = Math.floor(seconds / 60);
    if (seconds < 60) shown.textContent = `${seconds} s`;
    else if (minutes < 60) shown.textContent = `${minutes} min ${seconds % 60} s`;
    else shown.textContent = `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }
}, 1000);

// A build whose stream broke off for good is asked for now and then.
if (document.querySelector("[data-live]")) {
  setInterval(() => {
    const live = document.querySelector("[data-live]");
    if (live && !document.hidden) renew("build", live.dataset.live).catch(() => {});
  }, 30000);
}

// What follows the # of a link never leaves the browser by itself; it is put where it is asked for.
const asked = document.querySelector("[data-from-fragment]");
if (asked && location.hash.length > 1) {
  asked.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}
