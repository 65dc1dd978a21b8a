// What happened, newest first. What is added in front while somebody reads on does not move the pages behind it, and nobody
// who reads is thrown back to the top.

import { read } from './api.js';
import { announce, byId, element, say } from './dom.js';
import { count, day, knownZone, moment, words } from './format.js';

const PAGE = 20;
/** When more than a page has happened between two looks: how many larger ones are asked for to close the gap. */
const GAP_PAGES = 2;
const GAP_PAGE = 100;
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
    byId('newer').addEventListener('click', () => this.refresh(true).then(() => this.goToNewest(), onRefusal));
    this.asking = {};
    this.shown = new Set();
    this.reset();
  }

  /** Forgets everything, for the next user. */
  reset() {
    this.clear();
    byId('older').hidden = true;
    this.types.clear();
    byId('feed-type').replaceChildren(element('option', { value: '' }, 'All'));
    KNOWN_TYPES.forEach((type) => this.addType(type));
  }

  restart() {
    this.clear();
    this.refresh().catch(this.onRefusal);
  }

  clear() {
    for (const asking of Object.values(this.asking)) asking.abort();
    this.shown.clear();
    this.cursor = undefined;
    this.isRead = false;
    this.hasOlder = false;
    this.writtenOn = undefined;
    // Browsers keep the place in a list that is filled again at once.
    byId('entries').scrollTop = 0;
    byId('entries').replaceChildren();
    say(byId('newer'), '');
  }

  /** Adds what happened since; everything, the first time. `isAsked`: anew, even if somebody reads. */
  async refresh(isAsked = false) {
    const first = await this.page('newer', { limit: PAGE });
    const { items, isMore, isGap } = await this.sinceShown(first);
    this.rewriteTimes();
    const isFirst = !this.isRead;
    const text = `${isMore ? 'More than ' : ''}${items.length === 1 ? 'One new entry' : `${count(items.length)} new entries`}`;
    if (isGap && !isAsked && this.isBeingRead()) return this.offer(text);
    if (isGap) this.clear();
    say(byId('newer'), '');
    byId('entries').prepend(...this.entries(isGap ? first.data.items : items));
    if (!this.isRead) this.setCursor(first.pagination);
    this.isRead = true;
    this.trim();
    if (!isFirst && items.length > 0) announce(`${text} in the activity.`);
    this.showEmpty();
  }

  /** What is not shown yet. A gap: none of it is, as far down as was asked, so that something may be missing between the two. */
  async sinceShown({ data, pagination }) {
    const items = data.items.filter((item) => !this.isShown(item));
    let isGap = this.isRead && items.length > 0 && items.length === data.items.length;
    let next = pagination;
    // While a gap is offered it only grows.
    for (let turn = 0; isGap && this.shown.size > 0 && turn < GAP_PAGES && next?.has_more && byId('newer').hidden; turn += 1) {
      const more = await this.page('newer', { limit: GAP_PAGE, cursor: next.next_cursor });
      const known = more.data.items.findIndex((item) => this.isShown(item));
      items.push(...more.data.items.slice(0, known < 0 ? undefined : known));
      isGap = known < 0;
      next = more.pagination;
    }
    return { items, isMore: isGap && Boolean(next?.has_more), isGap };
  }

  isShown(item) {
    return this.shown.has(String(item.id));
  }

  /** Would somebody lose their place, were the list made anew? */
  isBeingRead() {
    const list = byId('entries');
    return this.hasOlder || list.scrollTop > 0 || list.getBoundingClientRect().top < 0 || list.querySelector(':focus') !== null;
  }

  /** Says that there is more than the list reaches up to; who wants to see it presses the button. */
  offer(text) {
    if (!byId('newer').hidden) return;
    say(byId('newer'), text);
    announce(`${text} in the activity.`);
  }

  /** The button is gone: eyes and keyboard go on where the new entries are. */
  goToNewest() {
    byId('entries').focus({ preventScroll: true });
    byId('entries').firstElementChild?.scrollIntoView({ block: 'nearest' });
  }

  /** The oldest go, and with them the way back from them. */
  trim() {
    const list = byId('entries');
    if (list.childElementCount <= ENTRIES_MAX) return;
    while (list.childElementCount > ENTRIES_MAX) {
      this.shown.delete(list.lastElementChild.dataset.id);
      list.lastElementChild.remove();
    }
    this.setCursor(undefined);
  }

  /** After midnight, what was today's needs its date. */
  rewriteTimes() {
    const zone = knownZone(this.zone);
    const now = `${day(new Date(), zone)} ${zone}`;
    if (this.writtenOn === now) return;
    this.writtenOn = now;
    for (const time of byId('entries').querySelectorAll('time')) time.textContent = this.when(time.dateTime);
  }

  async older() {
    const button = byId('older');
    // Not disabled, which would throw away the keyboard's place.
    if (button.getAttribute('aria-busy') === 'true') return;
    button.setAttribute('aria-busy', 'true');
    try {
      const { data, pagination } = await this.page('older', { limit: PAGE, cursor: this.cursor });
      const entries = this.entries(data.items.filter((item) => !this.isShown(item)));
      byId('entries').append(...entries);
      this.hasOlder = true;
      this.setCursor(pagination);
      this.trim();
      announce(`${entries.length} older entries.`);
      if (byId('older').hidden) entries.at(0)?.focus();
    } catch (error) {
      this.onRefusal(error);
    } finally {
      button.removeAttribute('aria-busy');
    }
  }

  /** A page at that end of the list; one question at a time for each. */
  page(end, { limit, cursor }) {
    this.asking[end]?.abort();
    this.asking[end] = new AbortController();
    return read('activity', { limit, type: byId('feed-type').value, cursor }, this.asking[end].signal);
  }

  setCursor(pagination) {
    const isMore = Boolean(pagination?.has_more) && this.shown.size < ENTRIES_MAX;
    this.cursor = pagination?.next_cursor ?? undefined;
    if (!isMore && document.activeElement === byId('older')) byId('entries').focus();
    byId('older').hidden = !isMore;
  }

  entries(items) {
    return items.map((item) => {
      this.shown.add(String(item.id));
      this.addType(item.type);
      const at = element('time', { datetime: item.occurred_at }, this.when(item.occurred_at));
      const actor = item.actor?.name ?? 'Somebody unknown';
      return element('li', { tabindex: '-1', 'data-id': item.id },
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
