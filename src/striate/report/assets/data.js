// Data.
const D = JSON.parse($("#data").textContent);
const P = D.pictures;
const A = await unpack($("#arrays").textContent, D.arrays);
D.files = new TextDecoder().decode(A.files).split("\0");
const load = (urls) => Promise.all(urls.map(async (url) => {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}));
const sheets = await load(P.sheets);
const camRow = new Map();
if (A.cam) A.cam_of.forEach((id, row) => camRow.set(id, row));

async function unpack(text, table) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const kinds = {u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i4: Int32Array, f4: Float32Array};
  const arrays = {};
  for (const [name, [code, shape, offset]] of Object.entries(table)) {
    const size = shape.reduce((product, length) => product * length, 1);
    arrays[name] = new kinds[code](buffer, offset, size);
    arrays[name].shape = shape;
  }
  return arrays;
}

const ONE = D.kind.slice(0, -1); // picture, sound or clip
const title = (text) => text[0].toUpperCase() + text.slice(1);
