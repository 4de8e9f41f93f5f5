// Atlas.
const CLASS_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a87b00", "#3fa7e0", "#7a5195", "#7d6450", "#3d7a3d", "#b3305a"];
const [PLAIN, FAINT, BAD, NONE] = [10, 11, 12, 255]; // colours beside those of classes
const LAST = 36; // of the ranks; then points are 1/2000 of the map apart
const gap = (rank) => 1 / (4 * 2 ** (rank / 4));
let showOnMap = null;

/** Give each point the coarsest rank at which it keeps its distance from those before it. */
function rankPoints(x, y, order, reach) {
  const rank = new Uint8Array(x.length).fill(LAST), placed = [];
  let left = order;
  for (let r = 0; r < LAST && left.length; r++) {
    const apart = gap(r), across = ceil(1 / apart) + 1, first = new Int32Array(across * across).fill(-1), next = new Int32Array(x.length);
    const cell = (i) => floor(y[i] / apart) * across + floor(x[i] / apart);
    const put = (i) => { const at = cell(i); next[i] = first[at]; first[at] = i; };
    placed.forEach(put);
    const waiting = [];
    for (const i of left) {
      const at = cell(i);
      let free = true;
      for (let dy = -across; dy <= across && free; dy += across) for (let dx = -1; dx <= 1 && free; dx++)
        for (let j = first[at + dx + dy] ?? -1; j >= 0; j = next[j])
          if (max(abs(x[i] - x[j]), abs(y[i] - y[j])) < apart * reach) { free = false; break; }
      if (free) { rank[i] = r; placed.push(i); put(i); } else waiting.push(i);
    }
    left = waiting;
  }
  return rank;
}

