// The page: signing in and out, and what is asked for when.

import { Refusal, read } from './api.js';
import { announce, byId, say } from './dom.js';
import { Export } from './export.js';
import { Feed } from './feed.js';
import { duration, knownZone, moment, shown } from './format.js';
import { Range } from './range.js';
import { Refresh } from './refresh.js';
import * as session from './session.js';
import { Statistics } from './statistics.js';
import { startTheme } from './theme.js';
import { showMetrics } from './tiles.js';

const statistics = new Statistics();
const range = new Range(() => refresh.load('statistics'));
const feed = new Feed((error) => {
  if (error instanceof Refusal && error.isUnauthorized) leave(error.words());
  else if (error instanceof Refusal) refresh.report('activity', error);
  else if (error.name !== 'AbortError') throw error;
});
const exporting = new Export(() => range.asked, (error) => leave(error.words()));
const refresh = new Refresh([
  { name: 'metrics', title: 'Figures', everyMs: 30_000, load: loadMetrics },
  { name: 'activity', title: 'Activity', everyMs: 30_000, load: () => feed.refresh() },
  { name: 'statistics', title: 'Charts', everyMs: 120_000, load: loadStatistics },
], (error) => leave(error.words()));

async function loadMetrics(signal) {
  const answer = await read('metrics', {}, signal);
  if (session.isOpen() && !signal.aborted) takeMetrics(answer);
}

function takeMetrics({ data, metadata }) {
  const zone = metadata?.timezone ?? 'UTC';
  byId('tenant').replaceChildren(shown(metadata?.organization_id));
  byId('tenant').title = metadata?.organization_id ?? '';
  byId('updated').replaceChildren(shown(moment(metadata?.timestamp, knownZone(zone))), metadata?.stale ? ' (stale)' : '');
  byId('updated').title = metadata?.cache_ttl > 0 ? `They are kept for ${duration(metadata.cache_ttl)}` : '';
  byId('open-export').hidden = !metadata?.may_export;
  feed.zone = zone;
  exporting.zone = zone;
  refresh.zone = knownZone(zone);
  showMetrics(data, knownZone(zone));
  statistics.showParts(data);
  if (range.setZone(zone) && byId('dashboard').hidden === false) refresh.load('statistics');
}

async function loadStatistics(signal) {
  const { from, to, granularity, spanDays, words } = range.asked;
  byId('charts').setAttribute('aria-busy', 'true');
  try {
    const { data } = await read('statistics', { from, to, granularity }, signal);
    if (!signal.aborted) statistics.show(data, words, spanDays);
  } finally {
    byId('charts').removeAttribute('aria-busy');
  }
}

/** Tries a token; the figures are the proof that it is accepted. */
async function enter(token) {
  const button = byId('sign-in-submit');
  if (button.getAttribute('aria-busy') === 'true') return;
  const problem = session.open(token);
  if (problem) return refuse(problem);
  button.setAttribute('aria-busy', 'true');
  try {
    takeMetrics(await read('metrics', {}));
    showDashboard();
    refresh.start('metrics');
    await Promise.all([refresh.load('activity'), refresh.load('statistics')]);
  } catch (error) {
    session.close();
    if (!(error instanceof Refusal)) throw error;
    refuse(error.words());
  } finally {
    button.removeAttribute('aria-busy');
  }
}

function refuse(text) {
  showSignIn();
  say(byId('sign-in-problem'), text);
  byId('token').setAttribute('aria-invalid', 'true');
  byId('token').focus();
}

/** Forgets the token and everything that it let us see. */
function leave(problem) {
  session.close();
  refresh.stop();
  feed.reset();
  exporting.reset();
  range.reset();
  clearTimeout(expiry);
  for (const id of ['tenant', 'user', 'updated', 'tiles', 'gateway', 'gateway-source', 'gateway-status']) byId(id).replaceChildren();
  for (const id of ['tenant', 'user', 'updated']) byId(id).title = '';
  statistics.clear();
  showSignIn();
  say(byId('sign-in-problem'), problem);
  byId('token').focus();
}

let expiry;

function showDashboard() {
  byId('sign-in').hidden = true;
  byId('token').value = '';
  byId('token').removeAttribute('aria-invalid');
  say(byId('sign-in-problem'), '');
  for (const id of ['dashboard', 'who', 'signed-in-controls', 'sign-out']) byId(id).hidden = false;
  byId('user').replaceChildren(shown(session.userName()));
  byId('user').title = session.userName() ?? '';
  range.fill();
  byId('dashboard-title').focus();
  announce('Signed in.');
  const left = (session.expiresAt() ?? NaN) - Date.now();
  // A timer's longest time is some 24 days; a token beyond that ends by the server's answer.
  if (left > 0 && left < 2 ** 31) expiry = setTimeout(() => leave('The token has expired.'), left);
}

function showSignIn() {
  for (const id of ['dashboard', 'who', 'signed-in-controls', 'sign-out']) byId(id).hidden = true;
  byId('sign-in').hidden = false;
}

function start() {
  startTheme(() => statistics.redraw());
  byId('sign-in-form').addEventListener('submit', (event) => {
    event.preventDefault();
    enter(byId('token').value);
  });
  byId('sign-out').addEventListener('click', () => leave(''));
  byId('refresh').addEventListener('click', async () => {
    if (await refresh.loadAll()) announce('Everything is up to date.');
  });
  // A link must not put somebody who is signed in into another tenant's dashboard: only the address is cleared.
  addEventListener('hashchange', () => {
    if (session.isOpen()) {
      if (session.takeFromAddress() !== undefined) announce('Sign out first to sign in with that link.');
    } else {
      takeToken();
    }
  });
  if (!takeToken()) {
    showSignIn();
    byId('token').focus();
  }
}

function takeToken() {
  const token = session.takeFromAddress();
  if (token === undefined) return false;
  enter(token);
  return true;
}

start();
