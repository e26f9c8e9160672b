"use strict";
/* Runs a graph (the JSON of chainrule.ir.serialize) node by node, by the meaning that every
   operation has in Python. ELEMENTWISE, the operations on single elements, is made of their records. All elements are float64; integers are exact up to 2^53,
   booleans are 0 and 1. An array is {type: dtype name, shape, data: Float64Array}; the value of a node
   with several results is a list of arrays. */
const Graphs = (() => {
  // ---- arrays --------------------------------------------------------------------------------

  const sizeOf = (shape) => shape.reduce((total, extent) => total * extent, 1);
  const make = (type, shape, data) => ({ type, shape, data: data || new Float64Array(sizeOf(shape)) });
  const map = (x, f, type = x.type) => make(type, x.shape, Float64Array.from(x.data, f));

  /** Elements to step over for one more along each axis, in row-major order. */
  function stridesOf(shape) {
    const strides = new Array(shape.length);
    let step = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      strides[axis] = step;
      step *= shape[axis];
    }
    return strides;
  }

  /** Calls visit(place) for every element that a start and strides reach, in row-major order. */
  function walk(shape, strides, start, visit) {
    const rank = shape.length,
      index = new Array(rank).fill(0);
    let place = start;
    for (let left = sizeOf(shape); left > 0; left--) {
      visit(place);
      for (let axis = rank - 1; axis >= 0; axis--) {
        place += strides[axis];
        if (++index[axis] < shape[axis]) break;
        place -= strides[axis] * shape[axis];
        index[axis] = 0;
      }
    }
  }

  /** The elements that a start and strides reach, as an array of their own. */
  function view(x, shape, strides, start = 0) {
    const y = make(x.type, shape);
    let next = 0;
    walk(shape, strides, start, (place) => {
      y.data[next++] = x.data[place];
    });
    return y;
  }

  function transpose(x, axes) {
    const strides = stridesOf(x.shape);
    return view(
      x,
      axes.map((a) => x.shape[a]),
      axes.map((a) => strides[a]),
    );
  }

  const reshape = (x, shape) => make(x.type, shape, x.data);
  const others = (x, axes) => x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const product = (items) => items.reduce((a, b) => a * b, 1);

  // ---- reductions: every row of a matrix whose columns are the axes in question ---------------

  function reduce(x, axes, f, type = x.type) {
    const kept = others(x, axes),
      rows = transpose(x, [...kept, ...axes]);
    const y = make(
      type,
      kept.map((axis) => x.shape[axis]),
    );
    const width = product(axes.map((axis) => x.shape[axis]));
    for (let row = 0; row < y.data.length; row++)
      y.data[row] = f(rows.data.subarray(row * width, (row + 1) * width));
    return y;
  }

  /** f gives a row for a row; the result has the shape of x. */
  function along(x, axis, f, type = x.type) {
    const kept = others(x, [axis]),
      order = [...kept, axis],
      rows = transpose(x, order);
    const width = x.shape[axis];
    const y = make(type, rows.shape);
    if (width)
      for (let start = 0; start < y.data.length; start += width)
        y.data.set(f(rows.data.subarray(start, start + width)), start);
    return transpose(
      y,
      x.shape.map((_, a) => order.indexOf(a)),
    );
  }

  const total = (row) => {
    let s = 0;
    for (const v of row) s += v;
    return s;
  };
  const largest = (row) => {
    let m = -Infinity;
    for (const v of row) m = Math.max(m, v);
    return m;
  };
  const smallest = (row) => {
    let m = Infinity;
    for (const v of row) m = Math.min(m, v);
    return m;
  };

  /** m + ln Σ exp(x - m) with m the largest: nothing overflows. */
  function logsumexp(row) {
    const top = largest(row),
      safe = Number.isFinite(top) ? top : 0;
    return safe + Math.log(total(row.map((v) => Math.exp(v - safe))));
  }

  function softmax(row) {
    const top = largest(row),
      powers = row.map((v) => Math.exp(v - top)),
      sum = total(powers);
    return powers.map((p) => p / sum);
  }

  function logSoftmax(row) {
    const top = largest(row),
      centred = row.map((v) => v - top);
    const log = Math.log(total(centred.map(Math.exp)));
    return centred.map((v) => v - log);
  }

  function running(row, combine, reverse) {
    const y = Float64Array.from(row);
    if (reverse) y.reverse();
    for (let i = 1; i < y.length; i++) y[i] = combine(y[i - 1], y[i]);
    return reverse ? y.reverse() : y;
  }

  function argmax(row) {
    let best = 0;
    for (let i = 1; i < row.length; i++)
      if (row[i] > row[best] || (Number.isNaN(row[i]) && !Number.isNaN(row[best]))) best = i;
    return best;
  }

  /** NaN comes last, equals keep their order. */
  function argsort(row) {
    const key = (v) => (Number.isNaN(v) ? 1 : 0);
    return Float64Array.from(
      [...row.keys()].sort(
        (i, j) => key(row[i]) - key(row[j]) || (row[i] < row[j] ? -1 : row[i] > row[j] ? 1 : i - j),
      ),
    );
  }

  function searchsorted(bounds, values, side) {
    return map(
      values,
      (v) => {
        let low = 0,
          high = bounds.data.length;
        while (low < high) {
          const middle = (low + high) >> 1,
            bound = bounds.data[middle];
          if (side === "left" ? bound < v : bound <= v) low = middle + 1;
          else high = middle;
        }
        return low;
      },
      "int64",
    );
  }

  /** A function of single elements, of one to three arrays of one shape. */
  function elementwise(f, arrays, how, type) {
    const [a, b, c] = arrays.map((x) => x.data),
      y = make(type || arrays[arrays.length - 1].type, arrays[0].shape);
    if (c) for (let i = 0; i < a.length; i++) y.data[i] = f(a[i], b[i], c[i], how);
    else if (b) for (let i = 0; i < a.length; i++) y.data[i] = f(a[i], b[i], how);
    else for (let i = 0; i < a.length; i++) y.data[i] = f(a[i], how);
    return y;
  }

  // ---- shapes and indices --------------------------------------------------------------------

  function broadcast(x, shape) {
    const size = x.data.length;
    if (size && size === sizeOf(shape)) return reshape(x, shape);
    if (size === 1 || (x.shape.length === 1 && x.shape[0] === shape[shape.length - 1])) {
      const y = make(x.type, shape); // a number, or a row, again and again
      for (let start = 0; start < y.data.length; start += size) y.data.set(x.data, start);
      return y;
    }
    const lead = shape.length - x.shape.length,
      strides = stridesOf(x.shape);
    return view(
      x,
      shape,
      shape.map((extent, axis) =>
        axis < lead || x.shape[axis - lead] !== extent ? 0 : strides[axis - lead],
      ),
    );
  }

  function slice(x, start, stop, step) {
    const strides = stridesOf(x.shape);
    const shape = start.map((low, axis) => Math.max(0, Math.ceil((stop[axis] - low) / step[axis])));
    return view(
      x,
      shape,
      strides.map((s, axis) => s * step[axis]),
      product(shape) ? total(start.map((low, axis) => low * strides[axis])) : 0,
    );
  }

  function pad(x, before, after, between, value) {
    const grown = (n, axis) => before[axis] + after[axis] + n + Math.max(0, n - 1) * between[axis];
    const y = make(x.type, x.shape.map(grown));
    y.data.fill(value);
    const strides = stridesOf(y.shape);
    let next = 0;
    walk(
      x.shape,
      strides.map((s, axis) => s * (between[axis] + 1)),
      total(before.map((low, axis) => low * strides[axis])),
      (place) => {
        y.data[place] = x.data[next++];
      },
    );
    return y;
  }

  function flip(x, axes) {
    const strides = stridesOf(x.shape);
    return view(
      x,
      x.shape,
      strides.map((s, axis) => (axes.includes(axis) ? -s : s)),
      product(x.shape) ? total(axes.map((axis) => (x.shape[axis] - 1) * strides[axis])) : 0,
    );
  }

  function concatenate(arrays, axis) {
    const first = arrays[0],
      extent = total(arrays.map((x) => x.shape[axis]));
    const y = make(
      first.type,
      first.shape.map((n, a) => (a === axis ? extent : n)),
    );
    const outer = product(first.shape.slice(0, axis)),
      inner = product(first.shape.slice(axis + 1));
    let offset = 0;
    for (const x of arrays) {
      const width = x.shape[axis] * inner;
      for (let row = 0; row < outer; row++)
        y.data.set(x.data.subarray(row * width, (row + 1) * width), row * extent * inner + offset);
      offset += width;
    }
    return y;
  }

  const wrap = (index, extent) => (index < 0 ? index + extent : index);

  /** visit(place in x, place in the taken array) where axis `axis` of x is indexed. */
  function eachTaken(x, indices, axis, visit) {
    const outer = product(x.shape.slice(0, axis)),
      inner = product(x.shape.slice(axis + 1));
    const extent = x.shape[axis],
      count = indices.data.length;
    for (let row = 0; row < outer; row++)
      for (let i = 0; i < count; i++) {
        const from = (row * extent + wrap(indices.data[i], extent)) * inner;
        for (let k = 0; k < inner; k++) visit(from + k, (row * count + i) * inner + k);
      }
  }

  function take(x, indices, axis) {
    const y = make(x.type, [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]);
    eachTaken(x, indices, axis, (from, to) => {
      y.data[to] = x.data[from];
    });
    return y;
  }

  function scatterAdd(x, indices, updates, axis) {
    const y = make(x.type, x.shape, x.data.slice());
    eachTaken(x, indices, axis, (to, from) => {
      y.data[to] += updates.data[from];
    });
    return y;
  }

  function scatter(x, indices, updates, mode) {
    const y = make(x.type, x.shape, x.data.slice());
    const pick = { set: (old, u) => u, max: (old, u) => Math.max(old, u), min: (old, u) => Math.min(old, u) };
    eachTaken(x, indices, 0, (to, from) => {
      y.data[to] = pick[mode](y.data[to], updates.data[from]);
    });
    return y;
  }

  /** visit(place in x, place in indices), the places equal but for the axis, which is indexed. */
  function eachAlong(x, indices, axis, visit) {
    const strides = stridesOf(x.shape);
    let next = 0;
    walk(
      indices.shape,
      strides.map((s, a) => (a === axis ? 0 : s)),
      0,
      (place) => {
        visit(place + wrap(indices.data[next], x.shape[axis]) * strides[axis], next++);
      },
    );
  }

  function takeAlong(x, indices, axis) {
    const y = make(x.type, indices.shape);
    eachAlong(x, indices, axis, (from, to) => {
      y.data[to] = x.data[from];
    });
    return y;
  }

  function addAlong(x, indices, updates, axis) {
    const y = make(x.type, x.shape, x.data.slice());
    eachAlong(x, indices, axis, (to, from) => {
      y.data[to] += updates.data[from];
    });
    return y;
  }

  /** visit(bag, index of its weight, row that is gathered). */
  function eachPicked(indices, rows, visit) {
    const width = indices.shape[1];
    indices.data.forEach((index, place) => visit(Math.floor(place / width), place, wrap(index, rows)));
  }

  function embeddingBag(table, indices, weights) {
    const [rows, columns] = table.shape,
      y = make(table.type, [indices.shape[0], columns]);
    eachPicked(indices, rows, (bag, place, row) => {
      for (let c = 0; c < columns; c++)
        y.data[bag * columns + c] += weights.data[place] * table.data[row * columns + c];
    });
    return y;
  }

  function updateSlice(x, updates, start, axis) {
    const y = make(x.type, x.shape, x.data.slice());
    const inner = product(x.shape.slice(axis + 1));
    const row = x.shape[axis] * inner;
    const part = updates.shape[axis] * inner;
    const first = Math.min(Math.max(start.data[0], 0), x.shape[axis] - updates.shape[axis]);
    for (let o = 0; o * part < updates.data.length; o++) {
      for (let i = 0; i < part; i++) y.data[o * row + first * inner + i] = updates.data[o * part + i];
    }
    return y;
  }

  function scatterBag(y, indices, weights, rows) {
    const columns = y.shape[1],
      table = make(y.type, [rows, columns]);
    eachPicked(indices, rows, (bag, place, row) => {
      for (let c = 0; c < columns; c++)
        table.data[row * columns + c] += weights.data[place] * y.data[bag * columns + c];
    });
    return table;
  }

  function cast(x, type) {
    const whole = { int64: Math.trunc, int32: (v) => v | 0, uint32: (v) => v >>> 0 };
    return map(x, type === "bool" ? (v) => (v ? 1 : 0) : whole[type] || ((v) => v), type);
  }

  // ---- products ------------------------------------------------------------------------------

  function swapLast(x) {
    const axes = x.shape.map((_, axis) => axis),
      last = axes.length - 1;
    [axes[last], axes[last - 1]] = [axes[last - 1], axes[last]];
    return transpose(x, axes);
  }

  /** As numpy.matmul: vectors lose their axis, leading axes are broadcast. */
  function matmul(a, b, transposeA = false, transposeB = false) {
    if (transposeA) a = swapLast(a);
    if (transposeB) b = swapLast(b);
    const row = a.shape.length === 1,
      column = b.shape.length === 1;
    if (row) a = reshape(a, [1, ...a.shape]);
    if (column) b = reshape(b, [...b.shape, 1]);
    const [n, k] = a.shape.slice(-2),
      m = b.shape[b.shape.length - 1];
    let lead = a.shape.slice(0, -2),
      leadB = b.shape.slice(0, -2);
    while (lead.length < leadB.length) lead = [1, ...lead];
    while (leadB.length < lead.length) leadB = [1, ...leadB];
    lead = lead.map((extent, axis) => (extent === 1 ? leadB[axis] : extent));
    a = broadcast(a, [...lead, n, k]);
    b = broadcast(b, [...lead, k, m]);
    const y = make(a.type, [...lead, n, m]);
    for (let batch = product(lead) - 1; batch >= 0; batch--)
      for (let i = 0; i < n; i++)
        for (let l = 0; l < k; l++) {
          const factor = a.data[(batch * n + i) * k + l];
          const from = (batch * k + l) * m,
            to = (batch * n + i) * m;
          for (let j = 0; j < m; j++) y.data[to + j] += factor * b.data[from + j];
        }
    return reshape(y, [...lead, ...(row ? [] : [n]), ...(column ? [] : [m])]);
  }

  // ---- attention as one operation ------------------------------------------------------------

  /** Scores q·kᵀ·scale, and a mask of numbers; -∞ where a query may not look. */
  function attentionScores(q, k, more, { causal, scale }) {
    const products = matmul(q, swapLast(k));
    const [n, m] = products.shape.slice(-2);
    const given = more.find((x) => x.type !== "uint32"),
      mask = given && broadcast(given, products.shape);
    return map(products, (v, i) => {
      const row = Math.floor(i / m) % n;
      if (causal && (i % m) - row > m - n) return -Infinity;
      if (mask && mask.type === "bool") return mask.data[i] ? v * scale : -Infinity;
      return v * scale + (mask ? mask.data[i] : 0);
    });
  }

  /** 0 for a weight that is dropped, otherwise what it is multiplied with. */
  function attentionDropout(shape, more, { dropout }) {
    const key = more.find((x) => x.type === "uint32");
    if (!key) return () => 1;
    const words = randomBits(key, shape).data,
      smallest = Math.ceil(Math.fround(dropout) * 2 ** 24);
    return (i) => (words[i] >>> 8 >= smallest ? 1 / (1 - dropout) : 0);
  }

  /** The weights of an attention, whose rows add up to 1, and the logarithm of each row's sum. */
  function attentionWeights(q, k, more, how) {
    const scores = attentionScores(q, k, more, how),
      last = scores.shape.length - 1;
    const sums = reduce(scores, [last], (row) => {
      const log = logsumexp(row);
      return log === -Infinity ? 0 : log; // a query that may look nowhere
    });
    const m = scores.shape[last];
    return [map(scores, (v, i) => Math.exp(v - sums.data[Math.floor(i / m)])), sums];
  }

  function attention([q, k, v, ...more], how) {
    const [weights, sums] = attentionWeights(q, k, more, how);
    const kept = attentionDropout(weights.shape, more, how);
    return [
      matmul(
        map(weights, (p, i) => p * kept(i)),
        v,
      ),
      sums,
    ];
  }

  function attentionGradients([q, k, v, sums, delta, g, ...more], how) {
    const scores = attentionScores(q, k, more, how),
      kept = attentionDropout(scores.shape, more, how),
      m = scores.shape[scores.shape.length - 1];
    const weights = map(scores, (s, i) => Math.exp(s - sums.data[Math.floor(i / m)]));
    const arriving = matmul(g, swapLast(v));
    const gradient = map(weights, (p, i) => {
      const derivative = arriving.data[i] * kept(i) - delta.data[Math.floor(i / m)];
      return p * derivative * how.scale;
    });
    const dropped = map(weights, (p, i) => p * kept(i));
    return [matmul(gradient, k), matmul(swapLast(gradient), q), matmul(swapLast(dropped), g)];
  }

  // ---- windows: convolution and pooling ------------------------------------------------------

  const gapOf = (slide, axis) => (slide.dilation ? slide.dilation[axis] : 1);

  function placesOf(extents, window, slide) {
    return extents.map(
      (extent, a) =>
        Math.floor(
          (extent + slide.before[a] + slide.after[a] - gapOf(slide, a) * (window[a] - 1) - 1) /
            slide.stride[a],
        ) + 1,
    );
  }

  /** visit(i, o, k): the input element i, the output element o and the element k of the window that
      meet, i = o·stride + k·dilation - before on each axis, as numbers in row-major order. */
  function meetings(extents, places, window, slide, visit) {
    const along = extents.map((extent, a) => {
      const found = [];
      for (let o = 0; o < places[a]; o++)
        for (let k = 0; k < window[a]; k++) {
          const i = o * slide.stride[a] + k * gapOf(slide, a) - slide.before[a];
          if (i >= 0 && i < extent) found.push([i, o, k]);
        }
      return found;
    });
    const go = (axis, i, o, k) => {
      if (axis === extents.length) return visit(i, o, k);
      for (const [di, dop, dk] of along[axis])
        go(axis + 1, i * extents[axis] + di, o * places[axis] + dop, k * window[axis] + dk);
    };
    go(0, 0, 0, 0);
  }

  /** visit(place in x, in w, in y) for every product x·w that belongs to y; x, w, y are shapes. */
  function eachProduct(x, w, y, slide, visit) {
    const extents = x.slice(1, -1),
      places = y.slice(1, -1),
      window = w.slice(0, -2);
    const inputs = product(extents),
      outputs = product(places);
    const [each, m] = w.slice(-2),
      c = x[x.length - 1],
      wide = m / slide.groups;
    for (let n = 0; n < x[0]; n++)
      meetings(extents, places, window, slide, (i, o, k) => {
        const fromX = (n * inputs + i) * c,
          fromY = (n * outputs + o) * m;
        for (let j = 0; j < m; j++) {
          const group = Math.floor(j / wide) * each;
          for (let l = 0; l < each; l++) visit(fromX + group + l, (k * each + l) * m + j, fromY + j);
        }
      });
  }

  function convolution(x, w, slide) {
    const places = placesOf(x.shape.slice(1, -1), w.shape.slice(0, -2), slide);
    const y = make(x.type, [x.shape[0], ...places, w.shape[w.shape.length - 1]]);
    eachProduct(x.shape, w.shape, y.shape, slide, (i, k, o) => {
      y.data[o] += x.data[i] * w.data[k];
    });
    return y;
  }

  function transposedConvolution(g, w, slide) {
    const x = make(g.type, [g.shape[0], ...slide.extents, w.shape[w.shape.length - 2] * slide.groups]);
    eachProduct(x.shape, w.shape, g.shape, slide, (i, k, o) => {
      x.data[i] += g.data[o] * w.data[k];
    });
    return x;
  }

  function convolutionWeights(x, g, slide) {
    const channels = x.shape[x.shape.length - 1] / slide.groups;
    const w = make(x.type, [...slide.window, channels, g.shape[g.shape.length - 1]]);
    eachProduct(x.shape, w.shape, g.shape, slide, (i, k, o) => {
      w.data[k] += x.data[i] * g.data[o];
    });
    return w;
  }

  /** visit(place in x, place in y) for every element x of the window at y; x and y are shapes. */
  function eachPooled(x, y, slide, visit) {
    const extents = x.slice(1, -1),
      places = y.slice(1, -1),
      c = x[x.length - 1];
    const inputs = product(extents),
      outputs = product(places);
    for (let n = 0; n < x[0]; n++)
      meetings(extents, places, slide.window, slide, (i, o) => {
        for (let l = 0; l < c; l++) visit((n * inputs + i) * c + l, (n * outputs + o) * c + l);
      });
  }

  function pooled(x, slide) {
    const places = placesOf(x.shape.slice(1, -1), slide.window, slide);
    return make(x.type, [x.shape[0], ...places, x.shape[x.shape.length - 1]]);
  }

  function sumPool(x, slide) {
    const y = pooled(x, slide);
    eachPooled(x.shape, y.shape, slide, (i, o) => {
      y.data[o] += x.data[i];
    });
    return y;
  }

  function sumUnpool(g, slide) {
    const x = make(g.type, [g.shape[0], ...slide.extents, g.shape[g.shape.length - 1]]);
    eachPooled(x.shape, g.shape, slide, (i, o) => {
      x.data[i] += g.data[o];
    });
    return x;
  }

  function maxPool(x, slide) {
    const y = pooled(x, slide);
    y.data.fill(-Infinity);
    eachPooled(x.shape, y.shape, slide, (i, o) => {
      y.data[o] = Math.max(y.data[o], x.data[i]);
    });
    return y;
  }

  /** Which inputs are the largest of their windows, and how many share that. */
  function winners(x, slide) {
    const y = maxPool(x, slide),
      count = make(x.type, y.shape),
      found = [];
    eachPooled(x.shape, y.shape, slide, (i, o) => {
      if (x.data[i] === y.data[o]) {
        count.data[o]++;
        found.push([i, o]);
      }
    });
    return { count, found };
  }

  function maxPoolScatter(x, g, slide) {
    const { count, found } = winners(x, slide),
      y = make(x.type, x.shape);
    for (const [i, o] of found) y.data[i] += g.data[o] / count.data[o];
    return y;
  }

  function maxPoolGather(x, v, slide) {
    const { count, found } = winners(x, slide),
      y = make(x.type, count.shape);
    for (const [i, o] of found) y.data[o] += v.data[i];
    return map(y, (sum, o) => sum / count.data[o]);
  }

  // ---- randomness: Philox4x32-10 -------------------------------------------------------------

  function philox(counter, key) {
    const LOW = 0xffffffffn;
    let [c0, c1, c2, c3] = counter.map(BigInt),
      [k0, k1] = [...key].map(BigInt);
    for (let round = 0; round < 10; round++) {
      const first = c0 * 0xd2511f53n,
        second = c2 * 0xcd9e8d57n;
      [c0, c1, c2, c3] = [(second >> 32n) ^ c1 ^ k0, second & LOW, (first >> 32n) ^ c3 ^ k1, first & LOW];
      k0 = (k0 + 0x9e3779b9n) & LOW;
      k1 = (k1 + 0xbb67ae85n) & LOW;
    }
    return [c0, c1, c2, c3].map(Number);
  }

  function randomBits(key, shape) {
    const y = make("uint32", shape);
    for (let block = 0; block * 4 < y.data.length; block++)
      philox([block, 0, 0, 0], key.data).forEach((word, i) => {
        if (block * 4 + i < y.data.length) y.data[block * 4 + i] = word;
      });
    return y;
  }

  function foldIn(key, number) {
    const whole = BigInt.asUintN(64, BigInt(number.data[0]));
    const words = philox([Number(whole & 0xffffffffn), Number(whole >> 32n), 0, 1], key.data);
    return make("uint32", [2], Float64Array.from(words.slice(0, 2)));
  }

  // ---- graphs inside nodes -------------------------------------------------------------------

  function scan(arrays, { body, consts, carries, sums, length, reverse }) {
    const fixed = arrays.slice(0, consts),
      slices = arrays.slice(consts + carries);
    let carry = arrays.slice(consts, consts + carries);
    const blank = (place, lead) => {
      const [type, shape] = body.nodes[body.outputs[place]].type;
      return make(type, [...lead, ...shape]);
    };
    const totals = [],
      stacks = [];
    for (let i = carries; i < carries + sums; i++) totals.push(blank(i, []));
    for (let i = carries + sums; i < body.outputs.length; i++) stacks.push(blank(i, [length]));
    const part = (x, step) => {
      const shape = x.shape.slice(1),
        size = sizeOf(shape);
      return make(x.type, shape, x.data.subarray(step * size, (step + 1) * size));
    };
    for (let count = 0; count < length; count++) {
      const step = reverse ? length - 1 - count : count;
      const found = outputs(body, [...fixed, ...carry, ...slices.map((x) => part(x, step))]);
      carry = found.slice(0, carries);
      totals.forEach((sum, i) =>
        found[carries + i].data.forEach((v, e) => {
          sum.data[e] += v;
        }),
      );
      stacks.forEach((stack, i) => {
        const y = found[carries + sums + i];
        stack.data.set(y.data, step * y.data.length);
      });
    }
    return [...carry, ...totals, ...stacks];
  }

  // ---- the table of operations ---------------------------------------------------------------

  const OPERATIONS = {
    part: ([record], a) => record[a.index],
    cast: ([x], a) => cast(x, a.dtype),
    identity: ([x]) => x,
    stop_gradient: ([x]) => x,
    check: ([x]) => x,
    broadcast_to: ([x], a) => broadcast(x, a.shape),
    reshape: ([x], a) => reshape(x, a.shape),
    transpose: ([x], a) => transpose(x, a.axes),
    concatenate: (arrays, a) => concatenate(arrays, a.axis),
    slice: ([x], a) => slice(x, a.start, a.stop, a.step),
    pad: ([x], a) => pad(x, a.before, a.after, a.between, a.value),
    flip: ([x], a) => flip(x, a.axes),
    take: ([x, indices], a) => take(x, indices, a.axis),
    scatter_add: ([x, indices, updates], a) => scatterAdd(x, indices, updates, a.axis),
    dynamic_update_slice: ([x, updates, start], a) => updateSlice(x, updates, start, a.axis),
    scatter: ([x, indices, updates], a) => scatter(x, indices, updates, a.mode),
    take_along_axis: ([x, indices], a) => takeAlong(x, indices, a.axis),
    add_along_axis: ([x, indices, updates], a) => addAlong(x, indices, updates, a.axis),
    embedding_bag: ([table, indices, weights]) => embeddingBag(table, indices, weights),
    scatter_bag: ([y, indices, weights], a) => scatterBag(y, indices, weights, a.rows),
    sum: ([x], a) => reduce(x, a.axes, total),
    max: ([x], a) => reduce(x, a.axes, largest),
    min: ([x], a) => reduce(x, a.axes, smallest),
    prod: ([x], a) => reduce(x, a.axes, (row) => row.reduce((p, v) => p * v, 1)),
    logsumexp: ([x], a) => reduce(x, a.axes, logsumexp),
    softmax: ([x], a) => along(x, a.axis, softmax),
    log_softmax: ([x], a) => along(x, a.axis, logSoftmax),
    cumsum: ([x], a) => along(x, a.axis, (row) => running(row, (s, v) => s + v, a.reverse)),
    cumprod: ([x], a) => along(x, a.axis, (row) => running(row, (p, v) => p * v)),
    cummax: ([x], a) => along(x, a.axis, (row) => running(row, (m, v) => Math.max(m, v))),
    cummin: ([x], a) => along(x, a.axis, (row) => running(row, (m, v) => Math.min(m, v))),
    argmax: ([x], a) => reduce(x, [a.axis], argmax, "int64"),
    argsort: ([x], a) => along(x, a.axis, argsort, "int64"),
    searchsorted: ([bounds, values], a) => searchsorted(bounds, values, a.side),
    random_bits: ([key], a) => randomBits(key, a.shape),
    fold_in: ([key, number]) => foldIn(key, number),
    matmul: ([a, b], how) => matmul(a, b, how.transpose_a, how.transpose_b),
    convolution: ([x, w], a) => convolution(x, w, a),
    transposed_convolution: ([g, w], a) => transposedConvolution(g, w, a),
    convolution_weights: ([x, g], a) => convolutionWeights(x, g, a),
    sum_pool: ([x], a) => sumPool(x, a),
    sum_unpool: ([g], a) => sumUnpool(g, a),
    max_pool: ([x], a) => maxPool(x, a),
    max_pool_scatter: ([x, g], a) => maxPoolScatter(x, g, a),
    max_pool_gather: ([x, v], a) => maxPoolGather(x, v, a),
    attention: (arrays, a) => attention(arrays, a),
    attention_gradients: (arrays, a) => attentionGradients(arrays, a),
    call: (arrays, a) => outputs(a.body, arrays),
    scan: (arrays, a) => scan(arrays, a),
  };
  for (const [name, { of, test }] of Object.entries(ELEMENTWISE))
    OPERATIONS[name] = (arrays, how) => elementwise(of, arrays, how, test ? "bool" : null);

  // ---- running -------------------------------------------------------------------------------

  /** What chainrule.ir.serialize.encode wrote. */
  function decode(value) {
    if (Array.isArray(value)) return value.map(decode);
    if (value === null || typeof value !== "object") return value;
    if ("float" in value) return { nan: NaN, inf: Infinity, "-inf": -Infinity }[value.float];
    if ("dtype" in value) return value.dtype;
    return read(value.graph);
  }

  /** A graph made ready: attributes and constants decoded, once. */
  function read(graph) {
    const nodes = graph.nodes.map((node) => {
      const ready = { op: node.op, type: node.type, inputs: node.inputs || [], attributes: {} };
      for (const [key, value] of Object.entries(node.attributes || {})) ready.attributes[key] = decode(value);
      if (node.value) ready.value = make(...node.type, Float64Array.from(decode(node.value)));
      return ready;
    });
    return { nodes, inputs: graph.inputs, outputs: graph.outputs };
  }

  const single = (x) => (x.type === "float32" ? make(x.type, x.shape, x.data.map(Math.fround)) : x);

  /** The values of all nodes, for these inputs in the graph's order. Nodes that are forced have the
      given values, whatever their inputs are. With a set of places only these are computed. */
  function run(graph, inputs, forced = new Map(), needed = null) {
    const values = graph.nodes.map((node) => node.value);
    graph.inputs.forEach((place, i) => {
      values[place] = inputs[i];
    });
    for (const [place, value] of forced) values[place] = value;
    graph.nodes.forEach((node, place) => {
      if (values[place] || (needed && !needed.has(place))) return;
      if (!OPERATIONS[node.op]) throw new Error(`This page cannot compute “${node.op}”.`);
      const found = OPERATIONS[node.op](
        node.inputs.map((source) => values[source]),
        node.attributes,
      );
      values[place] = Array.isArray(found) ? found : single(found);
    });
    return values;
  }

  /** The places that these are computed from, and they themselves. */
  function until(graph, places) {
    const found = new Set(),
      pending = [...places];
    while (pending.length) {
      const place = pending.pop();
      if (found.has(place)) continue;
      found.add(place);
      pending.push(...graph.nodes[place].inputs);
    }
    return found;
  }

  function outputs(graph, inputs) {
    const values = run(graph, inputs);
    return graph.outputs.map((place) => values[place]);
  }

  const missing = (graph) =>
    [...new Set(graph.nodes.map((node) => node.op))].filter(
      (op) => !OPERATIONS[op] && op !== "constant" && op !== "placeholder",
    );

  return { make, read, run, outputs, until, missing, decode };
})();
