// One chart: canvas for the eye, a table with the same values for everybody else. uPlot draws; colours are the style sheet's.

import uPlot from './vendor/uPlot.esm.js';
import { element } from './dom.js';
import { count, short, shown } from './format.js';

const HEIGHT = 190;
const DAY_S = 86_400;
/** Axes show counts: no half users. */
const WHOLE_STEPS = [1, 2, 5].flatMap((step) => [0, 1, 2, 3, 4, 5, 6, 7, 8].map((power) => step * 10 ** power)).sort((a, b) => a - b);
const DASHES = { solid: undefined, dashed: [6, 4] };

/**
 * A chart in a figure of its own.
 * `spec`: `title`, `noun` for the empty state, `series(rows)` → [{label, color, kind: line|bars|stack, dash, side, value(row)}],
 * `columns(rows)` → further [{label, value(row)}] of the table, `atRest(series, rows)` → text of the legend.
 */
export class Chart {
  constructor(spec) {
    this.spec = spec;
    this.plotHost = element('div', { class: 'plot', role: 'img' });
    this.legend = element('ul', { class: 'legend' });
    this.empty = element('p', { class: 'empty', hidden: true });
    this.table = element('div', { class: 'table', role: 'region', tabindex: '0', 'aria-label': `${spec.title}, values` });
    this.details = element('details', {}, element('summary', {}, 'Values'), this.table);
    this.details.addEventListener('toggle', () => this.fillTable());
    const title = element('h2', {}, spec.title);
    this.head = element('div', { class: 'panel-head' }, title, this.legend);
    this.figure = element('section', { class: 'panel chart', 'aria-label': spec.title }, this.head, this.plotHost, this.empty, this.details);
    this.width = 0;
    new ResizeObserver(([entry]) => this.resize(entry.contentRect.width)).observe(this.plotHost);
  }

  /** Shows these rows, one a span of time; `range` is what they are about, in words. */
  show(rows, range, spanDays) {
    this.rows = rows;
    this.spanDays = spanDays;
    this.series = this.spec.series(rows);
    const isEmpty = !rows.some((row) => this.series.some((series) => series.value(row) > 0));
    this.empty.hidden = !isEmpty;
    this.empty.textContent = isEmpty ? `No ${this.spec.noun} in this range.` : '';
    this.plotHost.hidden = isEmpty;
    this.legend.hidden = isEmpty;
    this.details.hidden = rows.length === 0;
    this.fillLegend();
    const sums = this.series.map((series) => `${series.label} ${this.spec.atRest(series, rows) ?? 'unknown'}`);
    this.plotHost.setAttribute('aria-label', `${this.spec.title}, ${range}: ${sums.join(', ')}. All values are in the table below.`);
    this.draw();
    this.fillTable();
  }

  /** Forgets the values. */
  clear() {
    this.plot?.destroy();
    this.plot = undefined;
    this.rows = undefined;
    this.details.open = false;
    this.table.replaceChildren();
    this.legend.replaceChildren();
    this.plotHost.removeAttribute('aria-label');
  }

  resize(width) {
    const whole = Math.floor(width);
    if (whole === this.width || whole === 0) return;
    this.width = whole;
    if (this.plot) this.plot.setSize({ width: whole, height: HEIGHT });
    else this.draw();
  }

  /** Draws anew, which a change of colours needs too. */
  draw() {
    this.plot?.destroy();
    this.plot = undefined;
    if (this.plotHost.hidden || !this.rows?.length) return;
    this.width ||= Math.floor(this.plotHost.clientWidth);
    if (this.width === 0) return;
    this.plot = new uPlot(this.options(), this.data(), this.plotHost);
  }

  /** uPlot's columns: times, then each series; stacked ones from the highest sum down, so that each covers the next. */
  data() {
    const times = this.rows.map((row) => Date.parse(`${row.date}T00:00:00Z`) / 1000);
    const sums = this.rows.map(() => 0);
    const columns = new Map();
    for (const series of this.series) {
      columns.set(series, this.rows.map((row, place) => {
        const value = series.value(row) ?? null;
        if (series.kind !== 'stack') return value;
        sums[place] += value ?? 0;
        return sums[place];
      }));
    }
    return [times, ...this.drawn().map((series) => columns.get(series))];
  }

  drawn() {
    const stacked = this.series.filter((series) => series.kind === 'stack').reverse();
    return [...stacked, ...this.series.filter((series) => series.kind !== 'stack')];
  }

