// What happened, newest first. What is added in front while somebody reads on does not move the pages behind it.

import { read } from './api.js';
import { announce, byId, element } from './dom.js';
import { knownZone, moment, words } from './format.js';

const PAGE = 20;
/** More entries than this are not kept in the page. */
const ENTRIES_MAX = 1_000;
const KNOWN_TYPES = ['content_created', 'content_viewed', 'lesson_completed', 'login', 'settings_changed', 'user_created'];

/** The list with its filter and its way back in time. */
export class Feed {
  constructor(onRefusal) {
    this.zone = 'UTC';
    this.onRefusal = onRefusal;
    this.types = new Set();
    byId('feed-type').addEventListener('change', () => this.restart());
    byId('older').addEventListener('click', () => this.older());
    this.reset();
  }

  /** Forgets everything, for the next user. */
  reset() {
    this.asking?.abort();
    this.shown = new Set();
    this.cursor = undefined;
    this.isRead = false;
    byId('entries').replaceChildren();
    byId('older').hidden = true;
    this.types.clear();
    byId('feed-type').replaceChildren(element('option', { value: '' }, 'All'));
    KNOWN_TYPES.forEach((type) => this.addType(type));
  }

  restart() {
    this.shown.clear();
    this.cursor = undefined;
    this.isRead = false;
    byId('entries').replaceChildren();
    this.refresh().catch(this.onRefusal);
  }

  /** Adds what happened since; everything, the first time. */
  async refresh() {
    const { data, pagination } = await this.page(undefined);
    const isFirst = !this.isRead;
    const fresh = data.items.filter((item) => !this.shown.has(item.id));
    // Nothing in common: there may be a gap between the two, so begin anew.
    if (!isFirst && fresh.length === data.items.length && fresh.length > 0) {
      this.shown.clear();
      byId('entries').replaceChildren();
      this.isRead = false;
    }
    byId('entries').prepend(...this.entries(fresh));
    if (!this.isRead) this.setCursor(pagination);
    this.isRead = true;
    // After midnight, what was today's needs its date.
    for (const time of byId('entries').querySelectorAll('time')) time.textContent = this.when(time.dateTime);
    if (!isFirst && fresh.length > 0) announce(fresh.length === 1 ? 'One new entry in the activity.' : `${fresh.length} new entries in the activity.`);
    this.showEmpty();
  }

  async older() {
    const button = byId('older');
    // Not disabled, which would throw away the keyboard's place.
    if (button.getAttribute('aria-busy') === 'true') return;
    button.setAttribute('aria-busy', 'true');
    try {
      const { data, pagination } = await this.page(this.cursor);
      const entries = this.entries(data.items.filter((item) => !this.shown.has(item.id)));
      byId('entries').append(...entries);
      this.setCursor(pagination);
      announce(`${entries.length} older entries.`);
      if (byId('older').hidden) entries.at(0)?.focus();
    } catch (error) {
      this.onRefusal(error);
    } finally {
      button.removeAttribute('aria-busy');
    }
  }

  page(cursor) {
    this.asking?.abort();
    this.asking = new AbortController();
    return read('activity', { limit: PAGE, type: byId('feed-type').value, cursor }, this.asking.signal);
  }

  setCursor(pagination) {
    const isMore = Boolean(pagination?.has_more) && this.shown.size < ENTRIES_MAX;
    this.cursor = pagination?.next_cursor ?? undefined;
    byId('older').hidden = !isMore;
  }

  entries(items) {
    return items.map((item) => {
      this.shown.add(item.id);
      this.addType(item.type);
      const at = element('time', { datetime: item.occurred_at }, this.when(item.occurred_at));
      const actor = item.actor?.name ?? 'Somebody unknown';
      return element('li', { tabindex: '-1' },
        element('p', { class: 'meta' }, element('span', { class: 'kind' }, words(item.type)), at),
        element('p', { class: 'summary' }, item.summary ?? ''),
        element('p', { class: 'actor' }, actor));
    });
  }

  when(iso) {
    return moment(iso, knownZone(this.zone)) ?? '';
  }

  addType(type) {
    if (this.types.has(type)) return;
    this.types.add(type);
    const option = element('option', { value: type }, words(type));
    const next = [...byId('feed-type').options].find((other) => other.value !== '' && other.textContent > option.textContent);
    byId('feed-type').add(option, next ?? null);
  }

  showEmpty() {
    const empty = byId('feed-empty');
    empty.hidden = this.shown.size > 0;
    empty.textContent = byId('feed-type').value === '' ? 'Nothing has happened yet.' : 'Nothing of this type has happened.';
  }
}
