// What a run is worth: scores by kind, and what differs from the stored baseline.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isPass } from './suite.mjs';

const KINDS = ['required', 'optimal', 'check'];

function baselineFile(name) {
  return fileURLToPath(new URL(`baseline-${name}.json`, import.meta.url));
}

/** The stored results of a run by its name, `{id: verdict}`; none where there is no file yet. */
export function readBaseline(name) {
  const file = baselineFile(name);
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : {};
}

/** Stores the verdicts of a run as its baseline. */
export function writeBaseline(name, verdicts) {
  const sorted = Object.fromEntries(Object.entries(verdicts).sort(([a], [b]) => (a < b ? -1 : 1)));
  fs.writeFileSync(baselineFile(name), `${JSON.stringify(sorted, null, 1)}\n`);
}

/**
 * Compares verdicts with a baseline. `lost`: passed there and does not here, or is not run any more; `gained`: passes
 * and did not there.
 */
export function compare(verdicts, baseline) {
  const lost = Object.keys(baseline).filter((id) => isPass(baseline[id]) && !isPass(verdicts[id]));
  const gained = Object.keys(verdicts).filter((id) => isPass(verdicts[id]) && !isPass(baseline[id]));
  return { lost, gained };
}

/** Passed and all tests of each kind, such as `158/160`. */
export function scores(tests, verdicts) {
  return KINDS.map((kind) => {
    const ofKind = tests.filter((test) => test.kind === kind);
    return `${ofKind.filter((test) => isPass(verdicts[test.id])).length}/${ofKind.length}`;
  });
}

/** Rows of text in columns. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()).join('\n');
}
