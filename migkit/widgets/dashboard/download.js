// A button that asks the kernel for a file and hands it to the browser.
function save(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

export default {
  render({ model, el }) {
    const button = document.createElement("button");
    const complaint = document.createElement("span");
    Object.assign(button, { type: "button", className: "migkit-button", textContent: model.get("label") });
    complaint.setAttribute("role", "alert");
    complaint.style.marginLeft = "8px";
    el.style.margin = "8px 0";
    el.append(button, complaint);
    const tell = () => (complaint.textContent = model.get("complaint"));
    button.addEventListener("click", () => {
      button.disabled = true;
      model.send({ ask: true });
    });
    const answered = (said, buffers) => {
      button.disabled = false;
      if (said.name) save(said.name, buffers[0]);
    };
    tell();
    model.on("change:complaint", tell);
    model.on("msg:custom", answered);
    return () => {
      model.off("change:complaint", tell);
      model.off("msg:custom", answered);
    };
  },
};
