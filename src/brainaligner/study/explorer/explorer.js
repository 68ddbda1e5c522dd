"use strict";
// The explorer of a finished run. All numbers come from this machine's own server.

const at = (id) => document.getElementById(id);
const COLOURS = ["#0550ae", "#bc4c00", "#116329", "#8250df", "#a40e26", "#1b7c83", "#7d4e00", "#57606a"];
const INFERNO = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];
// Of plotly's own buttons only the one that saves a picture: another would send the chart to its makers.
const QUIET = { displaylogo: false, responsive: true, modeBarButtons: [["toImage"]] };
const FONT = { family: "system-ui, sans-serif", size: 12, color: "#1b1f24" };

const state = { about: null, scores: null, order: [], series: null, mesh: null, asked: 0, scored: 0, painted: 0 };

async function ask(path, query) {
  const address = "api/" + path + (query ? "?" + new URLSearchParams(query) : "");
  const answer = await fetch(address);
  if (!answer.ok) throw new Error((await answer.json()).error);
  const floats = answer.headers.get("Content-Type") === "application/octet-stream";
  return floats ? new Float32Array(await answer.arrayBuffer()) : answer.json();
}

// Plotly reads texts as a little HTML of its own: a word of a story is text alone.
const PLAIN = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
function plain(text) { return text.replace(/[&<>]/g, (sign) => PLAIN[sign]); }

function say(text) { at("said").textContent = text; }

async function safely(work) {
  try { await work(); } catch (error) { say(error.message); }
}

function fill(select, names) {
  const kept = select.value;
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  if (names.includes(kept)) select.value = kept;
}

function subject() { return state.about.subjects[at("subject").value]; }

function chosenArms() {
  return [...document.querySelectorAll("#arms input:checked")].map((box) => box.value);
}

function colourOf(arm) { return COLOURS[state.about.arms.indexOf(arm) % COLOURS.length]; }

function offerArms() {
  at("arms").append(...state.about.arms.map((arm, i) => {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: arm, checked: i < 4 });
    box.addEventListener("change", () => safely(showCourse));
    const name = Object.assign(document.createElement("span"), { textContent: arm });
    name.style.color = colourOf(arm);
    label.append(box, name);
    return label;
  }));
}

function offerGroups() {
  fill(at("group"), subject().groups.map((group) => group.name));
  at("kind").textContent = subject().kind.replace(/s$/, "") + " (of " + subject().targets + ")";
  at("target").max = subject().targets - 1;
  at("rank").max = subject().targets;
}

function offerStories() {
  const group = subject().groups.find((one) => one.name === at("group").value);
  fill(at("story"), group.stories);
  const arms = state.about.arms.filter((arm) => subject().arms_of[arm].includes(group.name));
  fill(at("arm"), arms);
}

function place() { return { arm: at("arm").value, subject: at("subject").value, group: at("group").value }; }

async function showScores() {
  const asked = ++state.scored;
  if (!at("arm").value) throw new Error("no arm was scored on these stories");
  const scores = await ask("scores", place());
  if (asked !== state.scored) return; // a newer choice was made meanwhile
  state.scores = scores;
  const known = Array.from(scores.keys()).filter((i) => Number.isFinite(scores[i]));
  state.order = known.sort((a, b) => scores[b] - scores[a]);
  drawRanked();
  await drawCortex();
}

function cutR() { return state.about.rows_cut ? `r, ${state.about.rows_cut} rows cut at each end` : "r"; }

function drawRanked() {
  const y = state.order.map((i) => state.scores[i]);
  const trace = {
    type: y.length > 5000 ? "scattergl" : "scatter", mode: "markers", y, x: y.map((_, i) => i + 1),
    customdata: state.order, marker: { size: 4, color: colourOf(at("arm").value) },
    hovertemplate: "rank %{x}<br>target %{customdata}<br>r %{y:.3f}<extra></extra>",
  };
  const layout = {
    margin: { l: 45, r: 10, t: 5, b: 35 }, font: FONT, hovermode: "closest",
    xaxis: { title: { text: "rank" } }, yaxis: { title: { text: cutR() } },
  };
  Plotly.react("ranked", [trace], layout, QUIET);
  once("ranked", (event) => choose(event.points[0].customdata));
}