function atlas() {
  if (!A.on_map) return drop("atlas");
  const ids = A.on_map, n = ids.length, info = D.map, K = D.classes.length, judged = ids.some(isJudged);
  const labelled = K > 0 && ids.some((id) => A.label[id] >= 0);
  const faith = [info.recall != null && `${percent(info.recall, 0)} of ten nearest neighbours are kept (recall@10)`,
    info.trust != null && `trustworthiness ${info.trust.toFixed(3)}`].filter(Boolean).join(", ");
  const host = open("atlas", D.findings.atlas, [info.note, faith].filter(Boolean).join("; ") + ". Near means alike to the network; far apart, and the axes, mean nothing.");
  const x = new Float32Array(n), y = new Float32Array(n), gridX = new Float32Array(n), gridY = new Float32Array(n);
  for (let i = 0; i < n; i++) { x[i] = A.xy[2 * i] / 65535; y[i] = 1 - A.xy[2 * i + 1] / 65535; }
  const visible = new Uint8Array(n).fill(1), hue = new Uint8Array(n);
  const first = [...Array(n).keys()].sort((a, b) => isWrong(ids[b]) - isWrong(ids[a]));
  const classes = new Set(D.classes.keys());
  let rank, colours, pitch = 0, onlyWrong = false, mode = P.ink || !judged ? 0 : 1;
  let mixed = 0, lasso = null, lassoing = false, ring = -1, active = false;
  const view = {x: 0.5, y: 0.5, zoom: 1};
  const W = () => canvas.clientWidth, H = () => canvas.clientHeight;

  const canvas = make("canvas", {tabindex: 0, role: "application", "aria-label": `Map of ${count(n, ONE)}. Arrow keys move, plus and minus zoom, Enter opens the one in the middle.`});
  const over = draw("svg", {"aria-hidden": "true"}), tip = make("div", {class: "tip", hidden: true});
  const inView = make("p", {class: "inview", "aria-live": "polite"});
  const button = (text, label, act) => knob({"aria-label": label, title: label, onclick: act}, text);
  const stage = make("div", {class: "stage"}, canvas, over, tip,
    make("div", {class: "zoom"}, button("+", "Zoom in", () => zoomAt(1.6)), button("−", "Zoom out", () => zoomAt(1 / 1.6)), button("⤢", "Show all", () => fly(0.5, 0.5, 1))));
  const totals = new Uint32Array(K);
  ids.forEach((id) => { if (A.label[id] >= 0) totals[A.label[id]]++; });
  const chips = make("div", {class: "chips", role: "group", "aria-label": "Classes on the map"}, D.classes.map((name, k) => {
    const total = totals[k];
    const chip = knob({class: "chip", "aria-pressed": "true", onclick: () => {
      if (classes.size === K) classes.clear();
      if (!classes.delete(k)) classes.add(k);
      if (!classes.size) D.classes.forEach((_, j) => classes.add(j));
      filter();
    }}, make("i"), name, span(String(total)));
    return chip;
  }));
  /** How often the ten nearest are of the same class: by the network, and by what it is compared with. */
  function purity() {
    if (!info.purities.length) return "";
    return numbers("Ten nearest of the same class, on the mean", ["Nearest by", "Same class, %"],
      info.purities.map(([name, share]) => [name, (100 * share).toFixed(1)]), true);
  }
  const sought = K > 24 ? make("input", {type: "search", class: "sought", placeholder: `Find one of ${num(K)} classes`, "aria-label": "Find a class", oninput: () => {
    const text = sought.value.trim().toLowerCase();
    $$("button", chips).forEach((chip, k) => { chip.hidden = !D.classes[k].toLowerCase().includes(text); });
  }}) : "";
  if (K > 24) chips.classList.add("many");
  const found = make("div", {class: "selection", "aria-live": "polite"});
  const lassoButton = knob({class: "plain", "aria-pressed": "false", onclick: () => setLasso(!lassoing)}, "Lasso");
  const wrongs = [...ids].filter(isWrong).length;
  host.append(make("div", {class: "atlas"}, make("div", {}, stage, inView), make("div", {class: "side"},
    make("div", {class: "tools"}, choice("Layout", ["Map", "Grid"], 0, snap), lassoButton),
    labelled ? [h3("Classes"), note("Click one to see it alone, more to add them."), sought, chips] : "",
    wrongs ? toggle(`Mistakes only (${num(wrongs)})`, false, (on) => { onlyWrong = on; filter(); }) : "",
    labelled ? [h3(P.ink ? "Colour" : "Frame"), D.colour_note ? note(D.colour_note) : "",
      choice("Colour", judged ? ["Class", "Mistakes", "None"] : ["Class", "None"], mode, (at) => { mode = judged ? at : 2 * at; recolour(); })] : "",
    found), make("div", {}, purity())));

  // ------------------------------------------------ what is shown
  const base = () => clamp(sqrt(W() * H() / n) * 0.9, 14, 34);
  const scale = () => min(W(), H()) * 0.93 * view.zoom;
  function sizes() {
    const free = min(base() * view.zoom ** 0.55, max(P.side, 56) * 1.5);
    const size = free + (pitch * scale() * 0.94 - free) * mixed;
    return {size, level: mixed > 0 ? LAST : min(LAST, floor(4 * log2(scale() / size / 4)))};
  }
  const world = (i) => [x[i] + (gridX[i] - x[i]) * mixed, y[i] + (gridY[i] - y[i]) * mixed];
  const screen = ([wx, wy]) => [(wx - view.x) * scale() + W() / 2, (wy - view.y) * scale() + H() / 2];
  const place = (i) => screen(world(i));
  const shown = (i, level) => visible[i] && rank[i] <= level;

  function filter() {
    for (let i = 0; i < n; i++) visible[i] = classes.has(A.label[ids[i]]) && (!onlyWrong || isWrong(ids[i])) || (A.label[ids[i]] < 0 && !onlyWrong) ? 1 : 0;
    $$("button", chips).forEach((chip, k) => press(chip, classes.has(k)));
    const kept = first.filter((i) => visible[i]);
    rank = rankPoints(x, y, kept, P.ink ? 0.42 : 0.5);
    toGrid(kept);
    recolour();
  }
  /** Columns of equal numbers by x, each in order of y: a grid that keeps the map's shape. */
  function toGrid(kept) {
    const across = max(1, ceil(sqrt(kept.length))), down = ceil(kept.length / across);
    pitch = 1 / max(across, down, 6);
    gridX.set(x); gridY.set(y);
    const byX = [...kept].sort((a, b) => x[a] - x[b]);
    for (let c = 0; c < across; c++) {
      byX.slice(c * down, (c + 1) * down).sort((a, b) => y[a] - y[b]).forEach((i, r) => {
        gridX[i] = 0.5 + (c + 0.5 - across / 2) * pitch;
        gridY[i] = 0.5 + (r + 0.5 - down / 2) * pitch;
      });
    }
  }
  function recolour() {
    for (let i = 0; i < n; i++) {
      const id = ids[i], wrong = isWrong(id);
      hue[i] = mode === 0 ? (A.label[id] < 0 ? PLAIN : D.colours[A.label[id]]) : mode === 1 && wrong ? BAD
        : P.ink ? (mode === 1 ? FAINT : PLAIN) : NONE;
    }
    colours = palette();
    $$("i", chips).forEach((dot, k) => { dot.style.background = `rgb(${colours[D.colours[k]]})`; });
    renderer.upload();
    invalidate();
  }
  function palette() {
    const light = (hex) => rgb(hex).map((part) => isDark() ? part + (255 - part) * 0.38 : part);
    return [...CLASS_COLOURS.map(light), rgb(colour("ink")), rgb(colour("faint")), rgb(colour("orange"))];
  }

  // ------------------------------------------------ drawing
  let waiting = false;
  const invalidate = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; render(); });
  };
  function render() {
    const sharp = min(devicePixelRatio || 1, 2), wide = round(W() * sharp), high = round(H() * sharp);
    if (!wide) return;
    if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
    renderer.draw(sharp);
    decorate();
    clearTimeout(surveyed);
    surveyed = setTimeout(survey, 120);
  }
  /** Find the classes in view: what to call the part, and where to write their names. */
  let names = [], surveyed = 0;
  function survey() {
    clearTimeout(surveyed);
    const seen = new Map(), [wide, high] = [W(), H()];
    for (let i = 0; i < n; i++) {
      const [px, py] = visible[i] ? place(i) : [-1, -1];
      if (px < 0 || py < 0 || px > wide || py > high) continue;
      const k = A.label[ids[i]];
      if (!seen.has(k)) seen.set(k, []);
      seen.get(k).push([px, py]);
    }
    const all = [...seen.values()].reduce((sum, list) => sum + list.length, 0);
    const ranking = [...seen].sort((a, b) => b[1].length - a[1].length);
    inView.textContent = `In view: ${count(all, ONE)}` + (all && labelled ? ` – ${ranking.slice(0, 4).map(([k, list]) => `“${className(k)}” ${percent(list.length / all, 0)}`).join(", ")}${ranking.length > 4 ? ", …" : ""}` : "");
    const middle = (values) => [...values].sort((a, b) => a - b)[values.length >> 1], taken = [];
    names = ranking.filter(([k, list]) => k >= 0 && list.length >= max(3, all * 0.015)).map(([k, list]) => {
      const ys = list.map(([, py]) => py), core = middle(ys), spread = middle(ys.map((py) => abs(py - core)));
      const top = min(...ys.filter((py) => core - py <= 2.2 * spread));
      const half = textWidth(className(k), "700 15px") / 2 + 4, px = clamp(middle(list.map(([at]) => at)), half + 4, wide - half - 4);
      let py = clamp(top - sizes().size / 2 - 10, 14, high - 14);
      for (let tries = 0; tries < 4 && taken.some(([tx, ty, other]) => abs(tx - px) < half + other && abs(ty - py) < 19); tries++) py += 20;
      taken.push([px, py, half]);
      return [className(k), ...worldOf(px, py)];
    });
    decorate();
  }
  /** Write the names, the lasso, and a ring around the picture that was asked for. */
  function decorate() {
    const parts = mixed ? [] : names.map(([text, ...at]) => {
      const [px, py] = screen(at);
      return draw("text", {x: px, y: py + 5, class: "place"}, text);
    });
    over.setAttribute("viewBox", `0 0 ${W()} ${H()}`);
    if (lasso) parts.push(draw("polygon", {class: "lasso", points: lasso.map((at) => screen(at).join()).join(" ")}));
    if (ring >= 0 && visible[ring]) {
      const [px, py] = place(ring), size = max(sizes().size, 34) + 8;
      parts.push(draw("rect", {class: "ring", x: px - size / 2, y: py - size / 2, width: size, height: size, rx: 5}));
    }
    over.replaceChildren(...parts);
  }

  /** Dots in one call, pictures in another: a vertex shader looks up place and sheet by number. */
  function webgl(gl) {
    const shader = (kind, text) => {
      const made = gl.createShader(kind);
      gl.shaderSource(made, text);
      gl.compileShader(made);
      if (!gl.getShaderParameter(made, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(made));
      return made;
    };
    const program = gl.createProgram(), LAYERS = gl.TEXTURE_2D_ARRAY;
    gl.attachShader(program, shader(gl.VERTEX_SHADER, `#version 300 es
      precision highp float; precision highp int; precision highp usampler2D;
      uniform usampler2D places, states, list;
      uniform vec4 view; // centre; pixels per unit; share of the grid
      uniform vec2 canvas; uniform float size, dots; uniform int level, pass;
      out vec2 at; out vec3 where; flat out uint hue; flat out float span;
      void main() {
        int corner = gl_VertexID % 6, turn = gl_VertexID / 6, i = gl_VertexID;
        if (pass == 1) i = int(texelFetch(list, ivec2(turn % 2048, turn / 2048), 0).r);
        ivec2 texel = ivec2(i % 2048, i / 2048);
        uvec4 state = texelFetch(states, texel, 0), spot = texelFetch(places, texel, 0);
        gl_Position = vec4(2, 2, 2, 1);
        if (pass == 0 && (state.b == 1u ? int(state.r) <= level : view.w > 0.)) return;
        at = vec2(corner == 1 || corner > 3, corner == 2 || corner == 3 || corner == 5);
        hue = state.b == 1u ? state.g : 11u;
        span = pass == 1 ? size : state.b == 1u ? dots : dots * .6;
        vec2 middle = (mix(vec2(spot.xy), vec2(spot.zw), view.w) / 65535. - view.xy) * view.z;
        vec2 pixel = middle + (pass == 1 ? (at - .5) * span : vec2(0));
        gl_PointSize = span;
        gl_Position = vec4(pixel / canvas * vec2(2, -2), 0, 1);
        where = vec3(at, float(i));
      }`));
    gl.attachShader(program, shader(gl.FRAGMENT_SHADER, `#version 300 es
      precision highp float; precision highp int; precision mediump sampler2DArray;
      uniform sampler2DArray sheets; uniform vec3 palette[13]; uniform float lod; uniform int pass, cell, side, sheet; uniform bool ink;
      uniform highp usampler2D numbers;
      in vec2 at; in vec3 where; flat in uint hue; flat in float span; out vec4 paint;
      void main() {
        vec3 own = palette[min(int(hue), 12)];
        if (pass == 0) {
          float far = length(gl_PointCoord - .5) * span, edge = span * .5;
          paint = vec4(hue == 255u ? palette[11] : own, clamp(edge - far, 0., 1.));
          return;
        }
        int i = int(where.z + .5);
        int id = int(texelFetch(numbers, ivec2(i % 2048, i / 2048), 0).r);
        int across = sheet / cell, here = id % (across * across);
        // A texel of this level is 2^lod wide; keep half of one from the picture's edge.
        float inset = min(.5 * exp2(lod), float(side) * .5);
        vec2 inside = clamp(at * float(side), inset, float(side) - inset) + float((cell - side) / 2);
        vec2 corner = vec2(here % across, here / across) * float(cell);
        vec3 texel = textureLod(sheets, vec3((corner + inside) / float(sheet), id / (across * across)), lod).rgb;
        if (ink) { paint = vec4(own, smoothstep(.02, .75, texel.r)); return; }
        vec2 rim = min(at, 1. - at) * span;
        bool frame = hue != 255u && min(rim.x, rim.y) < max(1.5, span * .05);
        paint = vec4(frame ? own : texel, 1);
      }`));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    const U = (name) => gl.getUniformLocation(program, name), rows = ceil(n / 2048);
    const texture = (unit, target, name, smaller, larger) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(target, gl.createTexture());
      gl.uniform1i(U(name), unit);
      gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, smaller);
      gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, larger);
    };
    const table = (unit, name, inner, format, kind, data) => {
      texture(unit, gl.TEXTURE_2D, name, gl.NEAREST, gl.NEAREST);
      gl.texImage2D(gl.TEXTURE_2D, 0, inner, 2048, rows, 0, format, kind, data);
    };
    const places = new Uint16Array(2048 * rows * 4), states = new Uint8Array(2048 * rows * 4), numbers = new Uint32Array(2048 * rows), list = new Uint32Array(2048 * rows);
    numbers.set(ids);
    table(0, "places", gl.RGBA16UI, gl.RGBA_INTEGER, gl.UNSIGNED_SHORT, places);
    table(1, "states", gl.RGBA8UI, gl.RGBA_INTEGER, gl.UNSIGNED_BYTE, states);
    table(2, "numbers", gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, numbers);
    table(4, "list", gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, list);
    texture(3, LAYERS, "sheets", gl.LINEAR_MIPMAP_LINEAR, gl.LINEAR);
    const {cell, side, sheet} = P;
    gl.texStorage3D(LAYERS, log2(cell) + 1, gl.RGBA8, sheet, sheet, sheets.length);
    sheets.forEach((image, layer) => gl.texSubImage3D(LAYERS, 0, 0, 0, layer, image.width, image.height, 1, gl.RGBA, gl.UNSIGNED_BYTE, image));
    gl.generateMipmap(LAYERS);
    for (const [name, value] of Object.entries({cell, side, sheet, ink: +P.ink})) gl.uniform1i(U(name), value);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    const at = Object.fromEntries(["view", "canvas", "size", "dots", "lod", "level", "pass", "palette"].map((name) => [name, U(name)]));
    let listed = -1, length = 0;
    return {
      upload() {
        listed = -1;
        for (let i = 0; i < n; i++) {
          places.set([x[i] * 65535, y[i] * 65535, gridX[i] * 65535, gridY[i] * 65535], 4 * i);
          states.set([rank[i], hue[i], visible[i] ? 1 : 0, 0], 4 * i);
        }
        gl.activeTexture(gl.TEXTURE0);
        gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 2048, rows, gl.RGBA_INTEGER, gl.UNSIGNED_SHORT, places);
        gl.activeTexture(gl.TEXTURE1);
        gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 2048, rows, gl.RGBA_INTEGER, gl.UNSIGNED_BYTE, states);
        gl.uniform3fv(at.palette, colours.flat().map((part) => part / 255));
        gl.clearColor(...rgb(colour("stage")).map((part) => part / 255), 1);
      },
      draw(sharp) {
        const {size, level} = sizes();
        gl.viewport(0, 0, canvas.width, canvas.height);
        gl.clear(gl.COLOR_BUFFER_BIT);
        gl.uniform4f(at.view, view.x, view.y, scale() * sharp, mixed);
        gl.uniform2f(at.canvas, canvas.width, canvas.height);
        gl.uniform1f(at.size, size * sharp);
        gl.uniform1f(at.dots, clamp(size * 0.16, 3, 6) * sharp);
        gl.uniform1f(at.lod, clamp(log2(side / (size * sharp)), 0, log2(cell)));
        gl.uniform1i(at.level, level);
        if (listed !== level) { // which pictures are drawn changes with the zoom only now and then
          listed = level;
          length = 0;
          for (let i = 0; i < n; i++) if (shown(i, level)) list[length++] = i;
          gl.activeTexture(gl.TEXTURE4);
          gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 2048, rows, gl.RED_INTEGER, gl.UNSIGNED_INT, list);
        }
        for (const pass of [0, 1]) {
          gl.uniform1i(at.pass, pass);
          if (pass) gl.drawArrays(gl.TRIANGLES, 0, 6 * length); else gl.drawArrays(gl.POINTS, 0, n);
        }
      },
      wait: () => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)),
    };
  }
  /** The same without WebGL: pictures as they are, frames instead of ink. */
  function plain(pen) {
    return {
      upload() {},
      draw(sharp) {
        const {size, level} = sizes();
        pen.setTransform(sharp, 0, 0, sharp, 0, 0);
        pen.fillStyle = colour("stage");
        pen.fillRect(0, 0, W(), H());
        pen.imageSmoothingEnabled = true;
        for (const pass of [0, 1]) for (let i = 0; i < n; i++) {
          if (shown(i, level) !== (pass === 1) || (!visible[i] && mixed)) continue;
          const [px, py] = place(i);
          if (px < -size || py < -size || px > W() + size || py > H() + size) continue;
          pen.fillStyle = `rgb(${colours[visible[i] ? min(hue[i], 12) : FAINT]})`;
          if (pass === 0) pen.fillRect(px - 1.5, py - 1.5, 3, 3);
          else {
            const [sheet, sx, sy, side] = source(ids[i]), rim = hue[i] === NONE ? 0 : max(1, size * 0.05);
            if (rim) pen.fillRect(px - size / 2, py - size / 2, size, size);
            pen.drawImage(sheet, sx, sy, side, side, px - size / 2 + rim, py - size / 2 + rim, size - 2 * rim, size - 2 * rim);
          }
        }
      },
      wait: () => pen.getImageData(0, 0, 1, 1),
    };
  }

  // ------------------------------------------------ moving
  /** Call `act` with 0 to 1, eased, over some milliseconds; a new glide of a kind ends the old. */
  const glides = {};
  function glide(kind, lasts, act) {
    cancelAnimationFrame(glides[kind]);
    const begun = performance.now();
    const step = () => {
      const t = still.matches ? 1 : min(1, (performance.now() - begun) / lasts);
      act(t * t * (3 - 2 * t));
      render();
      if (t < 1) glides[kind] = requestAnimationFrame(step);
    };
    step();
  }
  function fly(toX, toY, zoom) {
    const from = {...view};
    glide("fly", 420, (t) => {
      view.x = from.x + (toX - from.x) * t;
      view.y = from.y + (toY - from.y) * t;
      view.zoom = from.zoom * (zoom / from.zoom) ** t;
    });
  }
  function snap(to) {
    const from = mixed;
    lasso = null;
    hover(-1);
    glide("snap", 600, (t) => { mixed = from + (to - from) * t; });
  }
  function zoomAt(factor, px = W() / 2, py = H() / 2) {
    cancelAnimationFrame(glides.fly);
    const before = scale(), dx = px - W() / 2, dy = py - H() / 2;
    view.zoom = clamp(view.zoom * factor, 0.6, 80);
    view.x += dx / before - dx / scale();
    view.y += dy / before - dy / scale();
    invalidate();
  }
  function pick(px, py) {
    const {size, level} = sizes();
    let dot = -1, near = 6;
    for (let i = n - 1; i >= 0; i--) {
      if (!visible[i]) continue;
      const [ix, iy] = place(i), off = max(abs(ix - px), abs(iy - py));
      if (rank[i] <= level) { if (off <= size / 2) return i; } else if (off < near) { near = off; dot = i; }
    }
    return dot;
  }
  function hover(i, px, py) {
    tip.hidden = i < 0;
    canvas.style.cursor = lassoing ? "crosshair" : i < 0 ? "grab" : "pointer";
    if (i < 0) { delete stage.dataset.hover; return; }
    if (stage.dataset.hover !== String(ids[i])) {
      stage.dataset.hover = ids[i];
      const id = ids[i];
      tip.replaceChildren(picture(id, 112), para(bold(A.label[id] < 0 ? D.files[id] ?? "" : className(A.label[id])),
        isWrong(id) ? make("span", {class: "bad"}, ` taken for ${className(A.predicted[id])}`) : ""),
      note(isJudged(id) ? `${percent(sureness(id))} sure` : splitOf(id) && `of ${splitOf(id)}`));
    }
    tip.style.transform = `translate(${clamp(px + 18 + 136 > W() ? px - 154 : px + 18, 0, W() - 136)}px, ${clamp(py - 60, 4, H() - 180)}px)`;
  }
  function setLasso(on) {
    lassoing = on;
    press(lassoButton, on);
    if (on) select([]);
    canvas.style.cursor = on ? "crosshair" : "grab";
  }
  function select(chosen) {
    if (!chosen.length) lasso = null;
    const wrong = chosen.filter((i) => isWrong(ids[i])).length;
    found.replaceChildren(...chosen.length ? [h3(`${count(chosen.length, ONE)} in the lasso`),
      note(judged ? `${count(wrong, "mistake")}${wrong ? " first" : ""}. ` : "", knob({class: "link", onclick: () => select([])}, "Clear")),
      walkable(make("div", {class: "strip"}, chosen.slice(0, 40).map((i) => tile(ids[i], 44))))] : []);
    invalidate();
  }
  const spot = (event) => [event.offsetX, event.offsetY];
  const worldOf = (px, py) => [(px - W() / 2) / scale() + view.x, (py - H() / 2) / scale() + view.y];

  const fingers = new Map();
  let moved = 0;
  on(canvas, "pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, spot(event));
    moved = 0;
    active = true;
    if (lassoing || event.shiftKey) lasso = [worldOf(...spot(event))];
  });
  on(canvas, "pointermove", (event) => {
    const here = spot(event), before = fingers.get(event.pointerId);
    if (!before) return event.pointerType === "mouse" && hover(pick(...here), ...here);
    moved += hypot(here[0] - before[0], here[1] - before[1]);
    if (fingers.size === 2) {
      const other = [...fingers].find(([key]) => key !== event.pointerId)[1];
      const apart = (a) => hypot(a[0] - other[0], a[1] - other[1]);
      zoomAt(apart(here) / max(apart(before), 1), (here[0] + other[0]) / 2, (here[1] + other[1]) / 2);
    } else if (lasso && (lassoing || event.shiftKey)) lasso.push(worldOf(...here));
    else {
      view.x -= (here[0] - before[0]) / scale();
      view.y -= (here[1] - before[1]) / scale();
      if (moved > 4) hover(-1);
    }
    fingers.set(event.pointerId, here);
    invalidate();
  });
  const release = (event) => {
    if (!fingers.delete(event.pointerId) || fingers.size) return;
    if ((lassoing || event.shiftKey) && lasso) {
      const region = new Path2D(`M${lasso.map((at) => at.join()).join("L")}Z`);
      const chosen = first.filter((i) => visible[i] && ruler.isPointInPath(region, ...world(i)));
      lassoing = false;
      press(lassoButton, false);
      select(chosen);
    } else if (moved < 5 && event.type === "pointerup") {
      const i = pick(...spot(event));
      if (i >= 0) { ring = i; invalidate(); go(`#picture=${ids[i]}`); }
    }
  };
  on(canvas, "pointerup", release);
  on(canvas, "pointercancel", release);
  on(canvas, "pointerleave", () => { if (!fingers.size) hover(-1); });
  // The wheel scrolls the page until the map has been pressed, so that nobody is caught by it.
  on(document, "pointerdown", (event) => { if (!stage.contains(event.target)) active = false; });
  on(canvas, "wheel", (event) => {
    if (!active && !event.ctrlKey) return;
    event.preventDefault();
    hover(-1);
    zoomAt(1.0016 ** -clamp(event.deltaY * (event.deltaMode ? 30 : 1), -300, 300), ...spot(event));
  }, {passive: false});
  on(canvas, "keydown", (event) => {
    const step = 60 / scale(), moves = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key];
    const middle = [W() / 2, H() / 2];
    if (moves) { view.x += moves[0]; view.y += moves[1]; invalidate(); } else if (event.key === "+" || event.key === "=") zoomAt(1.4);
    else if (event.key === "-") zoomAt(1 / 1.4);
    else if (event.key === "0") fly(0.5, 0.5, 1);
    else if (event.key === "Enter") { const i = pick(...middle); if (i >= 0) go(`#picture=${ids[i]}`); } else if (event.key === "Escape") { active = false; hover(-1); return; } else return;
    event.preventDefault();
    hover(pick(...middle), ...middle);
  });

  let gl = null;
  try {
    if (!location.hash.includes("canvas2d")) gl = canvas.getContext("webgl2", {antialias: false, alpha: false});
  } catch { /* the plain renderer takes over */ }
  const renderer = gl ? webgl(gl) : plain(canvas.getContext("2d"));
  stage.dataset.renderer = gl ? "webgl2" : "canvas2d";
  filter();
  new ResizeObserver(invalidate).observe(canvas);
  redraws.push(recolour, () => { if (paper()) render(); }); // print waits for no frame
  const rowOf = new Map([...ids].map((id, i) => [id, i]));
  showOnMap = (id) => {
    const i = rowOf.get(id);
    if (i === undefined) return false;
    if (!visible[i]) { D.classes.forEach((_, k) => classes.add(k)); onlyWrong = false; $$("input", host).forEach((box) => { box.checked = false; }); filter(); }
    ring = i;
    host.scrollIntoView({behavior: "instant", block: "start"});
    fly(...world(i), max(view.zoom, 4));
    return true;
  };
  showOnMap.has = (id) => rowOf.has(id);
  // For tests and for timing: the state behind the picture.
  stage.atlas = {view, ids, place, scale, pick, render, wait: renderer.wait, sizes, shown: (i) => shown(i, sizes().level)};
}
