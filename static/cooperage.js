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

// What a terminal would do with escape sequences and carriage returns.
function plain(line) {
  const text = line
    .replace(/\x1b\[[0-?]*[ -\/]*[@-~]/g, "")
    .replace(/\x1b\][^\x07\n]*(\x07|\x1b\\)/g, "")
    .replace(/\x1b./g, "")
    .replace(/\r+$/, "");
  return text.slice(text.lastIndexOf("\r") + 1).replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");
}

// The live log. A browser that loses the connection asks again with the offset it has.
const log = document.getElementById("log");
if (log && log.dataset.events) {
  const unfinished = document.createElement("span");
  let line = "";
  log.append(unfinished);
  log.classList.add("live");
  log.scrollTop = log.scrollHeight;
  const events = new EventSource(log.dataset.events);

  events.addEventListener("log", (event) => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const lines = (line + JSON.parse(event.data)).split("\n");
    line = lines.pop();
    if (lines.length > 0) {
      unfinished.before(lines.map((whole) => plain(whole) + "\n").join(""));
    }
    unfinished.textContent = plain(line);
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

// Pages that show what goes on now.
const refreshed = document.querySelector("[data-refresh]");
if (refreshed) {
  setInterval(() => {
    if (!document.hidden) renew(refreshed.id, refreshed.dataset.refresh).catch(() => {});
  }, 5000);
}

// Running times go on between two events.
if (document.querySelector("[data-live]")) {
  setInterval(() => {
    const live = document.querySelector("[data-live]");
    if (live && !document.hidden) renew("build", live.dataset.live).catch(() => {});
  }, 10000);
}
