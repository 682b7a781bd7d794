// Draws the frames of migkit.widgets.player.Player: a canvas a run, one clock for all of them.

const SPEEDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20];
const LASTS_S = 9; // about, at the speed that is chosen when nobody chose one
const SAVE_MS = 1000; // between two reports of the clock to the kernel while the film plays
const TEXT_MS = 100; // between two updates of numbers

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

function seconds(value) {
  return value < 1 ? `${(1000 * value).toFixed(0)} ms` : `${value.toFixed(value < 100 ? 2 : 0)} s`;
}

async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// A colour as the four bytes of a pixel, in the order of this machine.
function pixel(colour) {
  const bytes = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return new Uint32Array(new Uint8Array([...bytes, 255]).buffer)[0];
}

// The last index whose time has come; 0 before the first.
function indexAt(times, at) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= at) low = middle; else high = middle - 1;
  }
  return low;
}

// One run: the cells of the frame that is shown, and its picture.
class Film {
  constructor(told, changes, states) {
    Object.assign(this, told);
    this.changes = changes;
    this.fours = this.cells % 4 === 0 ? new Uint32Array(changes.buffer) : null;
    this.colours = states.map((state) => pixel(state.colour));
    this.columns = Math.ceil(Math.sqrt(this.cells));
    const rows = Math.ceil(this.cells / this.columns);
    this.canvas = make("canvas", { width: this.columns, height: rows, role: "img" });
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(this.columns, rows);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.state = new Uint8Array(this.cells);
    this.counts = new Array(states.length).fill(0);
    this.counts[0] = this.cells;
    this.pixels.fill(this.colours[0], 0, this.cells);
    this.frame = -1;
  }

  get end_s() {
    return this.total_s ?? this.times_s[this.times_s.length - 1];
  }

  // Go from frame to frame, forwards or backwards, by what differs between them; draw the last one.
  show(at_s) {
    const frame = indexAt(this.times_s, at_s);
    if (frame === this.frame) return;
    while (this.frame < frame) this.flip(++this.frame);
    while (this.frame > frame) this.flip(this.frame--);
    this.context.putImageData(this.image, 0, 0);
  }

  flip(frame) {
    const { cells, changes, fours } = this;
    const first = frame * cells;
    const step = fours ? 4 : 1;
    for (let cell = 0; cell < cells; cell += step) {
      if (fours && fours[(first + cell) >> 2] === 0) continue; // of most pages nothing changes from frame to frame
      for (let at = cell; at < cell + step; at++) this.turn(at, changes[first + at]);
    }
  }

  turn(cell, change) {
    if (change === 0) return;
    this.counts[this.state[cell]]--;
    this.state[cell] ^= change;
    this.counts[this.state[cell]]++;
    this.pixels[cell] = this.colours[this.state[cell]];
  }

  // Where the guest is: 0 at the source, 1 nowhere, 2 at the destination without all of its memory, 3 with it.
  phase(at_s) {
    if (this.total_s !== null && at_s >= this.total_s) return 3;
    if (this.stopped_s === null || at_s < this.stopped_s) return 0;
    return at_s < this.resumed_s ? 1 : 2;
  }

  said(at_s) {
    const where = ["the guest runs at the source", "the guest is stopped", "the guest runs at the destination"];
    const phase = this.phase(at_s);
    if (phase === 3) return `over after ${seconds(this.total_s)}`;
    if (this.total_s === null && at_s >= this.end_s) return "this goes on without end";
    return `round ${Math.max(1, this.rounds[Math.max(0, this.frame)])}: ${where[phase]}`;
  }
}

