// Shows times in the reader's zone, warns when the page is out of date, and filters, sorts and folds the table. The page
// can be read without it. It requests nothing but the page itself.
"use strict";

const body = document.body;
const made = Date.parse(body.dataset.made);
const next = Date.parse(body.dataset.next);
const overdue = Date.parse(body.dataset.overdue);

// -- times ----------------------------------------------------------------------------------------------------------

const clock = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const short = new Intl.DateTimeFormat("en-GB", clock);
const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const long = new Intl.DateTimeFormat("en-GB", { ...clock, year: "numeric", timeZoneName: "short" });

function span(seconds) {
  seconds = Math.max(0, Math.round(seconds));
  const units = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  for (const [large, name, small, smallName] of units) {
    if (seconds >= large) {
      const count = Math.floor(seconds / large);
      const rest = Math.floor((seconds % large) / small);
      return rest && !(name === "min" && count > 4) ? `${count} ${name} ${rest} ${smallName}` : `${count} ${name}`;
    }
  }
  return `${seconds} s`;
}

for (const time of document.querySelectorAll("time:not([data-ago])")) {
  const moment = Date.parse(time.dateTime);
  const sameDay = new Date(moment).toDateString() === new Date(made).toDateString();
  const form = "year" in time.dataset ? long : "clock" in time.dataset && sameDay ? hour : short;
  time.textContent = form.format(moment);
}

// -- out of date? ---------------------------------------------------------------------------------------------------

const banner = document.getElementById("stale");
const age = document.getElementById("age");

function showAge() {
  const now = Date.now();
  if (age) age.textContent = now > made + 1000 ? `, ${span(Math.floor((now - made) / 60000) * 60 || (now - made) / 1000)} ago` : "";
  const stale = now > overdue;
  if (stale) {
    banner.textContent = `Out of date: the next round was due ${span((now - next) / 1000)} ago and has not been made. `
      + "What stands below was true then; it may not be now.";
  }
  banner.hidden = !stale;
  body.classList.toggle("is-stale", stale);
}

showAge();
setInterval(showAge, 15000);
document.addEventListener("visibilitychange", showAge);

// An open page loads the next round by itself. It asks first, so that a server that is away leaves it as it is.
async function renew() {
  if (Date.now() < next + 10000 || !getSelection().isCollapsed) return;
  if (location.protocol === "file:") {
    if (Date.now() < overdue) location.reload();
    return;
  }
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const text = answer.ok ? await answer.text() : "";
    const found = text.match(/data-made="([^"]+)"/);
    if (found && found[1] !== body.dataset.made) location.reload();
  } catch { /* the server is away: the warning will say so */ }
}

setInterval(renew, 20000);

// -- long lists are folded ----------------------------------------------------------------------------------------------

for (const details of document.querySelectorAll("details.affected")) {
  if (details.querySelectorAll("li").length > 12) details.open = false;
}

// On paper everything is unfolded.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details.affected")) details.open = true;
});

// -- commands that can be copied --------------------------------------------------------------------------------------

for (const box of document.querySelectorAll(".command")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const code = box.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  box.append(button);
}

// -- the table --------------------------------------------------------------------------------------------------------

const fleet = document.getElementById("fleet");
if (fleet) setUpTable(fleet);

