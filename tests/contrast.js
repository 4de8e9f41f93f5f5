// Finds text that is too faint for its size (WCAG 2.1 AA).
() => {
  const pen = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
  const read = (colour) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); return [...pen.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((x) => x / 255).map((x) => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4)
    .reduce((sum, x, k) => sum + x * [.2126, .7152, .0722][k], 0);
  const over = (top, below) => [0, 1, 2].map((k) => top[k] * top[3] / 255 + below[k] * (1 - top[3] / 255)).concat(255);
  const ground = (node) => {
    const own = read(getComputedStyle(node).backgroundColor);
    return own[3] === 255 || !node.parentElement ? over(own, [255, 255, 255]) : over(own, ground(node.parentElement));
  };
  const faint = new Map();
  let looked = 0;
  for (const node of document.querySelectorAll('body *')) {
    const text = [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data.trim()).join('');
    if (!text || node.closest('[hidden], script, noscript, .skip') || !node.getClientRects().length) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const back = ground(node), paint = read(node instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(over(paint, back)), light(back)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    looked++;
    if (ratio < (large ? 3 : 4.5)) faint.set(`${node.tagName}.${node.getAttribute('class')}: ${text.slice(0, 30)}`, ratio.toFixed(2));
  }
  return [looked, Object.fromEntries(faint)];
}