class View {
  constructor(model, element) {
    this.model = model;
    this.at_s = model.get("position_s");
    this.films = [];
    this.root = make("div", { className: "migkit-player" });
    this.play = make("button", { type: "button", onclick: () => this.toggle() });
    this.back = make("button", { type: "button", textContent: "◂ sync", title: "to the bitmap sync before",
      "aria-label": "to the bitmap sync before", onclick: () => this.step(-1) });
    this.next = make("button", { type: "button", textContent: "sync ▸", title: "to the next bitmap sync",
      "aria-label": "to the next bitmap sync", onclick: () => this.step(1) });
    this.speed = make("select", { "aria-label": "speed of the film", title: "speed of the film",
      onchange: () => { model.set("speed", Number(this.speed.value)); model.save_changes(); } });
    for (const speed of SPEEDS) this.speed.append(make("option", { value: speed, textContent: `${speed} × real time` }));
    this.scrub = make("input", { type: "range", min: 0, step: "any", "aria-label": "time since the request",
      oninput: () => this.seek(Number(this.scrub.value)), onkeydown: (event) => this.key(event) });
    this.clock = make("output", {});
    this.panels = make("div", { className: "films" });
    this.legends = make("div", { className: "legends" });
    this.root.append(
      make("div", { className: "bar" }, this.play, this.back, this.next, this.speed, this.scrub, this.clock),
      make("div", { className: "stage" }, this.panels, this.legends));
    element.append(this.root);
    this.playing(false);
  }

  get end_s() {
    return Math.max(...this.films.map((film) => film.end_s));
  }

  async load() {
    const [told, states] = [this.model.get("films"), this.model.get("states")];
    const loading = (this.loading = Promise.all(told.map((one) => unpacked(one.changes))));
    const changes = await loading;
    if (loading !== this.loading) return; // other films came meanwhile
    this.films = told.map((one, number) => new Film(one, changes[number], states));
    this.at_s = Math.min(this.at_s, this.end_s);
    this.scrub.max = this.end_s;
    const chosen = this.model.get("speed") || this.end_s / LASTS_S;
    this.speed.value = SPEEDS.filter((speed) => speed <= chosen * 1.001).pop() ?? SPEEDS[0];
    this.arrange(states);
    this.show(true);
  }

