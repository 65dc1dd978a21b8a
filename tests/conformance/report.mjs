// What a run is worth: scores by kind, and what differs from the stored baseline.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isPass } from './suite.mjs';

const KINDS = ['required', 'optimal', 'check'];

function baselineFile(profile) {
  return fileURLToPath(new URL(`baseline-${profile}.json`, import.meta.url));
}

/** The stored results of a profile with any store, `{id: verdict}`; none where there is no file yet. */
export function readBaseline(profile) {
  const file = baselineFile(profile);
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : {};
}

/** Stores a profile's baseline: what passes with every store that was run. */
export function writeBaseline(profile, runs) {
  const worst = (id) => runs.map((run) => run.verdicts[id]).sort((a, b) => isPass(a) - isPass(b))[0];
  const ids = Object.keys(runs[0].verdicts).sort();
  const verdicts = Object.fromEntries(ids.map((id) => [id, worst(id)]));
  fs.writeFileSync(baselineFile(profile), `${JSON.stringify(verdicts, null, 1)}\n`);
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
