// The figures: tiles of the application, and the gateway's health. One table each says what is shown.

import { byId, element } from './dom.js';
import { change, count, decimal, duration, milliseconds, moment, percent, rate, shown } from './format.js';

const TILES = [
  ['Users', ({ users }) => count(users.total), ({ users }) => [count(users.new_30d), 'new in 30 days,', change(users.growth_rate)]],
  ['Active today', ({ users }) => count(users.active_today), ({ users }) => [count(users.active_week), 'this week']],
  ['Sessions today', ({ engagement }) => count(engagement.sessions_today), ({ engagement }) => [count(engagement.sessions_week), 'this week']],
  ['Session length', ({ engagement }) => duration(engagement.avg_session_seconds), () => ['', 'average of the week']],
  ['Online now', ({ engagement }) => count(engagement.online_now), ({ engagement }) => [count(engagement.active_users_week), 'users this week']],
  ['Published', ({ content }) => count(content.published), ({ content }) => ['of', count(content.total), 'items of content']],
  ['Lessons completed', ({ engagement }) => count(engagement.lessons_completed_30d), () => ['', 'in 30 days']],
  ['Average score', ({ engagement }) => decimal(engagement.avg_score_30d), () => ['', 'in 30 days']],
];

const GATEWAY = [
  ['Uptime', (system) => duration(system.uptime_seconds)],
  ['Up in 24 h', (system) => percent(system.uptime_ratio_24h)],
  ['Requests/s', (system) => rate(system.requests_per_second)],
  ['Cache hits', (system) => percent(system.cache_hit_rate)],
  ['p50', (system) => milliseconds(system.response_time_ms?.p50)],
  ['p95', (system) => milliseconds(system.response_time_ms?.p95)],
  ['p99', (system) => milliseconds(system.response_time_ms?.p99)],
  ['Limited (429)', (system) => percent(system.rate_limited_ratio)],
];

const STATUS_WORDS = { ok: 'OK', degraded: 'Degraded', unknown: 'Unknown' };

const SOURCES = {
  proxy: 'As the gateways report it',
  prometheus: 'As Prometheus reports it',
  none: 'No gateway answers: nothing is known about it',
};

/** Shows all of `GET /metrics`. */
export function showMetrics(data, zone) {
  byId('tiles').replaceChildren(...TILES.map((row) => tile(row, data)));
  showGateway(data.system ?? {}, zone);
}

function tile([label, value, note], data) {
  const parts = note(data).filter((part) => part !== '');
  const notes = parts.flatMap((part, place) => (place === 0 ? [shown(part)] : [' ', shown(part)]));
  return element('div', { class: 'tile' },
    element('dt', {}, label),
    element('dd', { class: 'value' }, shown(value(data))),
    element('dd', { class: 'note' }, ...notes));
}

function showGateway(system, zone) {
  const status = ['ok', 'degraded'].includes(system.status) ? system.status : 'unknown';
  const badge = byId('gateway-status');
  badge.textContent = STATUS_WORDS[status];
  badge.dataset.status = status;
  const asOf = system.as_of ? moment(system.as_of, zone) : undefined;
  const source = SOURCES[system.source] ?? SOURCES.none;
  const { asked, reachable } = system.instances ?? {};
  const share = asked > 1 ? [`${reachable} of ${asked} instances answer`] : [];
  const facts = system.source === 'none' ? [] : [...share, asOf].filter(Boolean);
  byId('gateway-source').textContent = [source, ...facts].join(', ');
  byId('gateway').replaceChildren(...GATEWAY.map(([label, value]) => element('div', {},
    element('dt', {}, label), element('dd', {}, shown(value(system))))));
}
