// The sections' names, the one in view marked.
const sections = $$("main section");
const links = sections.map((section) => make("a", {href: `#${section.id}`}, section.dataset.name));
$("#nav").append(make("div", {}, links));
const watcher = new IntersectionObserver(() => {
  const at = sections.findLastIndex((section) => section.getBoundingClientRect().top < innerHeight * 0.4);
  links.forEach((link, k) => link.setAttribute("aria-current", String(k === max(at, 0))));
}, {threshold: [...Array(21).keys()].map((k) => k / 20)});
sections.forEach((section) => watcher.observe(section));
document.documentElement.dataset.ready = "yes";
