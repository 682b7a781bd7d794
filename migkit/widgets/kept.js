
// After a reload, show how the explorer looked until the kernel, which may be busy, sends it anew.
(() => {
  const place = document.currentScript?.parentElement;
  const kept = sessionStorage.getItem("migkit-kept:KEY");
  if (!place || !kept || globalThis.migkitPanels?.has("KEY")) return;
  const box = document.createElement("div");
  box.innerHTML = `<p role="status">As it was before the reload. It moves again when the kernel answers; after a restart, run the cell again.</p>${kept}`;
  box.className = "migkit-kept";
  box.inert = true;
  place.append(box);
  document.addEventListener("migkit-shown", ({ detail }) => detail === "KEY" && box.remove());
})();