  arrange(states) {
    this.panels.replaceChildren(...this.films.map((film) => {
      film.where = make("span", { className: "quiet" });
      film.cursor = make("b");
      const strip = make("div", { className: "where" }, ...this.spans(film), film.cursor);
      return make("figure", {}, make("figcaption", {}, make("strong", { textContent: film.label }), film.where),
        film.canvas, strip);
    }));
    const head = make("tr", {}, make("th", { textContent: "pages of 4 KiB" }),
      ...this.films.map((film) => make("th", { textContent: film.label })));
    this.numbers = states.map(() => this.films.map(() => make("td")));
    const rows = states.map((state, number) => make("tr", { title: state.meaning },
      make("th", {}, swatch(state.colour), state.label), ...this.numbers[number]));
    const phases = this.model.get("phases").map((phase) => make("span", {}, swatch(phase.colour), phase.label));
    const pages = this.films[0].pages_a_cell;
    const cell = pages === 1 ? "A cell is a page." : `A cell stands for ${Number(pages.toFixed(2))} pages and shows the first.`;
    const key = make("div", { className: "key" }, make("strong", { textContent: "where the guest is (strip below each grid)" }),
      ...phases, make("span", { className: "quiet", textContent: `${cell} Addresses run from left to right, then down.` }));
    this.legends.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
      key);
  }

  // The strip under a grid: where the guest is over time.
  spans(film) {
    const phases = this.model.get("phases");
    const stopped = film.stopped_s ?? film.end_s, resumed = film.resumed_s ?? film.end_s;
    const lasts = [stopped, resumed - stopped, film.end_s - resumed];
    return lasts.map((value, number) => {
      const span = make("i", { title: `${phases[number].label}: ${seconds(value)}` });
      span.style.width = `${(100 * value) / this.end_s}%`;
      span.style.background = phases[number].colour;
      return span;
    });
  }

  playing(on) {
    this.began = on ? { ms: performance.now(), at_s: this.at_s } : null;
    this.play.textContent = on ? "❚❚ pause" : "▶ play";
    this.play.setAttribute("aria-label", on ? "pause the film" : "play the film");
    if (on) this.request = requestAnimationFrame((ms) => this.tick(ms));
    else cancelAnimationFrame(this.request);
  }

  toggle() {
    if (!this.films.length) return;
    if (!this.began && this.at_s >= this.end_s) this.at_s = 0;
    this.playing(!this.began);
    if (!this.began) this.save();
  }

  tick(ms) {
    if (!this.began || !this.films.length) return;
    const since_ms = Math.max(0, ms - this.began.ms);
    this.at_s = Math.min(this.end_s, this.began.at_s + (since_ms / 1000) * Number(this.speed.value));
    this.began = { ms: Math.max(ms, this.began.ms), at_s: this.at_s }; // the speed may change at any time
    const over = this.at_s >= this.end_s;
    this.show(over);
    if (ms - (this.saved_ms ?? 0) > SAVE_MS || over) this.save(ms);
    if (over) this.playing(false);
    else this.request = requestAnimationFrame((next) => this.tick(next));
  }

  seek(at_s) {
    this.at_s = Math.min(Math.max(0, at_s), this.end_s);
    if (this.began) this.began = { ms: performance.now(), at_s: this.at_s };
    this.show(true);
    this.save();
  }

  // A key moves the clock by a hundredth of the film; Page Up and Page Down by a tenth; space plays.
  key(event) {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 }[event.key];
    if (event.key === " ") this.toggle();
    else if (by) this.seek(this.at_s + (by * this.end_s) / 100);
    else return;
    event.preventDefault();
  }

  step(by) {
    if (!this.films.length) return;
    const syncs = [...new Set(this.films.flatMap((film) =>
      film.times_s.filter((_, at) => at === 0 || film.rounds[at] > film.rounds[at - 1])))].sort((a, b) => a - b);
    const ahead = by > 0 ? syncs.find((at) => at > this.at_s + 1e-9) : syncs.findLast((at) => at < this.at_s - 1e-9);
    this.seek(ahead ?? (by > 0 ? this.end_s : 0));
  }

  save(ms = performance.now()) {
    this.saved_ms = ms;
    this.model.set("position_s", this.at_s);
    this.model.save_changes();
  }

  show(all) {
    for (const film of this.films) {
      film.show(this.at_s);
      film.cursor.style.left = `${(100 * Math.min(this.at_s, film.end_s)) / this.end_s}%`;
    }
    this.scrub.value = this.at_s;
    const now = performance.now();
    if (all || now - (this.told_ms ?? 0) > TEXT_MS) this.tell(now);
  }

  tell(now) {
    this.told_ms = now;
    this.clock.textContent = seconds(this.at_s);
    this.scrub.setAttribute("aria-valuetext", `${seconds(this.at_s)} of ${seconds(this.end_s)}`);
    this.films.forEach((film, column) => {
      film.where.textContent = film.said(this.at_s);
      const shares = film.counts.map((count) => `${((100 * count) / film.cells).toFixed(1)} %`);
      shares.forEach((share, row) => { this.numbers[row][column].textContent = share; });
      const states = this.model.get("states").map((state, row) => `${shares[row]} ${state.label}`);
      film.canvas.setAttribute("aria-label", `${film.label}, ${film.said(this.at_s)}: ${states.join(", ")}`);
    });
  }
}

function swatch(colour) {
  const square = make("span", { className: "swatch" });
  square.style.background = colour;
  return square;
}

// JupyterLab takes keys as commands for its cells unless an ancestor of the focus forbids it.
function guard(root, event) {
  if (!root.contains(event.target)) return;
  const ours = !(event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape" || event.shiftKey);
  root.toggleAttribute("data-lm-suppress-shortcuts", ours);
}

export default {
  render({ model, el }) {
    const view = new View(model, el);
    const keys = (event) => guard(view.root, event);
    window.addEventListener("keydown", keys, { capture: true });
    const load = () => view.load();
    model.on("change:films", load);
    load();
    return () => {
      view.playing(false);
      window.removeEventListener("keydown", keys, { capture: true });
      model.off("change:films", load);
    };
  },
};
