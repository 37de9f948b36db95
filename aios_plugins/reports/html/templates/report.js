"use strict";

// Tables: a click on a heading sorts by it, another one the other way; empty cells stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return (Number(x) - Number(y)) * (down ? -1 : 1);
    });
    body.append(...rows);
  }));
}

// Tabs: click, or arrow keys.
for (const list of document.querySelectorAll("[role=tablist]")) {
  const tabs = [...list.children];
  const choose = (tab) => tabs.forEach((one) => {
    const chosen = one === tab;
    one.setAttribute("aria-selected", chosen);
    one.tabIndex = chosen ? 0 : -1;
    document.getElementById(one.getAttribute("aria-controls")).hidden = !chosen;
  });
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(i + step + tabs.length) % tabs.length];
      choose(next);
      next.focus();
    });
  });
}

// Films: each lane shows the state of one sample after as many network calls as the clock says.
const LEVELS = [0.05, 0.2, 0.5, 0.8]; // as the legend says
const stored = document.getElementById("films");
if (stored) {
  const { films, lanes } = JSON.parse(stored.textContent);
  const clock = document.getElementById("clock");
  const play = document.getElementById("play");
  const shown = lanes.map((index) => makeLane(index));
  let timer = null;

  function makeLane(index) {
    const box = document.createElement("div");
    box.className = "lane";
    const select = document.createElement("select");
    select.setAttribute("aria-label", "Film");
    films.forEach((film, i) => select.add(new Option(`${film.label}, seed ${film.seed}`, i)));
    select.value = index;
    const state = Object.assign(document.createElement("p"), { className: "state" });
    const text = Object.assign(document.createElement("p"), { className: "film" });
    box.append(select, state, text);
    document.getElementById("lanes").append(box);
    const lane = { select, state, text, cells: [] };
    select.addEventListener("change", () => { fill(lane); wind(); });
    fill(lane);
    return lane;
  }

  function fill(lane) {
    lane.film = films[lane.select.value];
    lane.cells = lane.film.tokens.map(() => document.createElement("span"));
    lane.text.replaceChildren(...lane.cells);
  }

  function visible(token) {
    return token.replace(/\n/g, "⏎"); // without the break: a text of many would not fit a screen
  }

  function draw(lane, calls) {
    const { film, cells } = lane;
    const now = film.tokens.map(() => null);
    const given = new Set(film.given ?? []);
    let steps = 0;
    let newest = [];
    film.frames.forEach((changes, i) => {
      if (film.nfe[i] > calls) return;
      steps = i + 1;
      newest = changes;
      for (const [place, token, confidence] of changes) {
        now[place] = token === null ? null : [token, confidence];
      }
    });
    const fresh = new Set(newest.map(([place]) => place));
    cells.forEach((cell, place) => {
      if (given.has(place)) {
        cell.textContent = visible(film.tokens[place]);
        cell.className = cell.title = "given";
        return;
      }
      const filled = now[place];
      // A mask takes the room of the token to come, so that the text does not jump.
      cell.textContent = visible(filled ? filled[0] : film.tokens[place]);
      cell.className = filled ? `q${LEVELS.filter((level) => filled[1] >= level).length}` : "masked";
      cell.ariaHidden = filled ? null : "true";
      cell.title = filled ? `probability ${filled[1].toFixed(3)}` : "mask";
      if (filled && fresh.has(place)) cell.classList.add("new");
    });
    const known = now.filter(Boolean).length;
    const last = film.nfe[film.nfe.length - 1];
    lane.state.textContent = `step ${steps} of ${film.frames.length} · ` +
      `${Math.min(calls, last)} of ${last} calls · ${known} of ${now.length - given.size} tokens`;
  }

  function show() {
    const calls = Number(clock.value);
    const text = `${calls} of ${clock.max} calls`;
    clock.setAttribute("aria-valuetext", text);
    document.getElementById("clock-text").value = text;
    shown.forEach((lane) => draw(lane, calls));
  }

  function wind() {
    clock.max = Math.max(...shown.map(({ film }) => film.nfe[film.nfe.length - 1]));
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.setAttribute("aria-pressed", "false");
    play.textContent = "Play";
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(clock.value) >= Number(clock.max)) clock.value = 0;
    play.setAttribute("aria-pressed", "true");
    play.textContent = "Pause";
    timer = setInterval(() => {
      clock.value = Number(clock.value) + 1;
      show();
      if (Number(clock.value) >= Number(clock.max)) stop();
    }, 8000 / Number(clock.max)); // the whole film in eight seconds
  });
  clock.addEventListener("input", () => { stop(); show(); });
  wind();
  clock.value = Math.ceil(Number(clock.max) / 3); // a text half done says what this is
  show();
}
