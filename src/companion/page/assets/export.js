// The export dialog: asks for a file, follows the job, and offers the download. A closed dialog leaves the job running.

import { Refusal, call, located } from './api.js';
import { byId, element, say } from './dom.js';
import { bytes, count, knownZone, moment, shown } from './format.js';
import { rangeProblem } from './range.js';

const POLL_FIRST_MS = 400;
const POLL_LAST_MS = 3_000;
/** Failed looks at a job in a row before it is given up; the export itself goes on. */
const FAILURES_MAX = 5;
const WORDS = { queued: 'Waiting for its turn', running: 'Being written', failed: 'The export failed', expired: 'The export has expired', cancelled: 'The export was cancelled' };

/** The dialog. */
export class Export {
  /** `range()`: what the charts show; `onRefusal` is told when the token is not accepted any more. */
  constructor(range, onUnauthorized) {
    this.range = range;
    this.onUnauthorized = onUnauthorized;
    this.dialog = byId('export');
    byId('open-export').addEventListener('click', () => this.open());
    byId('export-close').addEventListener('click', () => this.dialog.close());
    byId('export-cancel').addEventListener('click', () => this.cancel());
    // Another wish is another export.
    byId('export-fields').addEventListener('change', () => this.forget());
    byId('export-report').addEventListener('change', () => this.fillRange());
    byId('export-history').addEventListener('change', () => this.fillRange());
    byId('export-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.start();
    });
  }

  open() {
    if (!this.job && byId('export-result').hidden) {
      byId('export-granularity').value = this.range().granularity;
      this.fillRange();
    }
    this.dialog.showModal();
  }

  /** Figures of now have no range and users need none; everything else begins with the charts'. */
  fillRange() {
    const [report, hasHistory] = [byId('export-report').value, byId('export-history').checked];
    const { from, to } = this.range();
    const isOptional = report === 'users' && !hasHistory;
    byId('export-granularity-field').hidden = report !== 'statistics';
    byId('export-range').hidden = report === 'metrics' && !hasHistory;
    byId('export-range-hint').hidden = !isOptional;
    const days = isOptional || byId('export-range').hidden ? ['', ''] : [from, to];
    [byId('export-from').value, byId('export-to').value] = days;
  }

  /** Forgets everything, for the next user. */
  reset() {
    this.job?.stop.abort();
    this.job = undefined;
    this.forget();
    this.showWorking(false);
    byId('export-form').reset();
    if (this.dialog.open) this.dialog.close();
  }

  /** The link too: whoever has it has the file. */
  forget() {
    this.key = undefined;
    say(byId('export-problem'), '');
    byId('export-result').hidden = true;
    byId('export-download').removeAttribute('href');
    byId('export-facts').replaceChildren();
    byId('export-announcer').textContent = '';
  }

  asked() {
    const [format, report] = [byId('export-format').value, byId('export-report').value];
    return {
      format,
      report,
      from: byId('export-from').value || undefined,
      to: byId('export-to').value || undefined,
      granularity: report === 'statistics' ? byId('export-granularity').value : undefined,
      include_history: byId('export-history').checked,
      // People open it in a spreadsheet, and some of those take it for another encoding without the mark.
      bom: format === 'csv' || undefined,
    };
  }

  async start() {
    if (this.job) return;
    const body = this.asked();
    const hasRange = body.from || body.to || byId('export-range-hint').hidden && !byId('export-range').hidden;
    const wrong = hasRange ? rangeProblem(body.from, body.to) : undefined;
    say(byId('export-problem'), wrong);
    if (wrong) return;
    // The same wish again, after an answer that was lost, is not a second export.
    this.key ??= randomKey();
    const job = { stop: new AbortController() };
    this.job = job;
    byId('export-result').hidden = true;
    this.showWorking(true);
    this.showProgress({ status: 'queued', progress: 0 });
    try {
      const headers = { 'Idempotency-Key': this.key };
      const { data } = await call('POST', 'export', { body, headers, signal: job.stop.signal });
      job.id = data.export_id;
      this.finish(await this.follow(job, data), job);
    } catch (error) {
      this.fail(error, job);
    }
  }

  /** Looks at the job until it is at an end. */
  async follow(job, first) {
    let standing = first;
    let [pause, failures] = [POLL_FIRST_MS, 0];
    while (standing.status === 'queued' || standing.status === 'running') {
      this.showProgress(standing);
      await wait(pause, job.stop.signal);
      pause = Math.min(pause * 1.5, POLL_LAST_MS);
      try {
        standing = (await call('GET', `export/${encodeURIComponent(job.id)}`, { signal: job.stop.signal })).data;
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!(error instanceof Refusal) || !error.isPassing || failures === FAILURES_MAX) throw error;
        pause = Math.max(pause, (error.retryAfterS ?? 0) * 1000);
      }
    }
    return standing;
  }

  finish(standing, job) {
    if (this.job !== job) return;
    this.job = undefined;
    this.showWorking(false);
    const address = standing.status === 'done' && standing.download_url ? located(standing.download_url) : undefined;
    // A finished export may expire, a failed one may succeed: the next start is a new wish.
    this.key = undefined;
    if (!address) return say(byId('export-problem'), [WORDS[standing.status] ?? WORDS.failed, standing.error].filter(Boolean).join(': '));
    const link = byId('export-download');
    link.href = address;
    const zone = this.zone ?? 'UTC';
    const facts = [
      ['Rows', count(standing.rows)],
      ['Size', bytes(standing.bytes)],
      ['Available until', standing.expires_at ? moment(standing.expires_at, knownZone(zone)) : undefined],
      ['SHA-256', standing.sha256],
    ];
    byId('export-facts').replaceChildren(...facts.map(([label, text]) => element('div', {}, element('dt', {}, label), element('dd', {}, shown(text)))));
    byId('export-result').hidden = false;
    byId('export-announcer').textContent = `The export is ready: ${count(standing.rows) ?? 'unknown'} rows.`;
    if (this.dialog.open) link.focus();
  }

  fail(error, job) {
    // Cancelled, or the user has left.
    if (job.stop.signal.aborted || this.job !== job) return;
    this.job = undefined;
    this.showWorking(false);
    if (!(error instanceof Refusal)) throw error;
    if (error.isUnauthorized) return this.onUnauthorized(error);
    // The same key with another answer to come only where the same may succeed later.
    if (!error.isPassing) this.key = undefined;
    const later = error.retryAfterS ? ` It may be tried again in ${error.retryAfterS} s.` : '';
    say(byId('export-problem'), error.words() + later);
    byId('export-start').focus();
  }

  async cancel() {
    const job = this.job;
    if (!job) return;
    job.stop.abort();
    this.job = undefined;
    this.key = undefined;
    this.showWorking(false);
    byId('export-announcer').textContent = WORDS.cancelled;
    say(byId('export-problem'), `${WORDS.cancelled}.`);
    byId('export-start').focus();
    if (job.id === undefined) return;
    try {
      await call('DELETE', `export/${encodeURIComponent(job.id)}`);
    } catch (error) {
      if (error instanceof Refusal && error.isUnauthorized) this.onUnauthorized(error);
      else if (error instanceof Refusal && error.status !== 404 && error.status !== 409) say(byId('export-problem'), error.words());
    }
  }

  showWorking(isWorking) {
    byId('export-fields').disabled = isWorking;
    byId('export-start').hidden = isWorking;
    byId('export-cancel').hidden = !isWorking;
    byId('export-standing').hidden = !isWorking;
    if (isWorking) byId('export-cancel').focus();
  }

  showProgress({ status, progress, rows }) {
    const percent = Math.max(0, Math.min(100, progress ?? 0));
    byId('export-progress').value = percent;
    const written = rows > 0 ? `, ${count(rows)} rows` : '';
    const text = status === 'running' ? `${WORDS.running}: ${Math.round(percent)} %${written}` : WORDS[status];
    byId('export-words').textContent = text;
    // Tens only: a screen reader is not to read out every per cent.
    byId('export-announcer').textContent = status === 'running' ? `${Math.floor(percent / 10) * 10} %` : text;
  }
}

/** 128 random bits; `crypto.randomUUID` is missing on plain HTTP other than to this machine. */
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}
