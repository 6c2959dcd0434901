// The page of `prefopt annotate`: keys and clicks become verdicts. A verdict is on the server's disk
// before the next question is shown, and that question is here already.
"use strict";

const READ_MS = 350;  // a second press of a key within this is no answer to the next question
const RETRY_MS = 1500;
const LOOK_MS = 5000;
const TOLD_MS = 2500;

const $ = (selector) => document.querySelector(selector);
const store = {  // what this browser remembers of the page's looks; it may not be allowed to
  get(name) { try { return localStorage.getItem(name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(name, value); } catch { /* private window */ } },
};

let cards = [];      // the question on the screen and the one after it
let busy = true;     // a request is out
let shownAt = 0;
let looked = 0;      // ms the question was looked at, before `since`
let since = 0;
let ranking = [];    // groups of places, best first
let joins = false;   // the next place ties with the last group

async function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

// Asks until the server answers: what was recorded once is refused the second time.
async function ask(path, body) {
  busy = true;
  for (;;) {
    try {
      const response = await post(path, { held: cards.map((card) => card.id), ...body });
      if (response.ok) {
        const answer = await response.json();
        busy = false;
        return answer;
      }
      tell(await response.text(), true);
      busy = false;
      return null;
    } catch {
      tell("The server does not answer. Start `prefopt annotate` again; this page goes on by itself.", true);
      await new Promise((again) => setTimeout(again, RETRY_MS));
    }
  }
}

function show(answer, words = "") {
  if (answer === null) return;
  const pages = new Map(cards.map((card) => [card.id, card.html]));
  const before = cards.length ? cards[0].id : null;
  cards = answer.cards.map((card) => ({ ...card, html: card.html ?? pages.get(card.id) }));
  tell(words);
  showProgress(answer.progress);
  if (cards.length && cards[0].id === before) return;
  const card = cards[0];
  $("#stage").innerHTML = card ? card.html : answer.done;
  $("footer").hidden = !card;
  for (const bar of document.querySelectorAll(".verdicts")) bar.hidden = !card || bar.dataset.form !== card.form;
  $("#why").value = "";
  ranking = [];
  joins = false;
  showRanks();
  window.scrollTo(0, 0);
  const prompt = $(".turn + .turn")?.closest(".prompt");
  if (prompt) prompt.scrollTop = prompt.scrollHeight;  // what is asked comes last
  shownAt = since = performance.now();
  looked = 0;
  document.body.dataset.shown = card ? card.id : "done";
  if (!card) setTimeout(look, LOOK_MS);
}

async function look() {
  if (!cards.length) show(await ask("/question", {}));
}

function showProgress({ given, wanted, left, mine, seconds }) {
  $("#bar").max = Math.max(wanted, 1);
  $("#bar").value = given;
  const parts = [`${given} of ${wanted}`, `${left} ${left === 1 ? "label" : "labels"} left`];
  if (mine !== given) parts.push(`${mine} by you`);
  if (seconds !== null) {
    parts.push(`${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s each`);
    if (left) parts.push(`≈ ${Math.max(1, Math.round((left * seconds) / 60))} min`);
  }
  const items = parts.map((part) => Object.assign(document.createElement("span"), { textContent: part }));
  $("#progress").replaceChildren(...items);
}

let hiding = 0;

function tell(words, bad = false) {
  clearTimeout(hiding);
  if (!bad) hiding = setTimeout(() => tell("", true), TOLD_MS);
  $("#notice").textContent = words;
  $("#notice").hidden = !words;
  $("#notice").classList.toggle("bad", bad);
}

function seconds() {
  const now = document.hidden ? 0 : performance.now() - since;
  return Math.min(86400, Math.round(looked + now) / 1000);
}

async function say(state, words, more = {}) {
  const { prompt_id, responses } = cards[0];
  const why = $("#why").value;
  const body = { prompt_id, responses, state, why, seconds: seconds(), ...more };
  const answer = await ask("/verdict", body);
  show(answer, answer && answer.recorded ? `Kept: ${words}` : "That one was answered already.");
}

async function undo() {
  const answer = await ask("/undo", {});
  show(answer, answer && answer.undone ? "Taken back: answer it anew." : "Nothing to take back.");
}

// What keys do while a question is shown, by its form; the rest is the same for all.
const FORMS = {
  compare(key) {
    if (key === "1" || key === "2") return say("given", `${key} is better`, { ranks: key === "1" ? [1, 2] : [2, 1] });
    return undefined;
  },
  score(key) {
    const score = key === "0" ? 10 : Number(key);
    if (/^\d$/.test(key) && score <= Number(document.body.dataset.scale)) return say("given", `${score}`, { score });
    return undefined;
  },
  rank(key) {
    const size = cards[0].responses.length;
    const place = Number(key);
    if (place >= 1 && place <= size && !ranking.flat().includes(place)) {
      if (joins && ranking.length) ranking.at(-1).push(place);
      else ranking.push([place]);
      joins = false;
    }
    if (key === "=") joins = ranking.length > 0 && !joins;
    if (key === "Backspace") {
      if (joins) joins = false;
      else if (ranking.length && ranking.at(-1).pop() && !ranking.at(-1).length) ranking.pop();
    }
    if (key === "Enter") return endRanking(size);
    return showRanks();
  },
};

function endRanking(size) {
  const missing = [...Array(size).keys()].map((i) => i + 1).filter((place) => !ranking.flat().includes(place));
  if (missing.length > 1) return tell(`Not ranked yet: ${missing.join(", ")}.`, true);
  const groups = missing.length ? [...ranking, missing] : ranking;
  const ranks = ranksOf(groups, size);
  return say("given", groups.map((group) => group.join(" = ")).join(" > "), { ranks });
}

function ranksOf(groups, size) {
  const ranks = Array(size).fill(0);
  let rank = 1;
  for (const group of groups) {
    for (const place of group) ranks[place - 1] = rank;
    rank += group.length;
  }
  return ranks;
}

function showRanks() {
  const card = cards[0];
  if (!card || card.form !== "rank") return;
  const ranks = ranksOf(ranking, card.responses.length);
  document.querySelectorAll(".response").forEach((response, i) => {
    response.classList.toggle("ranked", ranks[i] > 0);
    response.querySelector(".place").textContent = ranks[i] ? ` · rank ${ranks[i]}` : "";
  });
  const equal = document.querySelector('[data-form="rank"] [data-key="="]');
  equal.classList.toggle("on", joins);
}

const VIEW = {
  "?": () => $("#help").showModal(),
  g: () => toggle("guided"),
  m: () => toggle("raw"),
  w: () => $("#why").focus(),
};

function toggle(name) {
  const on = document.body.classList.toggle(name);
  store.set(`prefopt-${name}`, on ? "1" : "0");
}

function press(key) {
  if (VIEW[key]) return VIEW[key]();
  if (busy || performance.now() - shownAt < READ_MS) return undefined;
  if (key === "u") return undo();
  if (!cards.length) return undefined;
  const several = cards[0].responses.length > 1;
  if (key === "s") return say("skipped", "skipped");
  if (several && key === "t") return say("tie", "a tie");
  if (several && key === "b") return say("both_bad", "none is acceptable");
  return FORMS[cards[0].form](key);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
  if ($("#help").open) return;
  if (event.target === $("#why")) {
    if (event.key === "Enter" || event.key === "Escape") $("#why").blur();
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "Enter" && event.target.closest("button, summary, a")) return;
  if (key === "w" || key === "Backspace") event.preventDefault();
  press(key);
}

async function enter(by) {
  const response = await post("/name", { name: by });
  if (response.ok) location.replace("/");
  else tell(await response.text(), true);
}

function startNaming() {
  $("#name").addEventListener("submit", (event) => {
    event.preventDefault();
    enter($("#by").value);
  });
  $("#name button").disabled = false;
  for (const one of document.querySelectorAll(".known")) one.addEventListener("click", () => enter(one.dataset.name));
}

async function startLabelling() {
  document.body.classList.toggle("raw", store.get("prefopt-raw") === "1");
  const guided = store.get("prefopt-guided");
  document.body.classList.toggle("guided", guided ? guided === "1" : innerWidth >= 1200);
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-key]");
    if (!button) return;
    if (event.detail) button.blur();  // by mouse: keys go to the page again
    press(button.dataset.key);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) looked += performance.now() - since;
    since = performance.now();
  });
  $("#leave").addEventListener("submit", async (event) => {
    event.preventDefault();
    await post("/leave", {});
    location.replace("/");
  });
  show(await ask("/question", {}));
}

if (location.search) history.replaceState(null, "", "/");  // the token is a cookie by now
if ($("#name")) startNaming();
else startLabelling();