  options() {
    const style = getComputedStyle(this.figure);
    const [ink, lines] = [colorOf(this.figure, '--muted'), colorOf(this.figure, '--line')];
    const font = `12px ${style.fontFamily}`;
    const axis = { stroke: ink, font, ticks: { show: false }, grid: { stroke: lines, width: 1 } };
    const values = (_plot, splits) => splits.map((value) => short(value) ?? '');
    const sides = new Set(this.series.map((series) => series.side ?? 'left'));
    const half = (this.spanDays * DAY_S) / 2;
    const first = Date.parse(`${this.rows[0].date}T00:00:00Z`) / 1000;
    const last = Date.parse(`${this.rows.at(-1).date}T00:00:00Z`) / 1000;
    return {
      width: this.width,
      height: HEIGHT,
      padding: [10, null, 0, null],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 7 }, y: false },
      tzDate: (time) => uPlot.tzDate(new Date(time * 1000), 'Etc/UTC'),
      scales: { x: { time: true, range: [first - half, last + half] }, left: scale(this.series, 'left'), right: scale(this.series, 'right') },
      axes: [
        { ...axis, grid: { show: false }, space: 64, size: 30, incrs: timeSteps(this.spanDays), values: dayLabels },
        ...['left', 'right'].filter((side) => sides.has(side)).map((side) => ({
          ...axis, scale: side, side: side === 'left' ? 3 : 1, size: 52, incrs: WHOLE_STEPS, values, grid: side === 'left' ? axis.grid : { show: false },
        })),
      ],
      series: [{}, ...this.drawn().map((series) => this.drawing(series))],
      hooks: { setCursor: [(plot) => this.fillLegend(plot.cursor.idx)] },
    };
  }

  drawing(series) {
    const stroke = colorOf(this.figure, series.color);
    const common = { label: series.label, scale: series.side ?? 'left', stroke };
    if (series.kind === 'line') return { ...common, width: 2, dash: DASHES[series.dash ?? 'solid'], points: { show: this.rows.length < 3, size: 6 } };
    const paths = uPlot.paths.bars({ size: [0.7, 28], radius: 0 });
    return { ...common, width: 0, fill: stroke, paths, points: { show: false } };
  }

  /** The legend is the read-out too: values under the cursor, or those of the whole range. */
  fillLegend(place) {
    const row = place === null || place === undefined ? undefined : this.rows[place];
    const items = this.series.map((series) => {
      const swatch = element('span', { class: 'swatch', 'data-color': series.color.slice(2), 'data-kind': series.dash ?? series.kind });
      const text = row ? count(series.value(row)) : this.spec.atRest(series, this.rows);
      return element('li', {}, swatch, `${series.label} `, element('b', {}, shown(text)));
    });
    if (row) items.unshift(element('li', { class: 'date' }, row.date));
    this.legend.replaceChildren(...items);
  }

  /** Up to 731 rows, so only while it is open. */
  fillTable() {
    if (!this.details.open || !this.rows) return this.table.replaceChildren();
    const columns = [...this.series, ...this.spec.columns(this.rows)];
    const head = element('tr', {}, ...['Date', ...columns.map((column) => column.label)].map((label) => element('th', { scope: 'col' }, label)));
    const lines = this.rows.map((row) => element('tr', {},
      element('th', { scope: 'row' }, row.date),
      ...columns.map((column) => element('td', {}, shown((column.format ?? count)(column.value(row)))))));
    this.table.replaceChildren(element('table', {},
      element('caption', { class: 'visually-hidden' }, this.spec.title), element('thead', {}, head), element('tbody', {}, ...lines)));
  }
}

/** From nought, with room above; bars and counts that begin elsewhere mislead. A line of totals alone may begin higher. */
function scale(series, side) {
  const mine = series.filter((one) => (one.side ?? 'left') === side);
  const isTotals = mine.length > 0 && mine.every((one) => one.isTotal);
  const range = (_plot, low, high) => {
    const top = Math.max(high ?? 0, 1);
    if (!isTotals) return [0, top * 1.1];
    const room = Math.max((top - low) * 0.15, 1);
    return [Math.max(0, Math.floor(low - room)), Math.ceil(top + room)];
  };
  return { auto: true, range };
}

/** A custom property as the colour that it is in the scheme in force. */
function colorOf(place, property) {
  const probe = element('span', { class: 'swatch', 'data-color': property.slice(2), hidden: true });
  place.append(probe);
  const { backgroundColor } = getComputedStyle(probe);
  probe.remove();
  return backgroundColor;
}

function timeSteps(spanDays) {
  const days = [1, 2, 4, 7, 14, 28, 56, 91, 182, 364];
  return days.filter((step) => step >= spanDays || step >= 28).map((step) => step * DAY_S);
}

const dayLabel = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', day: 'numeric', month: 'short' });
const yearLabel = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', day: 'numeric', month: 'short', year: '2-digit' });

function dayLabels(plot, splits) {
  const span = plot.scales.x.max - plot.scales.x.min;
  const label = span > 300 * DAY_S ? yearLabel : dayLabel;
  return splits.map((time) => label.format(new Date(time * 1000)));
}
