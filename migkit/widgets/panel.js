// The foot of an explorer: "copy as Python"; what its sliders and lists need to be used by keyboard and by ear; and a
// picture of it, kept for the time after a reload in which a busy kernel does not answer.

const PANEL = ".migkit-panel";
const KEPT = "migkit-kept:";
const MOST_KEPT = 12;
const PLOT_CSS = ".migkit-panel .svg-container, .migkit-panel .svg-container div { position: relative } " +
  ".migkit-panel svg.main-svg { position: absolute; top: 0; left: 0 } .migkit-panel .modebar-container { display: none }";
const panels = (globalThis.migkitPanels ??= new Map()); // by the key of their pictures
const SUPPRESS = "data-lm-suppress-shortcuts";

// JupyterLab takes arrows and letters as commands for its cells, unless the element that has the focus forbids it.
// Keys with Ctrl, Alt or Meta, Escape and Shift+Enter keep what they do there.
function guard(event) {
  if (!(event.target instanceof Element) || !event.target.closest(PANEL)) return;
  const ours = !(event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape" || (event.shiftKey && event.key === "Enter"));
  event.target.toggleAttribute(SUPPRESS, ours);
}

// Return the panel as HTML that looks the same without any widget behind it.
function picture(panel) {
  const copy = panel.cloneNode(true);
  const originals = panel.querySelectorAll("canvas, select, input");
  copy.querySelectorAll("canvas, select, input").forEach((one, at) => {
    if (one.tagName === "SELECT") one.options[originals[at].selectedIndex]?.setAttribute("selected", "");
    else if (one.tagName === "INPUT") one.setAttribute("value", originals[at].value);
    else one.replaceWith(Object.assign(new Image(), { src: originals[at].toDataURL(), className: one.className }));
  });
  const styles = [...document.querySelectorAll("style")].map((style) => style.textContent);
  const css = styles.filter((text) => text.includes(".migkit-")).join("\n");
  return `<style>${css} ${PLOT_CSS}</style>${copy.outerHTML}`;
}

function keep() {
  for (const [key, panel] of panels) {
    const others = Object.keys(sessionStorage).filter((name) => name.startsWith(KEPT) && name !== KEPT + key);
    if (others.length >= MOST_KEPT) sessionStorage.removeItem(others[0]);
    try {
      sessionStorage.setItem(KEPT + key, picture(panel));
    } catch (error) {
      console.warn("migkit: the page has no room to keep a picture for the time after a reload", error);
    }
  }
}

function shown(key, panel) {
  panels.set(key, panel);
  document.dispatchEvent(new CustomEvent("migkit-shown", { detail: key }));
}

if (!globalThis.migkitGuarded) {
  globalThis.migkitGuarded = true;
  window.addEventListener("pagehide", keep);
  window.addEventListener("keydown", guard, { capture: true });
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// Return the sentence below a control, which is its tooltip as well.
function sentence(control) {
  const text = control.closest(".migkit-field")?.querySelector(".migkit-help")?.textContent ?? "";
  if (text) set(control, "title", text);
  return text;
}

// A screen reader hears what a slider is, and its value with the unit: by itself it would say the number of the step.
function name(panel) {
  for (const slider of panel.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label")?.textContent.trim() ?? "";
    const value = slider.querySelector(".widget-readout")?.textContent.trim() ?? "";
    for (const handle of slider.querySelectorAll(".noUi-handle")) {
      set(handle, "aria-label", label);
      set(handle, "aria-valuetext", value);
      set(handle, "aria-description", sentence(slider));
    }
  }
  for (const input of panel.querySelectorAll(".widget-dropdown select, .widget-text input, .widget-checkbox input")) {
    const row = input.closest(".jupyter-widgets");
    const label = row.querySelector(".widget-label")?.textContent.trim();
    if (label) set(input, "aria-label", label);
    set(input, "aria-description", sentence(row));
  }
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy"); // the clipboard is not there on a page without TLS that is not local
  area.remove();
}

function render({ model, el }) {
  el.classList.add("migkit-foot");
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "migkit-button", textContent: "copy as Python" });
  button.title = "Show the Python call behind the picture, and copy it";
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  const code = document.createElement("pre");
  code.hidden = true;
  code.tabIndex = 0;
  el.append(button, said, code);

  const write = () => (code.textContent = model.get("code"));
  button.onclick = async () => {
    code.hidden = false;
    try {
      await copy(model.get("code"));
      said.textContent = "copied; it follows the controls";
    } catch {
      said.textContent = "the browser did not let it be copied; select it here";
    }
  };
  const show = () => (button.hidden = !model.get("code"));
  model.on("change:code", write);
  model.on("change:code", show);
  write();
  show();

  let panel;
  const heard = new MutationObserver(() => name(panel));
  const attached = new ResizeObserver(() => {
    if (panel || !el.closest(PANEL)) return;
    panel = el.closest(PANEL);
    const attributes = { attributes: true, attributeFilter: ["aria-valuetext"] };
    heard.observe(panel, { childList: true, subtree: true, characterData: true, ...attributes });
    name(panel);
    const key = model.get("_key");
    if (panel.querySelector(".migkit-figure")) panel.addEventListener("migkit-drawn", () => shown(key, panel), { once: true });
    else shown(key, panel);
  });
  attached.observe(el);
  return () => {
    heard.disconnect();
    attached.disconnect();
    panels.delete(model.get("_key"));
    model.off("change:code", write);
    model.off("change:code", show);
  };
}

export default { render };
