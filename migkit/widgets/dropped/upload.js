// One file, chosen or dropped. It goes to the kernel in pieces: a server cuts a connection over which too much comes
// in one message.
const PIECE_BYTES = 1 << 20;

function size(bytes) {
  return bytes < 1 << 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}

async function send(model, file) {
  const most = model.get("most_bytes");
  if (file.size > most) {
    model.set("message", `${file.name} has ${size(file.size)}; at most ${size(most)} are read. Split the file.`);
    model.save_changes();
    return;
  }
  const transfer = crypto.getRandomValues(new Uint32Array(2)).join("-");
  let at = 0;
  do {
    const piece = await file.slice(at, at + PIECE_BYTES).arrayBuffer();
    at += piece.byteLength;
    model.send({ transfer, name: file.name, last: at >= file.size }, undefined, [new DataView(piece)]);
  } while (at < file.size);
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "migkit-upload";
  const chooser = Object.assign(document.createElement("input"), { type: "file", hidden: true });
  const button = Object.assign(document.createElement("button"), { type: "button", className: "jupyter-button" });
  const shown = document.createElement("span");
  const help = Object.assign(document.createElement("div"), { className: "migkit-upload-help" });
  const message = Object.assign(document.createElement("div"), { className: "migkit-upload-message" });
  shown.setAttribute("role", "status");
  message.setAttribute("role", "alert");
  root.append(chooser, button, shown, help, message);

  const show = () => {
    button.textContent = `${model.get("description")}: choose or drop a file`;
    button.setAttribute("aria-label", `${model.get("description")}: choose a file. ${model.get("help")}`);
    shown.textContent = model.get("name");
    help.textContent = model.get("help");
    message.textContent = model.get("message");
  };
  const take = (files) => {
    if (files.length) send(model, files[0]);
  };
  button.addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    take(chooser.files);
    chooser.value = ""; // so that the same file may be chosen again, once it was changed
  });
  root.addEventListener("keydown", (event) => event.stopPropagation()); // else the notebook takes Enter for itself
  root.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.stopPropagation();
    root.classList.add("migkit-upload-over");
  });
  root.addEventListener("dragleave", () => root.classList.remove("migkit-upload-over"));
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    root.classList.remove("migkit-upload-over");
    take(event.dataTransfer.files);
  });
  model.on("change", show);
  show();
  el.replaceChildren(root); // a page that is loaded anew may ask for it twice
  return () => {
    model.off("change", show);
    root.remove();
  };
}

export default { render };