function setUpTable(table) {
  const filter = document.getElementById("filter");
  const status = document.getElementById("status");
  const fold = document.getElementById("fold");
  const shown = document.getElementById("shown");
  const groups = [...table.tBodies].map((tbody) => {
    const [head, ...rows] = tbody.rows;
    const name = head.querySelector(".name").textContent;
    return { tbody, head, name, folded: false, rows: rows.map((row) => describe(row, name)) };
  });
  const all = groups.flatMap((group) => group.rows);
  const sorted = document.createElement("tbody");
  let order = null;

  document.querySelector(".tools").hidden = false;
  if (groups.length < 2) fold.hidden = true;

  function describe(row, group) {
    const word = row.className.slice(2);
    return { row, word, text: `${row.textContent} ${group}`.toLowerCase(), visible: true };
  }

  function apply() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = status.value;
    const asked = words.length > 0 || wanted !== "";
    let count = 0;
    for (const item of all) {
      item.visible = (wanted === "" || (wanted === "wrong" ? item.word !== "up" : item.word === wanted))
        && words.every((word) => item.text.includes(word));
      count += item.visible;
    }
    for (const group of groups) {
      const folded = group.folded && !asked && !order;
      let any = false;
      for (const item of group.rows) {
        item.row.hidden = !item.visible || folded;
        any ||= item.visible;
      }
      group.head.hidden = !any;
      group.button.setAttribute("aria-expanded", String(!folded));
    }
    shown.textContent = asked ? `${count} of ${all.length}` : "";
    for (const item of document.querySelectorAll(".counts button")) {
      item.setAttribute("aria-pressed", String(item.parentElement.dataset.status === wanted));
    }
    remember();
  }

  function remember() {
    const asked = new URLSearchParams();
    if (filter.value) asked.set("q", filter.value);
    if (status.value) asked.set("status", status.value);
    if (order) asked.set("sort", `${order.index}${order.down ? "-" : ""}`);
    const folded = groups.filter((group) => group.folded).map((group) => group.name);
    for (const name of folded) asked.append("fold", name);
    try {
      const text = asked.toString();
      history.replaceState(null, "", (text ? `?${text}` : location.pathname) + location.hash);
    } catch { /* some browsers forbid it on files */ }
  }

  function setFold(group, folded) {
    group.folded = folded;
    const every = groups.every((other) => other.folded);
    fold.setAttribute("aria-pressed", String(every));
  }

  for (const group of groups) {
    const name = group.head.querySelector(".name");
    group.button = document.createElement("button");
    group.button.type = "button";
    group.button.className = "fold";
    group.button.textContent = group.name;
    group.button.addEventListener("click", () => { setFold(group, !group.folded); apply(); });
    name.replaceChildren(group.button);
  }

  fold.addEventListener("click", () => {
    const folded = fold.getAttribute("aria-pressed") !== "true";
    for (const group of groups) setFold(group, folded);
    apply();
  });

  // A click on a heading sorts upwards, the second downwards, the third brings the inventory's groups back.
  const severity = ["up", "maintenance", "unknown", "degraded", "down"];
  const keys = {
    text: (cell) => cell.textContent.trim().toLowerCase(),
    status: (cell) => -severity.indexOf(cell.parentElement.className.slice(2)),
    time: (cell) => -Date.parse(cell.querySelector("time").dateTime),
    number: (cell) => { const number = parseFloat(cell.textContent); return Number.isNaN(number) ? Infinity : number; },
  };
  const heads = [...table.tHead.rows[0].cells];

  function setOrder(index, down) {
    order = index === null ? null : { index, down };
    heads.forEach((head, at) => {
      if (order && at === index) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    if (!order) {
      sorted.remove();
      for (const group of groups) {
        group.tbody.append(...group.rows.map((item) => item.row));
        table.append(group.tbody);
      }
      return;
    }
    const key = keys[heads[index].dataset.sort];
    const list = all.map((item, at) => ({ at, row: item.row, key: key(item.row.cells[index]) }));
    list.sort((one, other) => {
      const compared = typeof one.key === "string"
        ? one.key.localeCompare(other.key, undefined, { numeric: true })
        : one.key === other.key ? 0 : one.key - other.key;
      return (down ? -compared : compared) || one.at - other.at;
    });
    for (const group of groups) group.tbody.remove();
    sorted.append(...list.map((item) => item.row));
    table.append(sorted);
  }

  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      if (!order || order.index !== index) setOrder(index, false);
      else if (!order.down) setOrder(index, true);
      else setOrder(null);
      apply();
    });
  });

  for (const item of document.querySelectorAll(".counts li:not(.zero)")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...item.childNodes);
    item.append(button);
    button.addEventListener("click", () => {
      status.value = status.value === item.dataset.status ? "" : item.dataset.status;
      apply();
    });
  }

  filter.addEventListener("input", apply);
  status.addEventListener("change", apply);
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape" && document.activeElement === filter) {
      filter.value = "";
      apply();
    }
  });

  const asked = new URLSearchParams(location.search);
  filter.value = asked.get("q") || "";
  if ([...status.options].some((option) => option.value === asked.get("status"))) status.value = asked.get("status");
  for (const group of groups) if (asked.getAll("fold").includes(group.name)) setFold(group, true);
  const sort = /^(\d+)(-?)$/.exec(asked.get("sort") || "");
  if (sort && Number(sort[1]) < heads.length) setOrder(Number(sort[1]), sort[2] === "-");
  apply();
}
