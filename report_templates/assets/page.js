// Shows times in the reader's zone, warns when the page is out of date, and filters, sorts and folds the table. The page
// can be read without it. It requests only the page and its round file.
"use strict";

const body = document.body;

// The round file gives the time of the last round, but only to the current version of this page.
function told(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim().replace(/^["']|["']$/g, "");
}

const made = Date.parse(told("--made") || body.dataset.made);
const next = Date.parse(told("--next") || body.dataset.next);
const overdue = Date.parse(told("--overdue") || body.dataset.overdue);
const known = !Number.isNaN(made);
if (known) body.dataset.made = told("--made") || body.dataset.made;

// -- out of date? ---------------------------------------------------------------------------------------------------

// This runs right after the banner, before the rest of the page is parsed, so that nothing moves when it is shown.
const banner = document.getElementById("stale");

// Like say_duration in remotestatus/model/durations.py, but without seconds from five minutes on.
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

function showAge() {
  const now = Date.now();
  const age = document.getElementById("age");
  if (age && known) age.textContent = now > made + 1000 ? `, ${span(Math.floor((now - made) / 60000) * 60 || (now - made) / 1000)} ago` : "";
  const stale = !known || now > overdue;
  if (known && stale) {
    banner.textContent = `Out of date: the next round was due ${span((now - next) / 1000)} ago and has not been made. `
      + "What stands below was true then; it may not be now.";
  }
  banner.hidden = !known || !stale;
  body.classList.toggle("is-stale", stale);
}

showAge();
setInterval(showAge, 15000);
document.addEventListener("visibilitychange", showAge);

// -- the rest, as soon as the whole page is parsed --------------------------------------------------------------------

function start() {
  showAge();

  // -- times ----------------------------------------------------------------------------------------------------------

  const clock = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const short = new Intl.DateTimeFormat("en-GB", clock);
  const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const long = new Intl.DateTimeFormat("en-GB", { ...clock, year: "numeric", timeZoneName: "short" });

  function showTime(time) {
    const moment = Date.parse(time.dateTime);
    if ("ago" in time.dataset) {
      if (known) time.textContent = span((made - moment) / 1000);
      return;
    }
    const sameDay = known && new Date(moment).toDateString() === new Date(made).toDateString();
    const form = "year" in time.dataset ? long : "clock" in time.dataset && sameDay ? hour : short;
    time.textContent = form.format(moment);
  }

  function exact(moment) {
    return `${new Date(moment).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  }

  // The style sheet's text can be neither copied nor converted to the reader's zone, so the script replaces it.
  if (known) {
    for (const [name, moment] of [["as-of", made], ["due", next]]) {
      for (const place of document.querySelectorAll(`.now.${name}`)) {
        const time = document.createElement("time");
        time.dateTime = told(name === "due" ? "--next" : "--made") || new Date(moment).toISOString();
        time.title = exact(moment);
        time.dataset[name === "due" ? "clock" : "year"] = "";
        place.replaceChildren(time);
        place.classList.remove(name);
      }
    }
    for (const place of document.querySelectorAll(".now.round")) {
      place.textContent = told("--round");
      place.classList.remove("round");
    }
    for (const part of document.querySelectorAll(".scripted")) {
      part.hidden = false;
      const time = part.querySelector("b > time[data-ago]");
      if (time && made - Date.parse(time.dateTime) < 1000) part.replaceChildren(element("b", "new"), ", ");
    }
  }

  for (const time of document.querySelectorAll("time")) showTime(time);

  // An open page reloads after the next round. It asks the server first, so that an outage leaves the page as it is.
  async function renew() {
    if (known && (Date.now() < next + 10000 || !getSelection().isCollapsed)) return;
    if (location.protocol === "file:") {
      if (known && Date.now() < overdue) location.reload();
      return;
    }
    try {
      const round = document.getElementById("round");
      const answer = await fetch(round ? round.href : location.href, { cache: "no-store" });
      const text = answer.ok ? await answer.text() : "";
      const found = text.match(/(?:--made: ?|data-made=)"([^"]+)"/);
      if (found && found[1] !== body.dataset.made) location.reload();
    } catch { /* the server does not answer: the warning will say so */ }
  }

  // A copy from a cache may get the round file of a newer page: reload it once.
  if (!known && location.protocol !== "file:" && performance.getEntriesByType("navigation")[0]?.type !== "reload") {
    setTimeout(() => location.reload(), 2000);
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

  // A page of more than a thousand remotes has no rows: a script file has their data, and only rows in view are made,
  // STEP at a time.
  const STEP = 200;
  const fleet = document.getElementById("fleet");

  function element(name, text, className) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // 10 000, with a narrow space, as in the templates.
  function number(value) {
    return value.toLocaleString("en").replaceAll(",", "\u202f");
  }

  function svg(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  // The same as DAY_LETTERS in remotestatus/model/days.py.
  const LETTERS = { ".": "none", u: "up", g: "degraded", d: "down", n: "unknown", m: "maintenance" };

  function drawDays(text) {
    const runs = [...text.matchAll(/(\D)(\d+)/g)].map(([, letter, length]) => [LETTERS[letter], Number(length)]);
    const bar = svg("svg", { class: "bar", viewBox: `0 0 ${runs.reduce((sum, [, length]) => sum + length, 0)} 16`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const paths = new Map();
    let left = 0;
    for (const [word, length] of runs) {
      paths.set(word, `${paths.get(word) || ""}M${left} 0h${length}v16h-${length}z`);
      left += length;
    }
    for (const [word, path] of paths) bar.append(svg("path", { class: `d-${word}`, d: path }));
    return bar;
  }

  function drawMark(word) {
    const mark = svg("svg", { class: "m", "aria-hidden": "true" });
    mark.append(svg("use", { href: `#${word}` }));
    return mark;
  }

  // For each kind of cell: how its value is shown (as in table.html.j2), searched and sorted.
  const text = (value) => String(value ?? "");
  const numberIn = (value) => { const found = parseFloat(value); return Number.isNaN(found) ? Infinity : found; };
  const severity = ["up", "maintenance", "unknown", "degraded", "down"];
  const PLAIN = { fill: (cell, value) => cell.append(text(value)), search: text, sort: (value) => text(value).toLowerCase() };
  const CELLS = {
    text: PLAIN,
    number: { ...PLAIN, sort: numberIn },
    link: {
      fill: (cell, [slug, title, beside], root) => {
        const link = element("a", title);
        link.href = `${root}remotes/${slug}.html`;
        cell.append(link, ...(beside ? [" ", element("span", beside, "id")] : []));
      },
      search: ([, title, beside]) => `${title} ${beside}`,
      sort: ([, title]) => title.toLowerCase(),
    },
    status: {
      fill: (cell, [word, codes], root, labels) => {
        cell.append(drawMark(word), " ", element("span", labels[word], "word"));
        for (const code of codes) cell.append(" ", element("span", code, "code"));
      },
      search: ([word, codes], labels) => [labels[word], ...codes].join(" "),
    },
    processes: { ...PLAIN, fill: (cell, value) => { if (value) cell.append(element("span", value, `p-${value.slice(0, 3)}`)); } },
    ago: {
      fill: (cell, seconds) => {
        const time = element("time");
        time.dateTime = `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
        time.title = exact(seconds * 1000);
        time.dataset.ago = "";
        cell.append(time);
        showTime(time);
      },
      search: () => "",
      sort: (seconds) => -seconds,
    },
    days: {
      fill: (cell, [letters, percent]) => {
        const shown = element("span", undefined, "up");
        shown.append(percent || element("span", "–", "quiet"));
        cell.append(drawDays(letters), " ", shown);
      },
      search: ([, percent]) => percent,
      sort: ([, percent]) => numberIn(percent),
    },
  };

  // The cells of a row of data; the first one is its heading.
  function makeCells(values, labels, root) {
    return fleetColumns.map(({ kind, css, before }, at) => {
      const cell = element(at ? "td" : "th", undefined, css);
      if (!at) cell.scope = "row";
      if (before) cell.dataset.before = `${before} `;
      CELLS[kind].fill(cell, values[at], root, labels);
      return cell;
    });
  }

  function setUpTable(table, data) {
    const filter = document.getElementById("filter");
    const status = document.getElementById("status");
    const fold = document.getElementById("fold");
    const shown = document.getElementById("shown");
    const more = document.getElementById("more");
    const heads = [...table.tHead.rows[0].cells];
    const wordAt = data ? fleetColumns.findIndex(({ kind }) => kind === "status") : -1;
    const labels = Object.fromEntries([...status.options].map((option) => [option.value, option.textContent.replace(/ \([^()]*\)$/, "")]));
    // With data, several groups are folded at first.
    const closed = Boolean(data) && table.tBodies.length > 1;
    const groups = [...table.tBodies].map((tbody, at) => {
      const [head, ...rows] = tbody.rows;
      const name = head.querySelector(".name").textContent;
      const items = data ? data[at].map((values) => describeData(values, name)) : rows.map((row) => describeRow(row, name));
      return { tbody, head, name, folded: closed, items };
    });
    const all = groups.flatMap((group) => group.items);
    const sorted = document.createElement("tbody");
    let order = null;
    let limit = STEP;

    document.querySelector(".tools").hidden = false;

    function describeRow(row, group) {
      return { row, word: row.className.slice(2), text: `${row.textContent} ${group}`.toLowerCase(), visible: true };
    }

    function describeData(values, group) {
      const said = fleetColumns.map(({ kind }, at) => CELLS[kind].search(values[at], labels));
      return { values, word: values[wordAt][0], text: [...said, group].join(" ").toLowerCase(), visible: true };
    }

    function rowOf(item) {
      if (!item.row) {
        item.row = element("tr", undefined, `s-${item.word}`);
        item.row.append(...makeCells(item.values, labels, table.dataset.root));
      }
      return item.row;
    }

    function keyOf(item, index) {
      const sort = heads[index].dataset.sort;
      if (sort === "status") return -severity.indexOf(item.word);
      if (item.values) return (CELLS[fleetColumns[index]?.kind] || PLAIN).sort(item.values[index]);
      const cell = item.row.cells[index];
      if (sort === "time") return -Date.parse(cell.querySelector("time").dateTime);
      return sort === "number" ? numberIn(cell.textContent) : cell.textContent.trim().toLowerCase();
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
        for (const item of group.items) {
          if (item.row) item.row.hidden = !item.visible || folded;
          any ||= item.visible;
        }
        group.head.hidden = !any;
        group.open = !folded;
        group.button.setAttribute("aria-expanded", String(!folded));
      }
      if (data) show();
      shown.textContent = asked ? `${number(count)} of ${number(all.length)}` : "";
      for (const item of document.querySelectorAll(".counts button")) {
        item.setAttribute("aria-pressed", String(item.parentElement.dataset.status === wanted));
      }
      remember();
    }

    // With data: make the first visible rows, and remove the others.
    function show() {
      let room = limit;
      const put = (tbody, head, items) => {
        const wanted = items.filter((item) => item.visible);
        tbody.replaceChildren(...(head ? [head] : []), ...wanted.slice(0, room).map((item) => {
          const row = rowOf(item);
          row.hidden = false;
          return row;
        }));
        room -= wanted.length;
      };
      if (order) put(sorted, null, order.items);
      else for (const group of groups) put(group.tbody, group.head, group.open && room > 0 ? group.items : []);
      more.hidden = room >= 0;
      more.firstElementChild.textContent = `Show ${Math.min(STEP, -room)} more`;
      more.lastElementChild.textContent = `${number(-room)} more are not shown here.`;
    }

    more.firstElementChild.addEventListener("click", () => { limit += STEP; apply(); });
    if (data && "IntersectionObserver" in window) {
      new IntersectionObserver(([seen]) => {
        if (seen.isIntersecting && !more.hidden) { limit += STEP; show(); }
      }, { rootMargin: "600px" }).observe(more);
    }

    function change() {
      limit = STEP;
      apply();
    }

    function remember() {
      const asked = new URLSearchParams();
      if (filter.value) asked.set("q", filter.value);
      if (status.value) asked.set("status", status.value);
      if (order) asked.set("sort", `${order.index}${order.down ? "-" : ""}`);
      const turned = groups.filter((group) => group.folded !== closed).map((group) => group.name);
      for (const name of turned) asked.append(closed ? "open" : "fold", name);
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
      group.button.append(element("bdi", group.name));
      group.button.addEventListener("click", () => { setFold(group, !group.folded); change(); });
      name.replaceChildren(group.button);
    }
    fold.setAttribute("aria-pressed", String(closed));

    fold.addEventListener("click", () => {
      const folded = fold.getAttribute("aria-pressed") !== "true";
      for (const group of groups) setFold(group, folded);
      change();
    });

    // A click on a heading sorts upwards, the second downwards, the third brings the inventory's groups back.
    function setOrder(index, down) {
      order = index === null ? null : { index, down };
      heads.forEach((head, at) => {
        if (order && at === index) head.setAttribute("aria-sort", down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      if (!order) {
        sorted.remove();
        for (const group of groups) {
          if (!data) group.tbody.append(...group.items.map((item) => item.row));
          table.append(group.tbody);
        }
        return;
      }
      const list = all.map((item, at) => ({ at, item, key: keyOf(item, index) }));
      const compareText = new Intl.Collator(undefined, { numeric: true }).compare;
      list.sort((one, other) => {
        const compared = typeof one.key === "string"
          ? compareText(one.key, other.key)
          : one.key === other.key ? 0 : one.key - other.key;
        return (down ? -compared : compared) || one.at - other.at;
      });
      order.items = list.map((entry) => entry.item);
      for (const group of groups) group.tbody.remove();
      if (!data) sorted.append(...order.items.map((item) => item.row));
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
        change();
      });
    });

    for (const item of document.querySelectorAll(".counts li:not(.zero)")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...item.childNodes);
      item.append(button);
      button.addEventListener("click", () => {
        status.value = status.value === item.dataset.status ? "" : item.dataset.status;
        change();
      });
    }

    filter.addEventListener("input", change);
    status.addEventListener("change", change);
    document.addEventListener("keydown", (event) => {
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        filter.focus();
      } else if (event.key === "Escape" && document.activeElement === filter) {
        filter.value = "";
        change();
      }
    });

    const asked = new URLSearchParams(location.search);
    filter.value = asked.get("q") || "";
    if ([...status.options].some((option) => option.value === asked.get("status"))) status.value = asked.get("status");
    for (const group of groups) if (asked.getAll(closed ? "open" : "fold").includes(group.name)) setFold(group, !closed);
    const sort = /^(\d+)(-?)$/.exec(asked.get("sort") || "");
    if (sort && Number(sort[1]) < heads.length) setOrder(Number(sort[1]), sort[2] === "-");
    apply();
  }

  if (fleet) setUpTable(fleet, typeof fleetRows === "undefined" ? null : fleetRows);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