async function drawCortex() {
  const reason = subject().cortex;
  at("cortex").hidden = Boolean(reason);
  at("nocortex").hidden = !reason;
  at("nocortex").textContent = reason;
  at("scale").hidden = Boolean(reason);
  if (reason) return;
  state.mesh ??= await ask("mesh");
  const asked = ++state.painted;
  const painted = await ask("painted", place());
  if (asked !== state.painted) return;
  const shown = painted.filter(Number.isFinite).sort();
  const top = Math.max(0.01, shown[Math.floor(shown.length * 0.99)] ?? 0.01);
  const bare = (i) => (state.mesh.sulci[i] ? "rgb(178,178,178)" : "rgb(209,209,209)");
  const vertexcolor = Array.from(painted, (r, i) => (Number.isFinite(r) ? heat(r / top) : bare(i)));
  at("scale").textContent = `Dark is r 0, yellow r ${top.toFixed(3)} and above; grey: nothing was measured there.`;
  const mesh = {
    type: "mesh3d", ...state.mesh, vertexcolor, hoverinfo: "text", text: Array.from(painted, (r) => (Number.isFinite(r) ? "r " + r.toFixed(3) : "not measured")),
    lighting: { ambient: 0.55, diffuse: 0.5, specular: 0.05 }, flatshading: false,
  };
  delete mesh.sulci;
  const none = { visible: false };
  const scene = { xaxis: none, yaxis: none, zaxis: none, aspectmode: "data", camera: { eye: { x: -1.4, y: 0, z: 0.5 } } };
  Plotly.react("cortex", [mesh], { margin: { l: 0, r: 0, t: 0, b: 0 }, scene, uirevision: "kept", font: FONT }, QUIET);
  once("cortex", (event) => chooseAt(event.points[0].pointNumber));
}

function heat(share) {
  const place = Math.min(0.9999, Math.max(0, share)) * (INFERNO.length - 1);
  const [from, to] = [INFERNO[Math.floor(place)], INFERNO[Math.floor(place) + 1]];
  const mixed = from.map((low, k) => Math.round(low + (to[k] - low) * (place % 1)));
  return "rgb(" + mixed.join(",") + ")";
}

function once(id, chosen) {
  const chart = at(id);
  chart.removeAllListeners("plotly_click");
  chart.on("plotly_click", (event) => safely(() => chosen(event)));
}

async function chooseAt(vertex) {
  const targets = await ask("targets", { subject: at("subject").value, vertex });
  const best = targets.reduce((a, b) => ((state.scores[b] || -2) > (state.scores[a] || -2) ? b : a));
  await choose(best);
}

async function choose(target) {
  at("target").value = target;
  at("rank").value = state.order.indexOf(Number(target)) + 1 || "";
  await showCourse();
}

async function showCourse() {
  const asked = ++state.asked;
  const started = performance.now();
  const query = [["subject", at("subject").value], ["story", at("story").value], ["target", at("target").value],
    ...chosenArms().map((arm) => ["arm", arm])];
  const series = await ask("series", query);
  if (asked !== state.asked) return; // a newer choice was made meanwhile
  const other = state.series?.story !== at("story").value;
  state.series = Object.assign(series, { story: at("story").value });
  drawCourse();
  if (other) writeWords();
  say(described());
  document.body.dataset.answered = (performance.now() - started).toFixed(1);
}

function described() {
  const { target, r, presentations, predicted } = state.series;
  const missing = (arm) => predicted[arm] ? "no r (one side does not vary)" : "not scored here (its encoder looked at this story)";
  const parts = Object.entries(r).map(([arm, value]) => arm + " " + (value === null ? missing(arm) : value.toFixed(3)));
  const heard = presentations > 1 ? ", mean of " + presentations + " presentations" : "";
  return `Target ${target}, ${state.series.story}${heard}. r in this story: ` + parts.join("; ");
}

