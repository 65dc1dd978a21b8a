// Where a copy of the suite keeps its parts, and its own verdict on a result. Two layouts are known: the published
// package, and a checkout of its repository.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// The suite's names for its verdicts; the published package exports no more than the signs.
const VERDICTS = {
  '✅': 'pass',
  '⛔️': 'fail',
  '⚠️': 'optional_fail',
  Y: 'yes',
  N: 'no',
  '🔹': 'setup_fail',
  '⁉️': 'harness_fail',
  '⚪️': 'dependency_fail',
  '↻': 'retry',
  '-': 'untested',
};

/** Opens the copy in `folder`. */
export async function openSuite(folder) {
  const isCheckout = fs.existsSync(path.join(folder, 'test-engine'));
  const engine = isCheckout ? path.join(folder, 'test-engine') : folder;
  const load = (...parts) => import(pathToFileURL(path.join(...parts)));
  const { default: groups } = await load(folder, 'tests', 'index.mjs');
  const { determineTestResult } = await load(engine, 'lib', isCheckout ? 'results.mjs' : 'display.mjs');
  const tests = groups.flatMap((group) => group.tests).filter((test) => test.browser_only !== true);
  return {
    server: path.join(engine, 'server', 'server.mjs'),
    /** Those that apply to a proxy: `id` and `kind`. */
    tests: tests.map((test) => ({ id: test.id, kind: test.kind ?? 'required' })),
    /** The suite's word for what became of the test `id`; a test whose precondition failed never passed. */
    judge: (id, results) => VERDICTS[determineTestResult(groups, id, results)[2]],
    /** Runs the tests `ids`, all at once where there are few; `{id: true or [word, message]}`. */
    async run(base, ids) {
      const wanted = new Set(ids);
      const chosen = groups.map((group) => ({ ...group, tests: group.tests.filter((test) => wanted.has(test.id)) }));
      const { runTests, getResults } = await load(engine, 'client', 'runner.mjs');
      if (isCheckout) {
        await runTests(chosen, false, base);
      } else {
        const fetch = createRequire(path.join(folder, 'package.json'))('node-fetch');
        // The published package starts 100 tests at once, too many for tests that count seconds, and waits for an
        // answer without end; these are its successor's numbers.
        await runTests(chosen, (url, init) => fetch(url, { ...init, timeout: 10_000 }), false, base, 25);
      }
      return getResults();
    },
  };
}

/** Did the test show what it asks for? */
export function isPass(verdict) {
  return verdict === 'pass' || verdict === 'yes';
}
