// The foot of an explorer: "copy as Python"; and what its sliders and lists need to be used by keyboard and by ear.

const PANEL = ".migkit-panel";
const SUPPRESS = "data-lm-suppress-shortcuts";

// JupyterLab takes arrows and letters as commands for its cells, unless an ancestor of the focus forbids it.
// Keys with Ctrl, Alt or Meta, Escape and Shift+Enter keep what they do there.
function guard(event) {
  const panel = event.target instanceof Element && event.target.closest(PANEL);
  if (!panel) return;
  const ours = !(event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape" || (event.shiftKey && event.key === "Enter"));
  panel.toggleAttribute(SUPPRESS, ours);
}

if (!globalThis.migkitGuarded) {
  globalThis.migkitGuarded = true;
  window.addEventListener("keydown", guard, { capture: true });
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// A screen reader hears what a slider is, and its value with the unit: by itself it would say the number of the step.
function name(panel) {
  for (const slider of panel.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label")?.textContent.trim() ?? "";
    const value = slider.querySelector(".widget-readout")?.textContent.trim() ?? "";
    for (const handle of slider.querySelectorAll(".noUi-handle")) {
      set(handle, "aria-label", label);
      set(handle, "aria-valuetext", value);
      if (slider.title) set(handle, "aria-description", slider.title);
    }
  }
  for (const input of panel.querySelectorAll(".widget-dropdown select, .widget-text input, .widget-checkbox input")) {
    const row = input.closest(".jupyter-widgets");
    const label = row.querySelector(".widget-label")?.textContent.trim();
    if (label) set(input, "aria-label", label);
    if (row.title) set(input, "aria-description", row.title);
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
    const attributes = { attributes: true, attributeFilter: ["aria-valuetext", "title"] };
    heard.observe(panel, { childList: true, subtree: true, characterData: true, ...attributes });
    name(panel);
  });
  attached.observe(el);
  return () => {
    heard.disconnect();
    attached.disconnect();
    model.off("change:code", write);
    model.off("change:code", show);
  };
}

export default { render };
