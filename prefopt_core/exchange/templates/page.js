"use strict";
(() => {
  const { page, questions } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const key = "prefopt " + page;
  const state = { by: "", at: 0, answers: {} };
  let shownAt = Date.now();

  for (const [i, q] of questions.entries()) {
    q.key = String(i); // one question may be put to two annotators
    if (q.verdict) state.answers[q.key] = { verdict: q.verdict, why: q.why, by: q.by };
  }
  try {
    Object.assign(state, JSON.parse(localStorage.getItem(key) || "{}"));
  } catch { /* kept in this tab only */ }

  function keep() {
    try {
      localStorage.setItem(key, JSON.stringify(state));
    } catch {
      $("note").textContent = "This browser keeps nothing for files: save before you close the tab.";
    }
  }

  function add(parent, tag, text, className) {
    const made = document.createElement(tag);
    made.textContent = text; // never as markup: responses are untrusted
    if (className) made.className = className;
    parent.append(made);
    return made;
  }

  const current = () => questions[state.at];
  const answer = () => state.answers[current().key] || { verdict: "", why: "" };
  const given = () => questions.filter((q) => (state.answers[q.key] || {}).verdict).length;

  function choices() {
    const size = current().responses.length;
    const passing = size === 1
      ? [["skip", "Skip", "s"]]
      : [["tie", "Tie", "t"], ["both bad", size === 2 ? "Both bad" : "All bad", "b"], ["skip", "Skip", "s"]];
    if (size === 1) return [1, 2, 3, 4, 5].map((n) => [String(n), String(n), String(n)]).concat(passing);
    if (size === 2) return [["1", "First is better", "1"], ["2", "Second is better", "2"]].concat(passing);
    return passing;
  }

  function say(verdict) {
    const before = answer();
    const seconds = Math.round((Date.now() - shownAt) / 100) / 10;
    state.answers[current().key] = {
      verdict, why: before.why || "", seconds, at: Date.now() / 1000,
    };
    keep();
  }

  function choose(verdict) {
    say(verdict);
    go(state.at + 1);
  }

  // A ranking is built by choosing responses, the best first.
  function rank(place) {
    const chosen = (answer().ranking || []).filter((other) => other !== place);
    chosen.push(place);
    const size = current().responses.length;
    if (chosen.length === size - 1) {
      for (let i = 1; i <= size; i++) if (!chosen.includes(i)) chosen.push(i);
    }
    if (chosen.length === size) return choose(chosen.join(">"));
    state.answers[current().key] = { ...answer(), verdict: "", ranking: chosen };
    keep();
    show();
  }

  function pick(place) {
    const size = current().responses.length;
    if (place > size && size > 1) return;
    if (size === 2) choose(String(place));
    if (size > 2) rank(place);
  }

  function show() {
    const q = current();
    const said = answer();
    const parts = [$("prompt"), $("responses"), $("answers")];
    parts.forEach((part) => part.replaceChildren());
    add(parts[2], "strong", ["A score, from 1 (bad) to 5 (good):", "Which is better?"][q.responses.length - 1]
      || "Choose the best, then the next best, and so on:");
    for (const message of q.prompt) {
      const turn = add(parts[0], "div", "", "turn");
      if (q.prompt.length > 1 || message.role !== "user") add(turn, "span", message.role, "who");
      add(turn, "span", message.content);
    }
    q.responses.forEach((text, i) => {
      const rank = (said.ranking || []).indexOf(i + 1);
      const box = add(parts[1], "div", "", "response");
      const name = q.responses.length > 1 ? "Response " + (i + 1) : "Response";
      add(box, "span", rank < 0 ? name : name + ": place " + (rank + 1), "who");
      add(box, "span", text);
      if (said.verdict === String(i + 1) && q.responses.length === 2) box.classList.add("chosen");
      if (q.responses.length > 2) {
        const button = add(parts[2], "button", "Response " + (i + 1));
        add(button, "kbd", String(i + 1));
        button.onclick = () => pick(i + 1);
      }
    });
    for (const [verdict, words, letter] of choices()) {
      const button = add(parts[2], "button", words);
      add(button, "kbd", letter);
      button.setAttribute("aria-pressed", String(said.verdict === verdict));
      button.onclick = () => choose(verdict);
    }
    if (said.verdict) add(parts[2], "span", "Your verdict: " + said.verdict);
    $("why").value = said.why || "";
    $("progress").textContent = `Question ${state.at + 1} of ${questions.length}, ${given()} answered`;
    shownAt = Date.now();
  }

  function go(to) {
    if (to >= questions.length && given() === questions.length) {
      $("note").textContent = "All are answered. Save the verdicts and send the file back.";
    }
    state.at = Math.max(0, Math.min(questions.length - 1, to));
    keep();
    show();
  }

  function undo() {
    const last = Math.max(0, state.at - (answer().verdict || answer().ranking ? 0 : 1));
    delete state.answers[questions[last].key];
    go(last);
  }

  function nextOpen() {
    for (let step = 1; step <= questions.length; step++) {
      const to = (state.at + step) % questions.length;
      if (!(state.answers[questions[to].key] || {}).verdict) return go(to);
    }
    go(questions.length);
  }

  function saved() {
    const verdicts = questions
      .filter((q) => (state.answers[q.key] || {}).verdict)
      .map((q) => {
        const said = state.answers[q.key];
        return {
          id: q.id, responses: q.responses.length, annotator: q.annotator, guidelines: q.guidelines,
          verdict: said.verdict, by: said.by || state.by.trim(), why: said.why || "",
          seconds: said.seconds, at: said.at,
        };
      });
    return JSON.stringify({ prefopt: 1, verdicts }, null, 1);
  }

  function save() {
    if (!state.by.trim()) {
      $("note").textContent = "Say who you are first: your name stands beside each verdict.";
      $("by").focus();
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([saved()], { type: "application/json" }));
    link.download = "verdicts-" + (state.by.trim().replace(/[^\p{L}\p{N}]+/gu, "-") || "mine") + ".json";
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    $("note").textContent = given() + " verdicts are in " + link.download + ", among your downloads. Send it back.";
  }

  $("by").value = state.by;
  $("by").oninput = () => { state.by = $("by").value; keep(); };
  $("why").oninput = () => {
    state.answers[current().key] = { ...answer(), why: $("why").value };
    keep();
  };
  $("previous").onclick = () => go(state.at - 1);
  $("next").onclick = () => go(state.at + 1);
  $("undo").onclick = undo;
  $("open").onclick = nextOpen;
  $("save").onclick = save;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (["INPUT", "TEXTAREA"].includes(event.target.tagName)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const found = choices().find(([, , letter]) => letter === event.key.toLowerCase());
    if (found) choose(found[0]);
    else if (/^[1-9]$/.test(event.key)) pick(Number(event.key));
    else if (event.key === "ArrowLeft") go(state.at - 1);
    else if (event.key === "ArrowRight") go(state.at + 1);
    else if (event.key.toLowerCase() === "o") nextOpen();
    else if (event.key.toLowerCase() === "u") undo();
    else return;
    event.preventDefault();
  });
  // Another tab of this page answered, or the one before was closed a moment ago.
  window.addEventListener("storage", (event) => {
    if (event.key !== key || !event.newValue) return;
    Object.assign(state, JSON.parse(event.newValue));
    $("by").value = state.by;
    show();
  });
  if (questions.length) show();
})();