function scaled(values) {
  if (!at("alike").checked) return values;
  const known = values.filter((v) => v !== null);
  const mean = known.reduce((a, b) => a + b, 0) / known.length;
  const sd = Math.sqrt(known.reduce((a, b) => a + (b - mean) ** 2, 0) / known.length) || 1;
  return values.map((v) => (v === null ? null : (v - mean) / sd));
}

function drawCourse() {
  const { times, words, measured, predicted } = state.series;
  const line = (name, values, colour, width) => ({
    type: "scatter", mode: "lines", name, x: times, y: scaled(values), text: words.map(plain), line: { color: colour, width },
    hovertemplate: "%{x:.0f} s: %{y:.2f}<br>%{text}<extra>" + plain(name) + "</extra>",
  });
  const traces = [line("measured", measured, "#1b1f24", 1.2)];
  for (const [arm, values] of Object.entries(predicted)) {
    if (values) traces.push(line(arm, values, colourOf(arm), 1.8));
  }
  const unit = at("alike").checked ? "standard deviations" : "as scored";
  const layout = {
    margin: { l: 50, r: 10, t: 5, b: 40 }, font: FONT, showlegend: false, hovermode: "x",
    xaxis: { title: { text: "seconds into the story" } }, yaxis: { title: { text: unit } }, shapes: [cursor()],
  };
  Plotly.react("course", traces, layout, QUIET);
  once("course", (event) => goTo(event.points[0].pointNumber));
  at("row").max = times.length - 1;
}

function cursor() {
  const x = state.series.times[Math.min(Number(at("row").value), state.series.times.length - 1)];
  return { type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: "#bf8700", width: 2 } };
}

function writeWords() {
  at("words").replaceChildren(...state.series.words.flatMap((text, row) => {
    const part = Object.assign(document.createElement("span"), { textContent: text });
    part.dataset.row = row;
    return text ? [part, " "] : [];
  }));
  goTo(0);
}

function goTo(row) {
  at("row").value = row;
  const { times, words } = state.series;
  at("when").textContent = `${row + 1} of ${times.length}, ${times[row].toFixed(0)} s: ${words[row] || "(no word)"}`;
  document.querySelector("#words .now")?.classList.remove("now");
  const part = document.querySelector(`#words [data-row="${row}"]`);
  part?.classList.add("now");
  if (part) at("words").scrollTop = part.offsetTop - at("words").offsetTop - at("words").clientHeight / 2;
  Plotly.relayout("course", { shapes: [cursor()] });
}

function listen() {
  const on = (id, work, kind = "change") => at(id).addEventListener(kind, () => safely(work));
  on("subject", async () => { offerGroups(); offerStories(); await showScores(); await choose(state.order[0] ?? 0); });
  on("group", async () => { offerStories(); await showScores(); await choose(at("target").value); });
  on("story", showCourse);
  on("arm", async () => { await showScores(); await choose(at("target").value); });
  on("target", () => choose(at("target").value));
  on("rank", () => choose(state.order[Math.min(Math.max(1, at("rank").value), state.order.length) - 1] ?? 0));
  on("alike", async () => drawCourse());
  on("row", async () => goTo(Number(at("row").value)), "input");
  at("words").addEventListener("click", (event) => {
    if (event.target.dataset.row !== undefined) goTo(Number(event.target.dataset.row));
  });
  at("choices").addEventListener("submit", (event) => event.preventDefault());
}

function introduce() {
  const { study, title, label, simulated, audit } = state.about;
  document.title = study + " - brainaligner explorer";
  at("title").textContent = study;
  at("about").textContent = [title, label, "audit: " + audit].filter(Boolean).join(" \u00b7 ");
  const warning = (simulated ? "SIMULATED data. " : "") + (audit === "FAIL" ? "NOT VALID. " : "");
  if (warning) at("about").prepend(Object.assign(document.createElement("strong"), { textContent: warning }));
}

window.addEventListener("DOMContentLoaded", () => safely(async () => {
  state.about = await ask("about");
  introduce();
  offerArms();
  fill(at("subject"), Object.keys(state.about.subjects));
  offerGroups();
  offerStories();
  listen();
  await showScores();
  await choose(state.order[0] ?? 0);
  document.body.dataset.ready = "yes";
}));
