// What is drawn in the charts, judged where axe-core cannot: returns a list of faults.
// A text must not touch another, and must be told from whatever lies behind it by 4.5 to 1.

function numbers(colour) {
  const found = colour.match(/[\d.]+/g).map(Number);
  return found.length > 3 && found[3] === 0 ? null : found.slice(0, 3);
}

function light(colour) {
  const parts = colour.map((part) => {
    const level = part / 255;
    return level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}

function contrast(one, other) {
  const [dark, pale] = [light(one), light(other)].sort((a, b) => a - b);
  return (pale + 0.05) / (dark + 0.05);
}

function ground(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = numbers(getComputedStyle(at).backgroundColor);
    if (colour) return colour;
  }
  return [255, 255, 255];
}

function touch(one, other, slack) {
  return one.left < other.right - slack && other.left < one.right - slack &&
    one.top < other.bottom - slack && other.top < one.bottom - slack;
}

// The letters themselves are lower than the line they stand on.
function letters(text) {
  const box = text.getBoundingClientRect();
  const spare = box.height * 0.2;
  return { left: box.left, right: box.right, top: box.top + spare, bottom: box.bottom - spare };
}

function behind(text, box) {
  const shapes = [...text.ownerSVGElement.querySelectorAll("rect, circle, path")];
  return shapes.filter((shape) => touch(shape.getBoundingClientRect(), box, 0.5));
}

function colours(text, box) {
  const found = [ground(text)];
  for (const shape of behind(text, box)) {
    const fill = getComputedStyle(shape).fill;
    const edge = shape.getBoundingClientRect();
    const covers = edge.left <= box.left && edge.right >= box.right &&
      edge.top <= box.top && edge.bottom >= box.bottom;
    const colour = fill.startsWith("url") ? null : numbers(fill);
    if (fill === "none") continue;
    if (colour === null) return null;
    if (covers) found.length = 0;
    found.push(colour);
  }
  return found;
}

const faults = [];
const wide = document.documentElement.clientWidth;
for (const chart of document.querySelectorAll("svg")) {
  const texts = [...chart.querySelectorAll("text")].filter((text) => text.getClientRects().length);
  const boxes = texts.map(letters);
  texts.forEach((text, at) => {
    const said = `“${text.textContent}”`;
    const ink = numbers(getComputedStyle(text).fill);
    const under = colours(text, boxes[at]);
    if (boxes[at].left < -1 || boxes[at].right > wide + 1) faults.push(`${said} is cut off`);
    if (under === null) faults.push(`${said} lies on something hatched`);
    for (const colour of under || []) {
      const told = contrast(ink, colour);
      if (told < 4.5) faults.push(`${said} is told by ${told.toFixed(2)} only`);
    }
    boxes.slice(at + 1).forEach((other, more) => {
      if (touch(boxes[at], other, 0)) {
        faults.push(`${said} touches “${texts[at + 1 + more].textContent}”`);
      }
    });
  });
}
return faults;
