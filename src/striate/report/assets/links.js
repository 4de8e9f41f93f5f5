// Links.
function go(hash) {
  if (location.hash !== hash) history.pushState(null, "", hash);
  route();
}
function route() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const id = parts.has("picture") ? Number(parts.get("picture")) : NaN;
  if (id >= 0 && id < P.n) showPicture(id);
  else if (!panel.hidden) { panel.hidden = true; opener?.focus?.({preventScroll: true}); }
  const cell = /^(\d+),(\d+)$/.exec(parts.get("cell") ?? "");
  if (cell) {
    showCell(+cell[1], +cell[2]);
    const found = $("#mistakes .found");
    if (found && found.getBoundingClientRect().top > innerHeight * 0.7 || found?.getBoundingClientRect().bottom < 100) found.scrollIntoView({block: "start"});
  }
}

summary();
curves();
filters();
featureMaps();
mistakes();
calibration();
atlas();

on(document, "click", (event) => {
  const from = event.target.closest("[data-picture]");
  if (from) go(`#picture=${from.dataset.picture}`);
});
on(document, "keydown", (event) => { if (event.key === "Escape") closePanel(); });
on(window, "popstate", route);
on(window, "hashchange", route);
route();
