// Plots: uPlot has the axes and the zoom; the curves are drawn here, at most a few lines for each pixel.
const drawn = [];
const plotData = JSON.parse(document.getElementById("plots")?.textContent ?? "null");
let printing = false;
function colour(name) {
  return printing ? plotData.light[name] : getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}
// The differences of whole numbers are shorter than the numbers.
function summed(differences, factor = 1) {
  const out = new Float64Array(differences.length);
  let sum = 0;
  for (let i = 0; i < out.length; i++) {
    sum += differences[i];
    out[i] = sum * factor;
  }
  return out;
}
// The first place whose time is after this one.
function after(times, time) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}
function decoded(curve) {
  const value = (each) => (each === null ? NaN : each);
  const low = Float64Array.from(curve.v, value);
  const high = curve.top.length ? Float64Array.from(curve.top, (size, i) => low[i] + size) : low;
  return { ...curve, t: summed(curve.t, 1e-9), low, high, segment: summed(curve.segment) };
}
// The lowest and the highest value of the curves between two times.
function extent(curves, from, to) {
  let low = from > curves.begin + 1e-9 ? Infinity : 0;
  let high = -Infinity;
  for (const { shape, t, low: bottoms, high: tops } of curves) {
    const begin = Math.max(0, after(t, from) - (shape === "steps" ? 1 : 0));
    for (let i = begin; i < t.length && t[i] <= to; i++) {
      if (tops[i] > high) high = tops[i];
      if (bottoms[i] < low) low = bottoms[i];
    }
  }
  if (!(high > -Infinity)) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) / 20;
  return [low === 0 ? 0 : low - room, high + room];
}
function stroke(u, curve) {
  const { ctx } = u;
  const x = (time) => Math.round(u.valToPos(time, "x", true));
  const y = (value) => u.valToPos(value, "y", true);
  const { min, max } = u.scales.x;
  const { t, low, high, shape } = curve;
  const begin = Math.max(0, after(t, min) - 1);
  const end = Math.min(t.length, after(t, max) + 1);
  const scale = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  ctx.beginPath();
  ctx.strokeStyle = colour(curve.colour);
  ctx.lineWidth = (shape === "bars" ? 2 : shape === "points" ? 1.2 : 1.6) * scale;
  ctx.setLineDash(curve.dashed ? [5 * scale, 3 * scale] : []);
  if (shape === "steps") {
    let column = NaN;
    let bottom = 0;
    let top = 0;
    let pen = false;
    for (let i = begin; i < end; i++) {
      const px = x(t[i]);
      if (Number.isNaN(low[i])) {
        if (pen) ctx.lineTo(px, bottom);
        pen = false;
        column = NaN;
        continue;
      }
      const py = y(low[i]);
      if (pen && px === column && i + 1 < end && x(t[i + 1]) === px) {
        if (py > top || py < bottom) ctx.lineTo(px, py);
      } else if (pen) {
        ctx.lineTo(px, bottom);
        ctx.lineTo(px, py);
      } else {
        ctx.moveTo(px, py);
      }
      pen = true;
      column = px;
      bottom = py;
      top = py;
    }
    if (pen) ctx.lineTo(x(max), bottom);
  } else {
    // One bar, or one cross, for each place.
    let last = NaN;
    let from = NaN;
    const size = 2.5 * scale;
    for (let i = begin; i < end; i++) {
      const px = x(t[i]);
      const py = Math.round(y(high[i]));
      if (Number.isNaN(low[i]) || (px === last && py === from)) continue;
      last = px;
      from = py;
      if (shape === "bars") {
        ctx.moveTo(px, Math.max(y(low[i]), py + scale));
        ctx.lineTo(px, py);
      } else {
        ctx.moveTo(px - size, py - size);
        ctx.lineTo(px + size, py + size);
        ctx.moveTo(px + size, py - size);
        ctx.lineTo(px - size, py + size);
      }
    }
  }
  ctx.stroke();
  ctx.restore();
}
// The segment whose mark is nearest to a place of the plot, within a few pixels.
function nearest(u, curves, left, top) {
  let best = null;
  let distance = 144;
  for (const { t, low, high, segment } of curves) {
    if (!segment.length) continue;
    const end = after(t, u.posToVal(left + 12, "x"));
    for (let i = after(t, u.posToVal(left - 12, "x")); i < end; i++) {
      const dx = u.valToPos(t[i], "x") - left;
      const bottom = u.valToPos(low[i], "y");
      const dy = Math.max(u.valToPos(high[i], "y") - top, 0, top - bottom);
      const apart = dx * dx + dy * dy;
      if (apart < distance) {
        distance = apart;
        best = segment[i];
      }
    }
  }
  return best;
}
let shown = plotData?.range;
const zoomed = [];
function zoom(min, max) {
  shown = [min, max];
  for (const each of drawn) if (each.frame.clientWidth) fit(each);
  for (const each of zoomed) each();
}
// Zooms to a range that is moved into that of the run.
function limited(from, to) {
  const [begin, end] = plotData.range;
  if (from < begin) [from, to] = [begin, begin + to - from];
  if (to > end) [from, to] = [Math.max(begin, end - (to - from)), end];
  if (to - from > 1e-8) zoom(from, Math.min(to, end));
}
function fit({ u, curves }) {
  const [min, max] = shown;
  const [low, high] = extent(curves, min, max);
  u.batch(() => {
    u.setScale("x", { min, max });
    u.setScale("y", { min: low, max: high });
  });
}
function pan(key) {
  const [min, max] = shown;
  const [begin, end] = plotData.range;
  const size = max - min;
  const moved = {
    ArrowLeft: [min - size / 4, max - size / 4],
    ArrowRight: [min + size / 4, max + size / 4],
    "+": [min + size / 4, max - size / 4],
    "-": [min - size / 2, max + size / 2],
    Home: [begin, end],
    0: [begin, end],
  }[key];
  if (!moved) return false;
  limited(...moved);
  return true;
}
function draw(figure, plot) {
  const curves = plot.curves.map(decoded);
  curves.begin = plotData.range[0];
  const frame = figure.querySelector(".frame");
  const cells = all("[data-curve]", figure);
  const axis = (more) => ({
    stroke: () => colour("ink"),
    grid: { stroke: () => colour("rule"), width: 1 },
    ticks: { stroke: () => colour("rule"), width: 1 },
    font: '12px "DejaVu Sans Mono",Menlo,monospace',
    ...more,
  });
  const u = new uPlot(
    {
      mode: 2,
      width: Math.max(280, frame.clientWidth),
      height: 300,
      legend: { show: false },
      cursor: { dataIdx: () => null, points: { show: false }, drag: { x: true, y: false, dist: 4, setScale: false } },
      scales: {
        x: { time: false, auto: false, range: (self, min, max) => [min ?? shown[0], max ?? shown[1]] },
        y: { auto: false, range: (self, min, max) => [min ?? 0, max ?? 1] },
      },
      series: [null, ...curves.map((curve) => ({ facets: [{ scale: "x" }, { scale: "y" }], paths: (self) => (stroke(self, curve), null) }))],
      axes: [axis({ scale: "x" }), axis({ scale: "y", size: 84, values: (self, splits) => splits.map((each) => each.toLocaleString("en")) })],
      hooks: {
        setSelect: [
          (self) => {
            const { left, width } = self.select;
            if (width < 4) return;
            zoom(self.posToVal(left, "x"), self.posToVal(left + width, "x"));
            self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
        setCursor: [
          (self) => {
            const time = self.posToVal(self.cursor.left, "x");
            curves.forEach(({ shape, t, low }, place) => {
              const at = after(t, time) - 1;
              const known = self.cursor.left >= 0 && at >= 0 && shape === "steps" && !Number.isNaN(low[at]);
              cells[place].textContent = known ? low[at].toLocaleString("en") : "";
            });
          },
        ],
      },
    },
    [null, ...curves.map((curve) => [curve.t, curve.low])],
    frame,
  );
  u.over.addEventListener("dblclick", () => zoom(...plotData.range));
  u.over.addEventListener("click", () => {
    const number = nearest(u, curves, u.cursor.left, u.cursor.top);
    if (number !== null) show("p" + number);
  });
  frame.addEventListener("keydown", (event) => {
    if (pan(event.key)) event.preventDefault();
  });
  drawn.push({ u, frame, curves });
  fit(drawn.at(-1));
}
function drawKind(section) {
  if (section.dataset.drawn) return;
  section.dataset.drawn = "1";
  const { plots } = plotData.kinds.find((each) => each.kind === section.dataset.kind);
  all("figure", section).forEach((figure, place) => draw(figure, plots[place]));
}
if (plotData) {
  const sections = all("[data-kind]");
  const choose = (kind) => {
    for (const section of sections) {
      section.hidden = section.dataset.kind !== kind;
      if (section.hidden) continue;
      drawKind(section);
      for (const each of drawn) if (section.contains(each.frame)) fit(each);
    }
  };
  for (const radio of all("input[name=plot]")) radio.addEventListener("change", () => radio.checked && choose(radio.value));
  choose(sections[0].dataset.kind);
  for (const button of all(".zoom button")) button.addEventListener("click", () => pan(button.dataset.key));
  const redraw = () => drawn.forEach(({ u }) => u.redraw());
  addEventListener("resize", () => {
    for (const { u, frame } of drawn) if (frame.clientWidth) u.setSize({ width: Math.max(280, frame.clientWidth), height: 300 });
  });
  matchMedia("(prefers-color-scheme:dark)").addEventListener("change", redraw);
  // On paper: every kind, in the colours of paper.
  let chosen;
  addEventListener("beforeprint", () => {
    chosen = sections.find((section) => !section.hidden).dataset.kind;
    printing = true;
    for (const section of sections) {
      section.hidden = false;
      drawKind(section);
    }
    redraw();
  });
  addEventListener("afterprint", () => {
    printing = false;
    choose(chosen);
    redraw();
  });
}
