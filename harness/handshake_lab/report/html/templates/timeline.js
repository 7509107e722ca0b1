// Timelines: all segments of a long connection on a canvas, in the range of time that the plots show. Where many are in
// one row of pixels, one of each kind is drawn.
const stored = JSON.parse(document.getElementById("segments")?.textContent ?? "{}");
const timelines = [];
const LANES = [0.24, 0.76];
const TOP = 46;
const LABELLED = 40;
function unpacked(raw) {
  const sent = summed(raw.sent, 1e-9);
  const flight = Float64Array.from(raw.flight, (each) => (each < 0 ? NaN : each * 1e-9));
  let longest = 0;
  for (const each of flight) if (each > longest) longest = each;
  // One number for each way of drawing: the place of the kind among all kinds, or behind them if lost, and the side.
  const kinds = [...new Set(raw.kinds), "bad"];
  const look = Uint8Array.from(raw.name, (name, i) => {
    const kind = Number.isNaN(flight[i]) ? kinds.length - 1 : kinds.indexOf(raw.kinds[name]);
    return 2 * kind + (raw.side[i] === "1" ? 1 : 0);
  });
  return {
    ...raw,
    sent,
    flight,
    longest,
    kinds,
    look,
    number: summed(raw.number),
    value: summed(raw.value),
    echo: summed(raw.echo),
    made: new Set(raw.made),
    places: null,
  };
}
function placeOf(data, number) {
  if (!data.places) data.places = new Map([...data.number].map((each, place) => [each, place]));
  return data.places.get(number);
}
// The first and the last place of what is in flight between two times.
function visible(data, from, to) {
  return [after(data.sent, from - data.longest - 1e-9), after(data.sent, to)];
}
function paint(timeline) {
  const { canvas, data } = timeline;
  const scale = devicePixelRatio;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width) return;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const [from, to] = shown;
  const y = (time) => TOP + ((time - from) / (to - from)) * (height - TOP - 8);
  const lanes = LANES.map((part) => part * width);
  const middle = width / 2;
  const ink = colour("ink");
  const colours = Object.fromEntries(["syn", "fin", "rst", "data", "bad", "dim", "rule", "paper"].map((name) => [name, colour(name)]));
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, width, height);
  context.font = (width < 560 ? 9 : 12) + 'px "DejaVu Sans Mono",Menlo,monospace';
  // The axis.
  const rough = (to - from) / 8;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  context.strokeStyle = colours.rule;
  context.fillStyle = colours.dim;
  context.beginPath();
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
    context.moveTo(width < 560 ? 40 : 70, y(time));
    context.lineTo(width, y(time));
    context.fillText(time.toFixed(digits), 4, y(time) + 4);
  }
  context.stroke();
  // Both lanes with their states.
  lanes.forEach((x, side) => {
    const states = data.states[side];
    context.textAlign = side ? "left" : "right";
    context.fillStyle = ink;
    context.fillText(data.ends[side][0], x, 16);
    context.fillStyle = colours.dim;
    context.fillText(data.ends[side][1], x, 32);
    states.forEach(([begin, state], place) => {
      const top = Math.max(TOP, y(begin * 1e-9));
      const bottom = Math.min(height - 8, place + 1 < states.length ? y(states[place + 1][0] * 1e-9) : height);
      if (bottom <= top) return;
      context.fillStyle = colour("s-" + state);
      context.fillRect(side ? x : x - 8, top, 8, bottom - top);
      if (bottom - top > 14) {
        context.fillStyle = ink;
        context.fillText(state, side ? x + 14 : x - 14, top + 12);
      }
    });
  });
  // Changes of links, and programs that start and end.
  context.textAlign = "right";
  let lowest = -Infinity;
  for (const [time, text] of data.marks) {
    const place = y(time * 1e-9);
    if (place < TOP || place > height) continue;
    context.strokeStyle = colours.dim;
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(width - 60, place);
    context.lineTo(width, place);
    context.stroke();
    context.setLineDash([]);
    if (place - lowest < 13) continue;
    lowest = place;
    context.fillStyle = colours.dim;
    context.fillText(text, width - 2, place - 3);
  }
  context.textAlign = "left";
  context.save();
  context.beginPath();
  context.rect(0, TOP, width, height - TOP);
  context.clip();
  const [first, last] = visible(data, from, to);
  const few = last - first <= LABELLED;
  // By kind, in few paths; of the arrows that begin and end in the same rows, one.
  const ordinary = {};
  const losses = [];
  const rows = new Int32Array(4 * data.kinds.length).fill(-1e9);
  const scaled = (height - TOP - 8) / (to - from);
  const origin = TOP - from * scaled;
  for (let i = first; i < last; i++) {
    const look = data.look[i];
    const kind = data.kinds[look >> 1];
    const lost = kind === "bad";
    const begin = Math.round(origin + data.sent[i] * scaled);
    const end = lost ? begin + 10 : Math.round(origin + (data.sent[i] + data.flight[i]) * scaled);
    if (rows[2 * look] === begin && rows[2 * look + 1] === end && !few) continue;
    rows[2 * look] = begin;
    rows[2 * look + 1] = end;
    if (lost) losses.push([begin, end]);
    const start = lanes[look & 1];
    const stop = lost ? middle : lanes[1 - (look & 1)];
    (ordinary[kind] ??= []).push([start, begin, stop, end, i]);
  }
  for (const [kind, arrows] of Object.entries(ordinary)) {
    context.strokeStyle = colours[kind];
    context.fillStyle = colours[kind];
    context.globalAlpha = few || kind !== "data" ? 1 : 0.55;
    context.lineWidth = few ? 1.5 : 1;
    context.beginPath();
    for (const [x1, y1, x2, y2] of arrows) {
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
    context.stroke();
    context.globalAlpha = 1;
    if (!few) continue;
    for (const [x1, y1, x2, y2, i] of arrows) {
      const angle = Math.atan2(y2 - y1, x2 - x1);
      if (kind !== "bad") {
        context.beginPath();
        context.moveTo(x2, y2);
        for (const turn of [0.42, -0.42]) context.lineTo(x2 - 9 * Math.cos(angle + turn), y2 - 9 * Math.sin(angle + turn));
        context.fill();
      }
      const forwards = x2 > x1;
      context.save();
      context.translate(x1, y1);
      context.rotate(forwards ? angle : angle - Math.PI);
      context.textAlign = forwards ? "left" : "right";
      const ack = data.ack[i] < 0 ? "" : " ack=" + data.ack[i];
      const length = data.length[i] ? " len=" + data.length[i] : "";
      const label = "#" + data.number[i] + " " + data.names[data.name[i]] + " seq=" + data.seq[i] + ack + length;
      context.lineWidth = 4;
      context.strokeStyle = colours.paper;
      context.strokeText(label, forwards ? 12 : -12, -4);
      context.fillText(label, forwards ? 12 : -12, -4);
      context.restore();
    }
  }
  context.strokeStyle = colours.bad;
  context.lineWidth = 2;
  context.beginPath();
  for (const [, end] of losses) {
    context.moveTo(middle - 4, end - 4);
    context.lineTo(middle + 4, end + 4);
    context.moveTo(middle + 4, end - 4);
    context.lineTo(middle - 4, end + 4);
  }
  context.stroke();
  context.restore();
  timeline.y = y;
  timeline.lanes = lanes;
  list(timeline, first, last);
}
// The header of a segment, under the headings of the table.
function cellsOf(data, i) {
  const right = data.side[i] === "1" ? 1 : 0;
  const lost = Number.isNaN(data.flight[i]);
  const sum = (base, relative) => relative + " (" + (((base + relative) % 4294967296) + 4294967296) % 4294967296 + ")";
  return {
    number: String(data.number[i]),
    sent: data.made.has(i) ? "" : data.sent[i].toFixed(9),
    arrived: lost ? "" : (data.sent[i] + data.flight[i]).toFixed(9),
    from: data.ends[right].join(" "),
    to: data.ends[1 - right].join(" "),
    flags: data.names[data.name[i]],
    seq: sum(data.base[0][right], data.seq[i]),
    ack: data.ack[i] < 0 ? "" : sum(data.base[1][right], data.ack[i]),
    length: String(data.length[i]),
    window: String(data.window[i]),
    options: data.options[i] ?? "nop,nop,ts:" + data.value[i] + ":" + data.echo[i],
    path: data.path[i] ?? "",
    fate: data.fate[i] ?? "",
  };
}
// The table below a timeline has the segments that it shows: all, if they are few, else the first.
const LISTED = 200;
function list(timeline, first, last) {
  const { table, data } = timeline;
  clearTimeout(timeline.pending);
  timeline.pending = setTimeout(() => {
    const heads = all("thead th", table).map((each) => each.dataset.key);
    const rows = [];
    for (let i = first; i < Math.min(last, first + LISTED); i++) {
      const row = document.createElement("tr");
      const cells = cellsOf(data, i);
      for (const key of heads) row.insertCell().textContent = cells[key];
      row.dataset.segment = data.number[i];
      rows.push(row);
    }
    table.tBodies[0].replaceChildren(...rows);
    const text = timeline.status.dataset.text;
    timeline.status.textContent = text.replace("{count}", rows.length).replace("{all}", last - first);
  }, 60);
}
function header(timeline, i) {
  const { data, table } = timeline;
  const cells = cellsOf(data, i);
  describe(
    "#" + cells.number + " " + cells.flags + ", " + data.ends[data.side[i] === "1" ? 1 : 0][0] + " → " + data.ends[data.side[i] === "1" ? 0 : 1][0],
    all("thead th", table).map((each) => [each.textContent, cells[each.dataset.key]]),
  );
}
// A segment that has no row in the page, by its reference.
function showStored(reference) {
  const number = Number(reference.slice(1));
  for (const timeline of timelines) {
    const place = placeOf(timeline.data, number);
    if (place !== undefined) {
      header(timeline, place);
      return;
    }
  }
}
// Shows a segment in its timeline, with what is in flight around it.
function reveal(reference) {
  const number = Number(reference.slice(1));
  for (const { data, canvas } of timelines) {
    const place = placeOf(data, number);
    if (place === undefined) continue;
    const around = data.longest || 0.001;
    limited(data.sent[place] - around / 2, data.sent[place] + around * 1.5);
    canvas.scrollIntoView({ block: "center" });
    return true;
  }
  return false;
}
function hit(timeline, x, y) {
  const { data, lanes } = timeline;
  const [from, to] = shown;
  const [first, last] = visible(data, from, to);
  let best = null;
  let distance = 12;
  for (let i = first; i < last; i++) {
    const right = data.side[i] === "1" ? 1 : 0;
    const lost = Number.isNaN(data.flight[i]);
    const x1 = lanes[right];
    const x2 = lost ? (lanes[0] + lanes[1]) / 2 : lanes[1 - right];
    const part = (x - x1) / (x2 - x1);
    if (part < -0.02 || part > 1.02) continue;
    const y1 = timeline.y(data.sent[i]);
    const y2 = lost ? y1 + 10 : timeline.y(data.sent[i] + data.flight[i]);
    const apart = Math.abs(y1 + (y2 - y1) * part - y);
    if (apart < distance) {
      distance = apart;
      best = i;
    }
  }
  return best;
}
for (const [number, raw] of Object.entries(stored)) {
  const section = document.getElementById("t" + number);
  const canvas = section.querySelector("canvas");
  const timeline = {
    canvas,
    data: unpacked(raw),
    table: section.querySelector("table"),
    status: section.querySelector("[role=status]"),
  };
  timelines.push(timeline);
  canvas.addEventListener("click", (event) => {
    const place = hit(timeline, event.offsetX, event.offsetY);
    if (place !== null) header(timeline, place);
  });
  // The wheel moves the timeline if it is focused, and zooms with Ctrl; else it scrolls the page.
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return;
      event.preventDefault();
      const [from, to] = shown;
      const size = to - from;
      if (event.ctrlKey) {
        const factor = 1.2 ** Math.sign(event.deltaY);
        const part = Math.min(1, Math.max(0, (event.offsetY - TOP) / (canvas.clientHeight - TOP - 8)));
        const at = from + size * part;
        limited(at - size * factor * part, at + size * factor * (1 - part));
      } else {
        const move = (event.deltaY / canvas.clientHeight) * size;
        limited(from + move, to + move);
      }
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    const key = { ArrowDown: "ArrowRight", ArrowUp: "ArrowLeft" }[event.key] ?? event.key;
    if (pan(key)) event.preventDefault();
  });
  canvas.addEventListener("dblclick", () => zoom(...plotData.range));
  timeline.table.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-segment]");
    if (row) header(timeline, placeOf(timeline.data, Number(row.dataset.segment)));
  });
}
let asked = 0;
function paintAll() {
  if (asked) return;
  asked = requestAnimationFrame(() => {
    asked = 0;
    timelines.forEach(paint);
  });
}
zoomed.push(paintAll);
paintAll();
addEventListener("resize", paintAll);
matchMedia("(prefers-color-scheme:dark)").addEventListener("change", paintAll);
for (const event of ["beforeprint", "afterprint"]) addEventListener(event, () => timelines.forEach(paint));
