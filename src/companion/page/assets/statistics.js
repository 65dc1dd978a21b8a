// What the three charts show of `GET /statistics`, and the parts of which the tenant's users and content are made.

import { Chart } from './charts.js';
import { byId, element } from './dom.js';
import { count, duration, percent, shown, words } from './format.js';

const STATUSES = ['published', 'review', 'draft', 'archived'];
const LABELS = { review: 'In review' };
const STATUS_COLORS = { published: '--series-1', review: '--series-3', draft: '--series-2', archived: '--series-4' };

const sumOf = (series, rows) => count(rows.reduce((sum, row) => sum + (series.value(row) ?? 0), 0));

const CHARTS = {
  user_growth: {
    title: 'User growth',
    noun: 'users',
    series: () => [
      { label: 'New', color: '--series-2', kind: 'bars', side: 'right', value: (row) => row.new },
      { label: 'Total', color: '--series-1', kind: 'line', isTotal: true, value: (row) => row.total },
    ],
    columns: () => [],
    atRest: (series, rows) => (series.isTotal ? count(rows.at(-1)?.total) : sumOf(series, rows)),
  },
  engagement: {
    title: 'Engagement',
    noun: 'sessions',
    series: () => [
      { label: 'Sessions', color: '--series-1', kind: 'line', value: (row) => row.sessions },
      { label: 'Active users', color: '--series-3', kind: 'line', dash: 'dashed', isDistinct: true, value: (row) => row.active_users },
    ],
    columns: () => [{ label: 'Avg session', format: duration, value: (row) => row.avg_session_seconds }],
    // Users of several days are not the sum of the days' users.
    atRest: (series, rows) => (series.isDistinct ? `max ${count(Math.max(...rows.map((row) => row.active_users)))}` : sumOf(series, rows)),
  },
  content_created: {
    title: 'Content created',
    noun: 'content',
    series: (rows) => statusesOf(rows).map((status) => ({
      label: LABELS[status] ?? words(status), color: STATUS_COLORS[status] ?? '--series-5', kind: 'stack',
      value: (row) => row.by_status?.[status] ?? 0,
    })),
    columns: () => [{ label: 'All', value: (row) => row.total }],
    atRest: sumOf,
  },
};

function statusesOf(rows) {
  const found = new Set(rows.flatMap((row) => Object.keys(row.by_status ?? {})));
  const others = [...found].filter((status) => !STATUSES.includes(status)).sort();
  return [...STATUSES.filter((status) => found.has(status)), ...others];
}

/** The charts, in the page. */
export class Statistics {
  constructor() {
    this.charts = Object.entries(CHARTS).map(([name, spec]) => ({ name, chart: new Chart(spec) }));
    this.parts = element('section', { class: 'panel parts', 'aria-labelledby': 'parts-title' });
    byId('charts').append(...this.charts.map(({ chart }) => chart.figure), this.parts);
  }

  /** Shows `data` of `GET /statistics`. */
  show(data, range, spanDays) {
    for (const { name, chart } of this.charts) chart.show(data.series?.[name] ?? [], range, spanDays);
  }

  /** Shows what users and content of `GET /metrics` are made of. */
  showParts({ users, content }) {
    const { draft, in_review: review, published, archived } = content;
    const groups = [
      ['Users by role', Object.entries(users.by_role ?? {})],
      ['Content by status', Object.entries({ published, in_review: review, draft, archived })],
      ['Content by type', Object.entries(content.by_type ?? {})],
    ];
    this.parts.replaceChildren(element('h2', { id: 'parts-title' }, 'Composition'), ...groups.map(group));
  }

  /** Forgets everything, for the next user. */
  clear() {
    for (const { chart } of this.charts) chart.clear();
    this.parts.replaceChildren();
  }

  /** After a change of colours. */
  redraw() {
    for (const { chart } of this.charts) chart.draw();
  }
}

function group([title, entries]) {
  const sorted = entries.toSorted(([, a], [, b]) => (b ?? -1) - (a ?? -1));
  const sum = sorted.reduce((all, [, value]) => all + (value ?? 0), 0);
  const rows = sorted.map(([name, value]) => {
    const bar = element('span', { class: 'share' });
    // By the object model, which the policy for styles allows, unlike a style in markup.
    bar.hidden = !value;
    bar.style.setProperty('--share', sum > 0 ? String((value ?? 0) / sum) : '0');
    return element('tr', {},
      element('th', { scope: 'row' }, words(name)),
      element('td', { class: 'bar-cell', 'aria-hidden': 'true' }, bar),
      element('td', {}, shown(count(value))),
      element('td', { class: 'ratio' }, shown(sum > 0 && value !== null ? percent(value / sum) : undefined)));
  });
  if (rows.length === 0) rows.push(element('tr', {}, element('td', { class: 'none' }, 'None yet')));
  return element('table', { class: 'shares' }, element('caption', {}, title), element('tbody', {}, ...rows));
}
