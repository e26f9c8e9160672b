/* Arrays as pictures: images with the window that slides over them, kernels, attention, time steps.
   Blue is positive, orange negative, the stronger the larger; every number can also be read. */
const Pictures = (() => {
  const { format } = Numbers;
  const MAX_MAPS = 8,
    MAX_TERMS = 50;
  let explanation,
    drawn = [],
    passing = null; // the picture in the text of the step passes with it
  const chosen = new Map(); // by node: the selected example, channel and window

  const nodeOf = (id) => explanation.nodes[id];
  const dataOf = (id) => Live.array("value", id);

  // ---- heat maps -----------------------------------------------------------------------------

  /** From orange over the background to blue. */
  function colour(share) {
    const end = share < 0 ? [213, 94, 0] : [0, 114, 178],
      zero = Theme.isDark() ? [28, 30, 36] : [255, 255, 255];
    const t = Math.min(1, Math.abs(share)) ** 0.7;
    return end.map((one, i) => Math.round(zero[i] + (one - zero[i]) * t));
  }

  function largest(data) {
    let top = 0;
    for (const v of data) if (Number.isFinite(v)) top = Math.max(top, Math.abs(v));
    return top || 1;
  }

  /** A matrix as a picture: at(row, column) gives its numbers, pick(row, column) hears of clicks. */
  function heatmap(
    rows,
    columns,
    at,
    { label, scale, pick, mark, side = 220, rowWord = "row", columnWord = "column", nameOf = String },
  ) {
    const canvas = element("canvas", {
      width: columns,
      height: rows,
      role: "img",
      class: "heat",
      "aria-label": `${label}: ${rows} × ${columns} numbers as colours, largest magnitude ${format(scale, 3)}`,
    });
    const context = canvas.getContext("2d"),
      image = context.createImageData(columns, rows);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const share = at(r, c) / scale;
        image.data.set(
          [...(Number.isFinite(share) ? colour(share) : [255, 0, 255]), 255],
          (r * columns + c) * 4,
        );
      }
    context.putImageData(image, 0, 0);
    const size = Math.max(1, Math.min(26, side / Math.max(rows, columns)));
    Object.assign(canvas.style, { width: `${columns * size}px`, height: `${rows * size}px` });
    const box = element("div", { class: pick ? "heat-box active" : "heat-box" }, canvas);
    if (mark) {
      const frame = element("span", { class: "mark" });
      Object.assign(frame.style, {
        left: `${mark.column * size}px`,
        top: `${mark.row * size}px`,
        width: `${mark.columns * size}px`,
        height: `${mark.rows * size}px`,
      });
      box.append(frame);
    }
    const cell = (event) => {
      const area = canvas.getBoundingClientRect(),
        clamp = (v, n) => Math.max(0, Math.min(n - 1, Math.floor(v)));
      return [
        clamp(((event.clientY - area.top) / area.height) * rows, rows),
        clamp(((event.clientX - area.left) / area.width) * columns, columns),
      ];
    };
    canvas.addEventListener("mousemove", (event) => {
      const [r, c] = cell(event);
      canvas.title = `${rowWord} ${nameOf(r)}, ${columnWord} ${nameOf(c)}: ${format(at(r, c))}`;
    });
    if (pick) canvas.addEventListener("click", (event) => pick(...cell(event)));
    return box;
  }

  const captioned = (picture, ...text) => element("figure", {}, picture, element("figcaption", {}, text));

  /** Numbers in a small table coloured like a heat map. */
  function grid(rows, columns, at, scale, label) {
    return element(
      "table",
      { class: "grid", "aria-label": label },
      element(
        "tbody",
        {},
        Array.from({ length: rows }, (_, r) =>
          element(
            "tr",
            {},
            Array.from({ length: columns }, (_, c) => {
              const value = at(r, c),
                made = element("td", { text: value === null ? "·" : format(value, 3) });
              if (value !== null) {
                const share = Math.min(1, Math.abs(value) / scale) * 0.55 * Math.sign(value);
                made.style.backgroundColor = `rgb(${colour(share).join(",")})`;
              }
              return made;
            }),
          ),
        ),
      ),
    );
  }

  function chooser(label, count, now, pick) {
    if (count < 2) return null;
    const choice = element(
      "select",
      {
        change: (event) => {
          pick(Number(event.target.value));
          draw();
        },
      },
      Array.from({ length: Math.min(count, 256) }, (_, i) =>
        element("option", { value: i, selected: i === now, text: String(i) }),
      ),
    );
    return element("label", {}, `${label} `, choice);
  }

  function lookOf(node, start) {
    if (!chosen.has(node.id)) chosen.set(node.id, start);
    return chosen.get(node.id);
  }

  // ---- windows: convolution and pooling ------------------------------------------------------

  /** Images as (batch, height, width, channels); a series is one row. */
  function imageOf(id) {
    const { shape } = nodeOf(id).value,
      data = dataOf(id);
    if (!data || shape.length < 3 || shape.length > 4) return null;
    const [n, h, w, c] = shape.length === 3 ? [shape[0], 1, shape[1], shape[2]] : shape;
    return { n, h, w, c, data, at: (b, y, x, channel) => data[((b * h + y) * w + x) * c + channel] };
  }

  const two = (numbers, lone) => (!numbers ? [1, 1] : numbers.length === 1 ? [lone, numbers[0]] : numbers);

  /** Where the window of an output lies in the input: rows and columns, null in the padding. */
  function windowAt(view, shape, image, row, column) {
    const [height, width] = shape,
      [down, right] = two(view.stride, 1),
      [gapY, gapX] = two(view.dilation, 1);
    const [above, before] = two(view.before, 0);
    const inside = (i, extent) => (i >= 0 && i < extent ? i : null);
    return {
      top: row * down - above,
      left: column * right - before,
      rows: Array.from({ length: height }, (_, k) => inside(row * down + k * gapY - above, image.h)),
      columns: Array.from({ length: width }, (_, k) => inside(column * right + k * gapX - before, image.w)),
      high: (height - 1) * gapY + 1,
      wide: (width - 1) * gapX + 1,
    };
  }

  /** The channel with the largest number. */
  function liveliest(map) {
    let best = 0;
    map.data.forEach((value, place) => {
      if (Math.abs(value) > Math.abs(map.data[best])) best = place;
    });
    return best % map.c;
  }

  function windows(node) {
    const { view } = node,
      image = imageOf(view.image),
      map = imageOf(node.id);
    if (!image || !map) return null;
    const look = lookOf(node, {
      example: 0,
      channel: liveliest(map),
      row: Math.floor(map.h / 2),
      column: Math.floor(map.w / 2),
    });
    const kernel = view.kernel === undefined ? null : kernelOf(view.kernel);
    const shape = kernel ? [kernel.h, kernel.w] : two(view.window, 1);
    const place = windowAt(view, shape, image, look.row, look.column);
    const groups = view.groups || 1,
      first = kernel ? Math.floor(look.channel / (map.c / groups)) * kernel.cin : look.channel;
    const inputs = kernel ? kernel.cin : 1,
      scaleIn = largest(image.data),
      scaleOut = largest(map.data);
    const channels = Array.from({ length: Math.min(inputs, MAX_MAPS) }, (_, i) => first + i);
    const maps = Array.from({ length: Math.min(map.c, MAX_MAPS) }, (_, i) => i);
    if (!maps.includes(look.channel)) maps[maps.length - 1] = look.channel; // the framed number is always seen
    const mark = { row: place.top, column: place.left, rows: place.high, columns: place.wide };
    return [
      element(
        "p",
        { class: "buttons" },
        chooser(
          "example",
          map.n,
          look.example,
          (i) => {
            look.example = i;
          },
        ),
        chooser("output channel", map.c, look.channel, (i) => {
          look.channel = i;
        }),
        element("button", { type: "button", text: "◀ window", click: () => slide(look, map, -1) }),
        element("button", { type: "button", text: "window ▶", click: () => slide(look, map, 1) }),
      ),
      element(
        "div",
        { class: "gallery" },
        channels.map((c) =>
          captioned(
            heatmap(image.h, image.w, (r, x) => image.at(look.example, r, x, c), {
              label: `input channel ${c}`,
              scale: scaleIn,
              mark,
            }),
            `input, channel ${c}`,
          ),
        ),
        kernel
          ? channels.map((c, i) =>
              captioned(
                heatmap(kernel.h, kernel.w, (r, x) => kernel.at(r, x, i, look.channel), {
                  label: `weights for channel ${c}`,
                  scale: kernel.scale,
                  side: 110,
                }),
                `weights from channel ${c} to ${look.channel}`,
              ),
            )
          : null,
        maps.map((c) =>
          captioned(
            heatmap(map.h, map.w, (r, x) => map.at(look.example, r, x, c), {
              label: `output channel ${c}`,
              scale: scaleOut,
              mark: c === look.channel ? { row: look.row, column: look.column, rows: 1, columns: 1 } : null,
              pick: (row, column) => {
                Object.assign(look, { row, column, channel: c });
                draw();
              },
            }),
            `output, channel ${c}`,
          ),
        ),
      ),
      element("p", {
        class: "note",
        text: kernel
          ? "The frame is the window. Each number in it times the weight at the same position, all added, is the one framed number of the output; the bias of its channel is added after that. Click another position of the output."
          : "The frame is the window; its numbers become the one framed number of the output. Click another position of the output.",
      }),
      arithmetic(node, image, kernel, map, place, look, channels),
    ];
  }

  function slide(look, map, by) {
    const count = map.h * map.w,
      next = (look.row * map.w + look.column + by + count) % count;
    look.row = Math.floor(next / map.w);
    look.column = next % map.w;
    draw();
  }

  function kernelOf(id) {
    const { shape } = nodeOf(id).value,
      data = dataOf(id);
    if (!data) return null;
    const [h, w, cin, cout] = shape.length === 3 ? [1, ...shape] : shape;
    return {
      h,
      w,
      cin,
      cout,
      scale: largest(data),
      at: (y, x, i, o) => data[((y * w + x) * cin + i) * cout + o],
    };
  }

  /** The window's numbers, the weights and their products, and what comes out. */
  function arithmetic(node, image, kernel, map, place, look, channels) {
    const result = map.at(look.example, look.row, look.column, look.channel);
    const rows = place.rows.length,
      columns = place.columns.length;
    if (rows * columns * channels.length > MAX_TERMS) return null;
    const pixel = (c) => (r, x) =>
      place.rows[r] === null || place.columns[x] === null
        ? null
        : image.at(look.example, place.rows[r], place.columns[x], c);
    const scale = largest(image.data),
      lines = [],
      all = [];
    channels.forEach((c, i) => {
      const value = pixel(c);
      for (let r = 0; r < rows; r++)
        for (let x = 0; x < columns; x++)
          if (value(r, x) !== null)
            all.push(kernel ? value(r, x) * kernel.at(r, x, i, look.channel) : value(r, x));
      lines.push(
        element(
          "div",
          { class: "product" },
          grid(rows, columns, value, scale, "the window"),
          kernel
            ? [
                "×",
                grid(rows, columns, (r, x) => kernel.at(r, x, i, look.channel), kernel.scale, "the weights"),
                "=",
                grid(
                  rows,
                  columns,
                  (r, x) => (value(r, x) === null ? 0 : value(r, x) * kernel.at(r, x, i, look.channel)),
                  scale * kernel.scale,
                  "the products",
                ),
              ]
            : null,
        ),
      );
    });
    const word = kernel ? "Sum of the products" : node.op === "max_pool" ? "Largest of them" : "Sum of them";
    const bias = kernel ? biasOf(node, look.channel) : null;
    const ties = node.op === "max_pool" ? all.filter((value) => value === result).length : 1;
    return [
      lines,
      element(
        "p",
        {},
        `${word}: `,
        element("b", { class: "window-result", text: format(result) }),
        all.length < rows * columns * channels.length ? " (dots are padding and count as 0)" : "",
        bias === null
          ? ""
          : `; with the bias ${format(bias)} it is ${format(result + bias)}, the number in ${userOf(node).symbol || "the next step"}`,
      ),
      ties > 1
        ? element("p", {
            class: "note",
            text: `${ties} numbers of this window are equally large: each gets 1/${ties} of the gradient.`,
          })
        : null,
    ];
  }

  const onlyUser = (id) => {
    const users = explanation.nodes.filter((one) => one.inputs.includes(id));
    return users.length === 1 ? users[0] : null;
  };
  const userOf = (node) => onlyUser(node.id);

  /** What is added to a channel of a convolution; null if nothing is. */
  function biasOf(node, channel) {
    const user = userOf(node);
    if (!user || user.op !== "add") return null;
    let other = nodeOf(user.inputs.find((id) => id !== node.id));
    while (["broadcast_to", "reshape"].includes(other.op)) other = nodeOf(other.inputs[0]);
    const data = other.role === "parameter" ? dataOf(other.id) : null;
    return data && channel < data.length ? data[channel] : null;
  }

  // ---- attention -----------------------------------------------------------------------------

  /** The attention weights; of many only some maps, in steps of 1/255. */
  function weightsOf({ id, value, view }) {
    const data = dataOf(id);
    if (data || !view.levels) return { shape: value.shape, data };
    const levels = Uint8Array.from(atob(view.levels), (letter) => letter.charCodeAt(0));
    return { shape: value.shape, data: Float64Array.from(levels, (level) => level / 255) };
  }

  /** What stands at a position: its token or its name, if that is known. */
  function positionName(i, count) {
    const names = Object.values(explanation.labels).find((one) => one.length === count);
    return names ? `${i} “${names[i]}”` : String(i);
  }

  /** Where the first head looks most, in words. */
  function strongest(data, row, k) {
    const weights = Array.from({ length: k }, (_, c) => [data[row * k + c], c]).sort((a, b) => b[0] - a[0]);
    const said = weights.slice(0, 3).map(([weight, c]) => `${positionName(c, k)} (${format(weight, 2)})`);
    return element("span", { class: "line", text: `Head 0 looks most at ${said.join(", ")}.` });
  }

  function attention(node) {
    const { shape, data } = weightsOf(node);
    const [q, k] = shape.slice(-2),
      maps = Math.floor(data.length / (q * k)),
      look = lookOf(node, { row: null });
    return [
      element("p", {
        class: "note",
        text:
          "Row: the query position; column: the key position that it attends to. Each row adds up to 1." +
          (maps < Numbers.sizeOf(shape.slice(0, -2)) ? ` The first ${maps} maps are in this page.` : ""),
      }),
      element(
        "div",
        { class: "gallery" },
        Array.from({ length: Math.min(maps, MAX_MAPS) }, (_, m) => {
          const at = (r, c) => data[(m * q + r) * k + c];
          return captioned(
            [
              heatmap(q, k, at, {
                label: `attention ${m}`,
                scale: 1,
                rowWord: "query",
                columnWord: "key",
                nameOf: (i) => positionName(i, k),
                mark: look.row === null ? null : { row: look.row, column: 0, rows: 1, columns: k },
                pick: (row) => {
                  look.row = row;
                  draw();
                },
              }),
            ],
            `head ${m}`,
          );
        }),
      ),
      look.row === null
        ? element("p", { class: "note", text: "Click a row to read its numbers." })
        : element(
            "p",
            {},
            `Attention weights of query ${positionName(look.row, q)}: `,
            Array.from({ length: Math.min(maps, MAX_MAPS) }, (_, m) =>
              element(
                "span",
                { class: "line" },
                `head ${m}: `,
                Array.from({ length: Math.min(k, 32) }, (_, c) =>
                  format(data[(m * q + look.row) * k + c], 3),
                ).join("  "),
              ),
            ),
            positionName(0, k) !== "0" ? strongest(data, look.row, k) : null,
          ),
    ];
  }

  // ---- time ----------------------------------------------------------------------------------

  /** Nodes that are the same in every time step, by the part of the symbol before the step. */
  function timelines() {
    const found = new Map();
    for (const node of explanation.nodes) {
      const match = /^(.*)_t\d+(_\d+)?$/.exec(node.symbol);
      if (node.step === null || !node.shown || !match || !dataOf(node.id)) continue;
      const key = `${node.layer} ${match[1]}${match[2] || ""} ${node.op}`;
      if (!found.has(key)) found.set(key, { name: match[1], op: node.op, title: node.title, nodes: [] });
      found.get(key).nodes.push(node);
    }
    return [...found.values()].filter(
      (line) =>
        line.nodes.length > 1 &&
        line.nodes.every(
          (node) => Numbers.sizeOf(node.value.shape) === Numbers.sizeOf(line.nodes[0].value.shape),
        ),
    );
  }

  function timeline({ nodes }) {
    const size = Math.min(Numbers.sizeOf(nodes[0].value.shape), 64);
    const ordered = [...nodes].sort((a, b) => a.step - b.step);
    const picture = (kind, word) => {
      const arrays = ordered.map((node) => Live.array(kind, node.id));
      if (arrays.some((array) => !array)) return null;
      const scale = largest(arrays.flatMap((array) => [...array]));
      return captioned(
        heatmap(size, arrays.length, (r, t) => arrays[t][r], {
          label: `${word} over time`,
          scale,
          rowWord: "unit",
          columnWord: "time step",
          pick: (r, t) => Chosen.node(ordered[t].id),
          side: 360,
        }),
        `${word} (largest magnitude ${format(scale, 3)})`,
      );
    };
    return element("div", { class: "gallery" }, picture("value", "values"), picture("gradient", "gradients"));
  }

  // ---- the section ---------------------------------------------------------------------------

  const KINDS = {
    convolution: [windows, "Convolution: a kernel of weights slides over the image"],
    pooling: [windows, "Pooling: one number for each window"],
    attention: [attention, "Attention: which position attends to which"],
  };

  /** How a node is pictured, if it can be. */
  function kindOf(node) {
    return node.view && (dataOf(node.id) || node.view.levels) ? KINDS[node.view.kind] : undefined;
  }

  function setup(data) {
    explanation = data;
    const boxes = [];
    for (const node of data.nodes) {
      const kind = kindOf(node);
      if (!kind) continue;
      boxes.push([
        `${kind[1]} (${node.symbol || node.title}${node.layer ? `, ${node.layer}` : ""})`,
        () => kind[0](node),
      ]);
    }
    const cells = Cell.find(data);
    for (const cell of cells) {
      const look = { step: null, unit: 0 };
      boxes.push([`The cell of an LSTM${cell[0] ? `, layer ${cell[0]}` : ""}`, () => Cell.draw(cell, look, draw)]);
    }
    const lines = timelines();
    if (lines.length)
      boxes.push([
        "Time steps, from left to right",
        () =>
          lines
            .slice(0, 12)
            .map((line) => [element("h3", { text: `${line.name}: ${line.title}` }), timeline(line)]),
      ]);
    if (!boxes.length) return;
    show(
      byId("pictures"),
      element("h2", { text: "Pictures" }),
      boxes.slice(0, 24).map(([title, make], i) => {
        const content = element("div");
        const box = element(
          "details",
          {
            toggle: () => {
              if (box.open) show(content, make());
            },
          },
          element("summary", { text: title }),
          content,
        );
        drawn.push({ box, content, make });
        box.open = i <= Math.min(cells.length, 1);
        return box;
      }),
    );
  }

  function draw() {
    drawn = drawn.filter(({ box }) => box || passing.isConnected);
    for (const { box, content, make } of drawn) if (!box || box.open) show(content, make());
  }

  /** The picture of a node, or of what is written inside it, for the text of a step. */
  function inStep(node) {
    const inside = (id) =>
      kindOf(nodeOf(id)) ? [nodeOf(id)] : nodeOf(id).shown ? [] : nodeOf(id).inputs.flatMap(inside);
    const found = kindOf(node) ? node : node.inputs.flatMap(inside)[0],
      kind = found && kindOf(found);
    if (!kind) return null;
    passing = element("div", { class: "picture" });
    const make = () => kind[0](found);
    show(passing, make());
    drawn = [...drawn.filter(({ box }) => box), { box: null, content: passing, make }];
    return passing;
  }

  /** Any array as a picture, for the panel of a node; null if there is nothing to see. */
  function of(node) {
    const { shape } = node.value,
      columns = shape.at(-1) || 1,
      size = Numbers.sizeOf(shape);
    if (size < 8 || shape.length < 2) return null;
    const rows = Math.min(Math.round(size / columns), 256);
    const picture = (kind, word) => {
      const { data, isRough } = Live.picture(kind, node.id);
      return data
        ? captioned(
            heatmap(rows, columns, (r, c) => data[r * columns + c], {
              label: word,
              scale: largest(data),
              side: 300,
            }),
            `${word}, last axis horizontal${isRough ? ", rounded to 1/127 of the largest number" : ""}`,
          )
        : null;
    };
    return element("div", { class: "gallery" }, picture("value", "value"), picture("gradient", "gradient"));
  }

  return { setup, draw, of, inStep, colour };
})();
