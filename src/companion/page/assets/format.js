// Values as text. What is unknown is an en dash, never a nought.

import { element } from './dom.js';

const LANGUAGE = 'en-GB';
const integer = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const signed = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: 'exceptZero' });
const compact = new Intl.NumberFormat(LANGUAGE, { notation: 'compact', maximumSignificantDigits: 4 });
/** Making one takes longer than all that is done with it; time zones are few. */
const formatters = new Map();
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB'];

function known(value) {
  return typeof value === 'number' && Number.isFinite(value);
}

/** `format(value)`, or undefined for an unknown value, which {@link shown} makes a dash of. */
function ifKnown(format) {
  return (value) => (known(value) ? format(value) : undefined);
}

export const count = ifKnown((value) => integer.format(value));
export const decimal = ifKnown((value) => oneDigit.format(value));
/** For the axis of a chart: as it is, as long as there is room. */
export const short = ifKnown((value) => (value < 100_000 ? integer : compact).format(value));
/** Of a ratio from 0 to 1. */
export const percent = ifKnown((value) => `${oneDigit.format(value * 100)} %`);
/** Of a change in per cent. */
export const change = ifKnown((value) => `${signed.format(value)} %`);
export const milliseconds = ifKnown((value) => (value < 10 ? `${value.toPrecision(2)} ms` : `${integer.format(value)} ms`));
export const rate = ifKnown((value) => (value < 100 ? oneDigit.format(value) : integer.format(value)));

/** Of seconds: the two largest units. */
export const duration = ifKnown((value) => {
  const seconds = Math.round(value);
  const units = [[86_400, 'd'], [3_600, 'h'], [60, 'min'], [1, 's']];
  const first = Math.max(0, units.findIndex(([size]) => seconds >= size));
  const start = seconds === 0 ? units.length - 1 : first;
  let rest = seconds;
  const parts = units.slice(start, start + 2).map(([size, unit]) => {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    return [whole, unit];
  });
  return parts.filter(([whole], place) => whole > 0 || place === 0).map(([whole, unit]) => `${whole} ${unit}`).join(' ');
});

/** Of bytes, in units of 1024. */
export const bytes = ifKnown((value) => {
  let [size, unit] = [value, 0];
  while (size >= 1024 && unit < BYTE_UNITS.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${unit === 0 ? integer.format(size) : oneDigit.format(size)} ${BYTE_UNITS[unit]}`;
});

/** What writes times, dates and days of a time zone; throws for one that this browser does not know. */
function of(zone) {
  if (!formatters.has(zone)) {
    formatters.set(zone, {
      time: new Intl.DateTimeFormat(LANGUAGE, { timeZone: zone, timeStyle: 'medium' }),
      date: new Intl.DateTimeFormat(LANGUAGE, { timeZone: zone, day: 'numeric', month: 'short', year: 'numeric' }),
      day: new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }),
    });
  }
  return formatters.get(zone);
}

/** A moment in the tenant's time zone, with the date unless it is today's. */
export function moment(iso, zone, now = new Date()) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return undefined;
  const time = of(zone).time.format(at);
  return day(at, zone) === day(now, zone) ? time : `${of(zone).date.format(at)}, ${time}`;
}

/** The day of a moment in a time zone, as YYYY-MM-DD. */
export function day(at, zone) {
  return of(zone).day.format(at);
}

/** `day` moved by so many days. */
export function movedDay(dayText, days) {
  const at = new Date(`${dayText}T00:00:00Z`);
  at.setUTCDate(at.getUTCDate() + days);
  return at.toISOString().slice(0, 10);
}

/** Days from one to the other, both included. */
export function daysBetween(from, to) {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / 86_400_000) + 1;
}

/** `lesson_completed` for people. */
export function words(name) {
  const spaced = String(name).replaceAll('_', ' ').replaceAll('.', ' ');
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** The time zone, if this browser knows it; else UTC, so that a time is shown at all. */
export function knownZone(zone) {
  try {
    of(zone);
    return zone;
  } catch {
    return 'UTC';
  }
}

/** Text as a node, or the dash of what is unknown. */
export function shown(text) {
  if (text !== undefined && text !== null && text !== '') return document.createTextNode(text);
  const dash = element('span', { 'aria-hidden': 'true', title: 'unknown' }, '–');
  return element('span', { class: 'unknown' }, dash, element('span', { class: 'visually-hidden' }, 'unknown'));
}
