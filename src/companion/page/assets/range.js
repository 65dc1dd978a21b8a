// Which days the charts are about. Days are those of the tenant's time zone, which the server tells.

import { byId, say } from './dom.js';
import { day, daysBetween, knownZone, movedDay } from './format.js';

const DAYS_MAX = 731;
/** Up to how many days are shown by the day, and by the week, unless the user says otherwise. */
const BY_DAY_MAX = 92;
const BY_WEEK_MAX = 400;
const SPAN_DAYS = { day: 1, week: 7, month: 30 };

/** The form above the charts. */
export class Range {
  constructor(onChange) {
    this.zone = 'UTC';
    this.preset = 30;
    this.onChange = onChange;
    byId('presets').addEventListener('change', (event) => this.usePreset(Number(event.target.value)));
    byId('granularity').addEventListener('change', () => this.useDates());
    byId('range').addEventListener('submit', (event) => {
      event.preventDefault();
      this.useDates();
    });
  }

  /** Back to how it began, for the next user. */
  reset() {
    this.preset = 30;
    byId('granularity').value = 'auto';
    byId('presets').querySelector('[value="30"]').checked = true;
    say(byId('range-problem'), '');
  }

  /** The tenant's time zone is known; the last days end with its today. Is the range another one now? */
  setZone(zone) {
    const before = this.zone;
    this.zone = zone;
    byId('zone').textContent = `Days and times of ${zone}`;
    return before !== zone && this.fill();
  }

  /** Follows midnight as long as a number of days is chosen. */
  fill() {
    if (this.preset === undefined) return false;
    const [from, to] = [byId('from'), byId('to')];
    const today = day(new Date(), knownZone(this.zone));
    const first = movedDay(today, 1 - this.preset);
    const isNew = from.value !== first || to.value !== today;
    [from.value, to.value] = [first, today];
    return isNew;
  }

  usePreset(days) {
    this.preset = days;
    this.fill();
    this.useDates(true);
  }

  /** Takes what is in the fields, unless it is no range; says what is wrong with it. */
  useDates(isPreset = false) {
    const [from, to] = [byId('from').value, byId('to').value];
    const problem = rangeProblem(from, to);
    say(byId('range-problem'), problem);
    if (problem) return;
    if (!isPreset && this.preset !== undefined && daysBetween(from, to) !== this.preset) this.preset = undefined;
    if (this.preset === undefined) for (const radio of byId('presets').querySelectorAll('input')) radio.checked = false;
    this.onChange();
  }

  /** What to ask for, and how many days one value is about. */
  get asked() {
    this.fill();
    const [from, to] = [byId('from').value, byId('to').value];
    const days = daysBetween(from, to);
    const chosen = byId('granularity').value;
    const automatic = days <= BY_DAY_MAX ? 'day' : days <= BY_WEEK_MAX ? 'week' : 'month';
    const granularity = chosen === 'auto' ? automatic : chosen;
    return { from, to, granularity, spanDays: SPAN_DAYS[granularity], words: `${from} to ${to} by ${granularity}` };
  }
}

/** What is wrong with a range, in words; undefined for a sound one. */
export function rangeProblem(from, to) {
  if (!from || !to) return 'Both dates are needed.';
  if (from > to) return 'The first day is after the last.';
  if (daysBetween(from, to) > DAYS_MAX) return `At most ${DAYS_MAX} days can be asked for.`;
  return undefined;
}
