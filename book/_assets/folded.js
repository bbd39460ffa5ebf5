// What is folded opens where a link leads into it, and on paper.

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  // A section's other labels are empty spans before its heading.
  const section = target.matches("section, section > span:empty") && target.closest("section");
  const own = section && section.querySelector(":scope > details.folded");
  for (let place = own || target.closest("details"); place; place = place.parentElement.closest("details")) {
    place.open = true;
  }
  target.scrollIntoView();
}
addEventListener("hashchange", openTarget);
addEventListener("load", openTarget);

// A link to where one is already changes no hash.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (link?.hash && link.href === location.href) openTarget();
});

const closed = [];
addEventListener("beforeprint", () => {
  closed.push(...document.querySelectorAll(".bd-article details:not([open])"));
  for (const part of closed) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of closed.splice(0)) part.open = false;
});
