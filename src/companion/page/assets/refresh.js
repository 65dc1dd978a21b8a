// When each part of the page is asked for again: by a timer while somebody looks, later and later while the server is away.

import { Refusal } from './api.js';
import { byId, element } from './dom.js';
import { moment } from './format.js';

const TICK_MS = 1_000;
const BACK_OFF_MS = [5_000, 10_000, 20_000, 40_000, 60_000];

/**
 * The parts of a page. `parts`: [{name, title, everyMs, load(signal) → Promise}]; `onUnauthorized(error)`.
 * A part that fails keeps what it showed, and says so.
 */
export class Refresh {
  constructor(parts, onUnauthorized) {
    this.parts = parts.map((part) => ({ ...part, failures: 0, dueAt: 0 }));
    this.onUnauthorized = onUnauthorized;
    this.isOn = false;
    /** Of the tenant, for what is said about times. */
    this.zone = 'UTC';
    document.addEventListener('visibilitychange', () => this.tick());
  }

  /** From now on, until {@link stop}; the part `has` is there already. The first load of the others is the caller's. */
  start(has) {
    this.isOn = true;
    this.succeed(this.parts.find((one) => one.name === has));
    this.timer ??= setInterval(() => this.tick(), TICK_MS);
  }

  stop() {
    this.isOn = false;
    clearInterval(this.timer);
    this.timer = undefined;
    for (const part of this.parts) {
      part.asking?.abort();
      Object.assign(part, { asking: undefined, failures: 0, dueAt: 0, problem: undefined, shownAt: undefined });
    }
    this.showNotices();
  }

  /** Asks for one part now; an answer that is under way is not waited for. Did it succeed? */
  async load(name) {
    const part = this.parts.find((one) => one.name === name);
    part.asking?.abort();
    const asking = new AbortController();
    part.asking = asking;
    try {
      await part.load(asking.signal);
      if (part.asking !== asking) return false;
      this.succeed(part);
      return true;
    } catch (error) {
      // Overtaken by a later question, or nobody is signed in any more.
      if (part.asking !== asking || error.name === 'AbortError') return false;
      this.fail(part, error instanceof Refusal ? error : misunderstood(error));
      return false;
    } finally {
      if (part.asking === asking) part.asking = undefined;
      this.showNotices();
    }
  }

  /** Asks for everything now. */
  async loadAll() {
    const done = await Promise.all(this.parts.map(({ name }) => this.load(name)));
    return done.every(Boolean);
  }

  succeed(part) {
    Object.assign(part, { failures: 0, problem: undefined, shownAt: new Date(), dueAt: Date.now() + part.everyMs });
  }

  /** A part that was asked for elsewhere has failed. */
  report(name, error) {
    this.fail(this.parts.find((one) => one.name === name), error);
    this.showNotices();
  }

  fail(part, error) {
    if (error.isUnauthorized) return this.onUnauthorized(error);
    const pause = BACK_OFF_MS[Math.min(part.failures, BACK_OFF_MS.length - 1)];
    part.failures += 1;
    part.problem = error;
    // What will fail again is asked for again only when somebody asks.
    part.dueAt = error.isPassing ? Date.now() + Math.max(pause, (error.retryAfterS ?? 0) * 1_000) : Infinity;
  }

  tick() {
    if (!this.isOn || document.hidden) return;
    for (const part of this.parts) {
      const isDue = part.failures > 0 || byId('auto').checked;
      if (isDue && !part.asking && Date.now() >= part.dueAt) this.load(part.name);
    }
    this.showNotices();
  }

  /** One line for all parts with the same trouble. */
  showNotices() {
    const troubled = this.parts.filter((part) => part.problem);
    const lines = new Map();
    for (const part of troubled) {
      const key = part.problem.isPassing ? `${part.problem.status} ${part.problem.code}` : part.name;
      lines.set(key, [...(lines.get(key) ?? []), part]);
    }
    const host = byId('notices');
    const wanted = [...lines.values()].map((parts) => this.notice(parts));
    // The seconds until the next attempt change all the time and are not to be announced: only the lines are.
    const words = wanted.map(({ text }) => text).join('\n');
    if (host.dataset.words !== words) {
      host.dataset.words = words;
      host.replaceChildren(...wanted.map(({ text, isPassing }) => element('p', { class: `notice ${isPassing ? 'warning' : 'error'}` },
        text, element('span', { class: 'countdown', 'aria-hidden': 'true' }))));
    }
    host.querySelectorAll('.countdown').forEach((place, at) => {
      place.textContent = wanted[at].next;
    });
  }

  notice(parts) {
    const titles = parts.map(({ title }) => title).join(', ');
    const oldest = parts.map(({ shownAt }) => shownAt).filter(Boolean).sort((a, b) => a - b)[0];
    const state = oldest ? `${titles}: what is shown is of ${moment(oldest, this.zone)}.` : `${titles}: nothing to show.`;
    const due = Math.min(...parts.map(({ dueAt }) => dueAt));
    const seconds = Math.max(0, Math.ceil((due - Date.now()) / 1_000));
    const next = Number.isFinite(due) ? ` Next attempt in ${seconds} s.` : '';
    return { text: `${state} ${parts[0].problem.words()}`, isPassing: parts[0].problem.isPassing, next };
  }
}

/** An answer that this page does not understand: the service may be of another version. */
function misunderstood(error) {
  console.error(error);
  return new Refusal(0, { title: 'The answer is not understood', detail: 'Reload the page; the service may be of another version than it.' });
}
