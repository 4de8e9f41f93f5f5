// Hovers over pictures that show their own number: how many were read, which were wrong, and by what drawn.
([layout, tries]) => {
  const stage = document.querySelector('.stage'), map = stage.atlas;
  map.render(); // the first drawing sets the canvas's size
  const canvas = stage.querySelector('canvas'), box = canvas.getBoundingClientRect();
  const gl = canvas.getContext('webgl2'), sharp = canvas.width / canvas.clientWidth;
  let state = 1;
  const random = () => (state = state * 48271 % 2147483647) / 2147483647;
  const number = (pixel) => [0, 1, 2].reduce((sum, k) => sum + Math.round(pixel[k] / 85) * 4 ** k, 0);
  const under = (x, y) => {
    if (!gl) return canvas.getContext('2d').getImageData(Math.floor(x * sharp), Math.floor(y * sharp), 1, 1).data;
    const pixel = new Uint8Array(4);
    gl.readPixels(Math.floor(x * sharp), canvas.height - 1 - Math.floor(y * sharp), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    return pixel;
  };
  let read = 0;
  const wrong = [];
  for (let k = 0; k < 4 * tries && read < tries; k++) {
    Object.assign(map.view, {x: .5, y: .5, zoom: [1, 5, 14][k % 3]});
    const shown = [...map.ids.keys()].filter((i) => map.shown(i));
    const i = shown[Math.floor(random() * shown.length)];
    const [fromX, fromY] = map.place(i);
    map.view.x += (fromX - canvas.clientWidth * (.2 + .6 * random())) / map.scale();
    map.view.y += (fromY - canvas.clientHeight / 2) / map.scale();
    const {size} = map.sizes(), [middleX, middleY] = map.place(i);
    const x = Math.round(middleX + (random() < .5 ? -.26 : .26) * size);
    const y = Math.round(middleY + (random() - .5) * .5 * size);
    canvas.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + x, clientY: box.top + y, pointerType: 'mouse', bubbles: true}));
    if (stage.dataset.hover === undefined) continue;
    const id = Number(stage.dataset.hover), [atX, atY] = map.place([...map.ids].indexOf(id));
    const off = (x - atX) / size, down = Math.abs(y - atY) / size;
    // The halves blend in the middle, and a frame is around them.
    if (Math.abs(off) < .16 || Math.abs(off) > .38 || down > .38) continue;
    // At the very edge of a picture that lies above, a pixel is of both.
    if ([[-2, -2], [-2, 0], [-2, 2], [0, -2], [0, 2], [2, -2], [2, 0], [2, 2]].some(([u, v]) => map.ids[map.pick(x + u, y + v)] !== id)) continue;
    map.render();
    const tip = stage.querySelector('.tip canvas'), pen = tip.getContext('2d');
    const halves = [.25, .75].map((at) => number(pen.getImageData(Math.floor(tip.width * at), tip.height >> 1, 1, 1).data));
    read++;
    if (number(under(x, y)) !== (off < 0 ? id % 64 : Math.floor(id / 64)) || halves[0] + 64 * halves[1] !== id) wrong.push({id, x, y, off, size, zoom: map.view.zoom, under: [...under(x, y)], halves});
  }
  return [read, wrong, stage.dataset.renderer];
}
