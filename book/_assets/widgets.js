// What Jupyter's widgets lack on a page: the MathJax of today, and sliders that a screen reader can name.

// Widgets typeset their labels as MathJax 2 did. This listener comes before theirs.
window.addEventListener("load", () => {
  if (window.MathJax) {
    const typeset = ([, , element]) => MathJax.startup?.promise.then(() => MathJax.typesetPromise([element]));
    MathJax.Hub ??= { Queue: typeset };
  }
});

// A slider's handle is named by its label, and its value is what it shows, not the number of the place.
function nameSliders() {
  for (const slider of document.querySelectorAll(".widget-slider")) {
    const [handle, label, readout] = [".noUi-handle", ".widget-label", ".widget-readout"].map((part) =>
      slider.querySelector(part),
    );
    const spoken = { "aria-label": label?.textContent, "aria-valuetext": readout?.textContent };
    for (const [attribute, text] of Object.entries(spoken)) {
      if (handle && text && handle.getAttribute(attribute) !== text) handle.setAttribute(attribute, text);
    }
    readout?.removeAttribute("contenteditable"); // a selection cannot be typed
  }
}
new MutationObserver(nameSliders).observe(document.body ?? document, {
  subtree: true,
  childList: true,
  attributeFilter: ["aria-valuetext"],
});
