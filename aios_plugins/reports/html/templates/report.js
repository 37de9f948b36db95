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
    const text = Object.assign(document.createElement("div"), { className: "film" });
    box.append(select, state, text);
    document.getElementById("lanes").append(box);
    const lane = { select, state, text, boards: [] };
    select.addEventListener("change", () => { fill(lane); wind(); });
    fill(lane);
    return lane;
  }

  function fill(lane) {
    lane.film = films[lane.select.value];
    lane.boards = [lane.film, ...(lane.film.beside || [])].map(makeBoard);
    lane.text.replaceChildren(...lane.boards.map(({ box }) => box));
  }

  // A sample: a text, or where the rows of the data set are grids, one of several grids.
  function makeBoard(film) {
    const box = document.createElement("p");
    const cells = film.tokens.map(() => document.createElement("span"));
    box.className = film.cells ? "grid" : "text";
    if (film.cells) box.style.setProperty("--columns", films[0].columns);
    box.replaceChildren(...cells.slice(0, film.cells));
    return { film, box, cells, given: new Set(film.given ?? []) };
  }

  function visible(token) {
    return token.replace(/\n/g, "⏎"); // without the break: a text of many would not fit a screen
  }

  function drawBoard({ film, cells, given }, steps) {
    const now = film.tokens.map(() => null);
    film.frames.slice(0, steps).forEach((changes) => {
      for (const [place, token, confidence] of changes) {
        now[place] = token === null ? null : [token, confidence];
      }
    });
    const fresh = new Set(steps ? film.frames[steps - 1].map(([place]) => place) : []);
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
      if (isWrong(film, place, filled)) {
        cell.classList.add("wrong");
        cell.title += `, expected ${film.expected[place]}`;
      }
    });
    return now;
  }

  // Of texts many continuations are right; of grids the one that the held-out row has.
  function isWrong(film, place, filled) {
    return Boolean(film.cells && film.expected && filled && filled[0] !== film.expected[place]);
  }

  function draw(lane, calls) {
    const { nfe, frames, cells, expected } = lane.film;
    const steps = nfe.filter((count) => count <= calls).length;
    const states = lane.boards.map((board) => drawBoard(board, steps));
    const last = nfe[nfe.length - 1];
    const known = states[0].filter(Boolean).length;
    const wrong = lane.boards.filter(({ film }, i) =>
      states[i].some((filled, place) => isWrong(film, place, filled))).length;
    const found = cells && expected
      ? `mistakes in ${wrong} of ${states.length}`
      : `${known} of ${states[0].length - lane.boards[0].given.size} tokens`;
    lane.state.textContent = `step ${steps} of ${frames.length} · ` +
      `${Math.min(calls, last)} of ${last} calls · ${found}`;
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
