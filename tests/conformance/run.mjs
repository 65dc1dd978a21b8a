// Runs the HTTP cache conformance suite against Tidegate: two profiles, two stores, all at once, on free ports.
//
//   node run.mjs [options]
//     --binary FILE   the program under test; default: the release binary
//     --only NAME     one run of rfc-memory, rfc-redis, safe-memory, safe-redis; may be given several times
//     --list          every test of the kinds required and optimal that is not passed, with the suite's words
//     --update        stores what passes now as the baseline
//     --suite FOLDER  a checkout of the suite's repository instead of the published package: scores, no baseline
//
// A test that the baseline has as passed and that does not pass now is run once more, alone, when all else is done: the
// suite measures whole seconds, and a busy machine loses some. Exit code 0: nothing is lost; 1: something is; 2: there was no run.
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runClient, startOrigin, startRedis, startTidegate, stop } from './processes.mjs';
import { compare, readBaseline, scores, table, writeBaseline } from './report.mjs';
import { isPass, openSuite } from './suite.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ROOT = path.resolve(HERE, '../..');
const RUNS = ['rfc-memory', 'rfc-redis', 'safe-memory', 'safe-redis'];
// More than chance loses: Tidegate itself does not work, and to repeat them alone would take minutes.
const REPEATS_MAX = 40;

function readOptions() {
  const { values } = parseArgs({
    options: {
      binary: { type: 'string' },
      only: { type: 'string', multiple: true },
      list: { type: 'boolean', default: false },
      update: { type: 'boolean', default: false },
      suite: { type: 'string' },
    },
  });
  const names = values.only ?? RUNS;
  const unknown = names.find((name) => !RUNS.includes(name));
  if (unknown) throw new Error(`--only ${unknown}: there are ${RUNS.join(', ')}`);
  if (values.suite && values.update) throw new Error('--update: baselines are those of the published package');
  const target = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target');
  const binary = path.resolve(values.binary ?? path.join(target, 'release', 'tidegate'));
  if (!fs.existsSync(binary)) throw new Error(`${binary} is missing; \`make conformance\` builds it`);
  const folder = path.resolve(values.suite ?? path.join(HERE, 'node_modules', 'http-cache-tests'));
  if (!fs.existsSync(folder)) throw new Error(`${folder} is missing; \`scripts/setup.sh conformance\` installs it`);
  return { ...values, names, binary, folder };
}

/** Runs the whole suite once; Tidegate and its store stay for repeat(). */
async function run(name, suite, options, originPort) {
  const began = Date.now();
  const [profile, store] = name.split('-');
  const baseline = options.suite ? {} : readBaseline(profile);
  const isMeasured = Object.keys(baseline).length > 0;
  if (!isMeasured && !options.suite && !options.update) {
    throw new Error(`there is no baseline of ${profile}; --update makes one`);
  }
  const redis = store === 'redis' ? await startRedis() : undefined;
  const config = path.join(ROOT, 'config', `${profile}-profile.yaml`);
  const gate = await startTidegate(options.binary, config, originPort, redis?.url);
  const results = await runClient(options.folder, gate.base, suite.tests.map((test) => test.id));
  const isKnown = (id) => id in baseline && !isPass(baseline[id]);
  const ids = suite.tests.map((test) => test.id).filter((id) => results[id] !== true && !isKnown(id));
  const doubtful = isMeasured && ids.length > REPEATS_MAX ? [] : ids;
  const seconds = Math.round((Date.now() - began) / 1000);
  return { name, profile, baseline, gate, redis, results, doubtful, seconds };
}

/** Runs the doubtful tests of a run once more, when nothing else runs, and ends it. */
async function repeat(run, suite, options) {
  const again = {};
  // Of a checkout there is no baseline: all that is not passed is in doubt, and alone it would take minutes.
  const size = options.suite ? 10 : 1;
  for (let at = 0; at < run.doubtful.length; at += size) {
    const ids = run.doubtful.slice(at, at + size);
    Object.assign(again, await runClient(options.folder, run.gate.base, ids));
  }
  const { child } = run.gate;
  if (child.exitCode !== null || child.signalCode !== null) {
    throw new Error(`${run.name}: Tidegate ended while it was tested:\n${child.lastLines.join('\n')}`);
  }
  await stop(child);
  if (run.redis) await stop(run.redis.child);
  const results = { ...run.results, ...again };
  return {
    ...run,
    verdicts: Object.fromEntries(suite.tests.map(({ id }) => [id, suite.judge(id, results)])),
    words: Object.fromEntries(Object.entries(results).map(([id, result]) => [id, result[1] ?? ''])),
    repeated: Object.keys(again).filter((id) => again[id] === true),
  };
}

function show(run, suite, options) {
  const { lost, gained } = compare(run.verdicts, run.baseline);
  const say = (ids, what) => ids.forEach((id) => console.log(`${run.name}: ${id} ${what(id)}`));
  say(run.repeated, () => 'passed when repeated');
  if (options.list) {
    const open = suite.tests.filter(({ id, kind }) => kind !== 'check' && !isPass(run.verdicts[id]));
    say(open.map((test) => test.id), (id) => `(${run.verdicts[id]}) ${run.words[id]}`);
  }
  if (options.suite) return 0;
  if (options.update) {
    const changed = [...lost, ...gained].filter((id) => id in run.baseline);
    say(changed, (id) => `was ${run.baseline[id]}, is ${run.verdicts[id] ?? 'not run'}`);
    return 0;
  }
  say(lost, (id) => `LOST: ${run.verdicts[id] ?? 'not run'}: ${run.words[id] ?? ''}`);
  say(gained, () => 'is new; to keep it: make conformance CONFORMANCE=--update');
  return lost.length;
}

async function main() {
  const options = readOptions();
  const suite = await openSuite(options.folder);
  const origin = await startOrigin(options.folder);
  const first = await Promise.all(options.names.map((name) => run(name, suite, options, origin.port)));
  const runs = [];
  for (const one of first) runs.push(await repeat(one, suite, options));
  await stop(origin.child);
  if (options.update) {
    const profiles = new Set(runs.map((run) => run.profile));
    profiles.forEach((profile) => writeBaseline(profile, runs.filter((run) => run.profile === profile)));
  }
  const lost = runs.map((run) => show(run, suite, options)).reduce((sum, one) => sum + one, 0);
  const rows = runs.map((run) => [run.name, ...scores(suite.tests, run.verdicts), `${run.seconds} s`]);
  console.log(table([['run', 'required', 'optimal', 'check', 'time'], ...rows]));
  const verdicts = runs.flatMap((run) => Object.values(run.verdicts));
  const passed = verdicts.filter(isPass).length;
  const open = verdicts.length - passed - lost;
  console.log(`not passed, and not in the baseline as passed: ${open}`);
  console.log(`${passed} passed, ${lost} failed`);
  process.exitCode = lost > 0 ? 1 : 0;
}

main().catch((error) => {
  console.error(`conformance: ${error.message}`);
  process.exit(2);
});
