// One figure: drawn by plotly at the width that it has, in the colours of the page's theme.

const LEAST_PANEL_PX = 330; // a panel narrower than this is put below its neighbour
const BETWEEN_PX = 80; // of panels below each other: ticks and title of the upper one
const PAPER = { ink: "#222222", background: "#ffffff" }; // of saved pictures

// All figures of a page wait for one copy of plotly's script.
function plotly(model) {
  globalThis.migkitPlotly ??= fetchScript(model).catch((error) => {
    globalThis.migkitPlotly = undefined; // the next figure tries again
    throw error;
  });
  return globalThis.migkitPlotly;
}

async function fetchScript(model) {
  const holder = await model.widget_manager.get_model(model.get("_script").replace("IPY_MODEL_", ""));
  const text = `const module = { exports: {} }; const define = undefined;\n${holder.get("text")}\nexport default module.exports;`;
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  return (await import(address)).default;
}

function inked(figure, inkOfFigure, ink) {
  return JSON.parse(JSON.stringify(figure).replaceAll(inkOfFigure, ink));
}

// Give the layout its width; panels side by side that would be too narrow go below each other.
function fitted(layout, width) {
  const panels = layout.meta?.panels ?? 1;
  const fits = panels === 1 || width / panels >= LEAST_PANEL_PX;
  Object.assign(layout, { width, autosize: false, uirevision: "kept" });
  return fits ? layout : stacked(layout, panels);
}

function stacked(layout, panels) {
  layout.height = Math.round(layout.height * panels * 0.9);
  const gap = BETWEEN_PX / (layout.height - layout.margin.t - layout.margin.b);
  const high = (1 - (panels - 1) * gap) / panels;
  for (let at = 0; at < panels; at++) {
    const mark = at ? String(at + 1) : "";
    layout[`xaxis${mark}`].domain = [0, 1];
    layout[`yaxis${mark}`].domain = [1 - at * (high + gap) - high, 1 - at * (high + gap)];
  }
  return layout;
}

function described(figure) {
  const axes = Object.entries(figure.layout).filter(([name]) => /^[xy]axis/.test(name));
  const titles = axes.map(([, axis]) => axis.title?.text).filter(Boolean);
  const names = figure.data.filter((trace) => trace.name && trace.visible !== false).map((trace) => trace.name);
  return `Figure. Axes: ${[...new Set(titles)].join(", ")}. Shown: ${[...new Set(names)].join(", ")}.`;
}

function button(text, title, act) {
  const one = document.createElement("button");
  Object.assign(one, { type: "button", textContent: text, title, onclick: act });
  one.className = "migkit-button";
  return one;
}

async function save(model, format, width) {
  const figure = inked(model.get("_figure"), model.get("_ink"), PAPER.ink);
  Object.assign(figure.layout, { paper_bgcolor: PAPER.background, plot_bgcolor: PAPER.background });
  const layout = fitted(figure.layout, width);
  const size = { width, height: layout.height, scale: format === "png" ? 2 : 1 };
  const script = await plotly(model);
  await script.downloadImage({ data: figure.data, layout }, { format, filename: model.get("_name"), ...size });
}

function render({ model, el }) {
  el.classList.add("migkit-figure");
  const plot = document.createElement("div");
  plot.setAttribute("role", "img");
  const tools = document.createElement("div");
  tools.className = "migkit-tools";
  for (const format of ["svg", "png"]) {
    const text = `save ${format.toUpperCase()}`;
    tools.append(button(text, `${text}: download this figure; no network is used`, () => save(model, format, plot.clientWidth)));
  }
  el.append(plot, tools);

  let ink = "";
  let wanted = false;
  let drawing = false;
  async function draw() {
    wanted = true;
    if (drawing) return;
    drawing = true;
    try {
      const script = await plotly(model);
      while (wanted && plot.clientWidth > 0) {
        wanted = false;
        ink = getComputedStyle(el).color;
        const figure = inked(model.get("_figure"), model.get("_ink"), ink);
        const layout = fitted(figure.layout, plot.clientWidth);
        plot.style.height = `${layout.height}px`;
        plot.setAttribute("aria-label", described(figure));
        await script.react(plot, figure.data, layout, { displayModeBar: false, ...model.get("_config"), responsive: false });
        plot.dispatchEvent(new CustomEvent("migkit-drawn", { bubbles: true }));
      }
    } finally {
      drawing = false;
    }
  }

  let width = 0;
  const sized = new ResizeObserver(() => {
    if (plot.clientWidth === width) return;
    width = plot.clientWidth;
    draw();
  });
  sized.observe(plot);
  // A theme is a style sheet that comes, and attributes of the body that say so; either may be first. JupyterLab hides
  // the page for a moment then, and what is hidden is not drawn: look two frames later.
  const recolour = () => requestAnimationFrame(() => requestAnimationFrame(() => getComputedStyle(el).color !== ink && draw()));
  const themed = new MutationObserver(recolour);
  themed.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name"] });
  themed.observe(document.head, { childList: true });
  document.head.addEventListener("load", recolour, { capture: true });
  const lights = matchMedia("(prefers-color-scheme: dark)");
  lights.addEventListener("change", recolour);
  model.on("change:_figure", draw);
  return () => {
    sized.disconnect();
    themed.disconnect();
    document.head.removeEventListener("load", recolour, { capture: true });
    lights.removeEventListener("change", recolour);
    model.off("change:_figure", draw);
    globalThis.migkitPlotly?.then((script) => script.purge(plot));
  };
}

export default { render };
