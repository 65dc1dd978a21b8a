// Runs the HTTP cache conformance suite against Tidegate: two profiles, two stores, all at once, on free ports.
//
//   node run.mjs [options]
//     --binary FILE   the program under test; default: the release binary
//     --only NAME     one run of rfc-memory, rfc-redis, safe-memory, safe-redis; may be given several times
//     --list          every test of the kinds required and optimal that is not passed, with the suite's words
//     --update        stores what passes now as the baseline
//     --suite FOLDER  a checkout of the suite's repository instead of the published package: scores, no baseline
//
// A test that the baseline has as passed and that does not pass now is run once more, alone: the suite measures whole
// seconds, and a busy machine loses some. Exit code 0: nothing is lost; 1: something is; 2: there was no run.
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

/** One run: its verdicts, the suite's words on each test, and which passed only when repeated. */
async function measure(name, suite, options, originPort) {
  const began = Date.now();
  const [profile, store] = name.split('-');
  const redis = store === 'redis' ? await startRedis() : undefined;
  const config = path.join(ROOT, 'config', `${profile}-profile.yaml`);
  const gate = await startTidegate(options.binary, config, originPort, redis?.url);
  const baseline = options.suite ? {} : readBaseline(profile);
  const isMeasured = Object.keys(baseline).length > 0;
  if (!isMeasured && !options.suite && !options.update) {
    throw new Error(`there is no baseline of ${profile}; --update makes one`);
  }
  const results = await runClient(options.folder, gate.base, suite.tests.map((test) => test.id));
  const isKnown = (id) => id in baseline && !isPass(baseline[id]);
  const doubtful = suite.tests.map((test) => test.id).filter((id) => results[id] !== true && !isKnown(id));
  const isBroken = doubtful.length > REPEATS_MAX && isMeasured;
  const again = isBroken ? {} : await repeat(doubtful, options, gate.base);
  Object.assign(results, again);
  if (gate.child.exitCode !== null || gate.child.signalCode !== null) {
    throw new Error(`${name}: Tidegate ended while it was tested:\n${gate.child.lastLines.join('\n')}`);
  }
  await stop(gate.child);
  if (redis) await stop(redis.child);
  return {
    name,
    profile,
    baseline,
    verdicts: Object.fromEntries(suite.tests.map(({ id }) => [id, suite.judge(id, results)])),
    words: Object.fromEntries(Object.entries(results).map(([id, result]) => [id, result[1] ?? ''])),
    repeated: Object.keys(again).filter((id) => again[id] === true),
    seconds: Math.round((Date.now() - began) / 1000),
  };
}

/** Runs each of the tests `ids` once more. */
async function repeat(ids, options, base) {
  const results = {};
  // Of a checkout there is no baseline: all that is not passed is in doubt, and alone it would take minutes.
  const size = options.suite ? 10 : 1;
  for (let at = 0; at < ids.length; at += size) {
    Object.assign(results, await runClient(options.folder, base, ids.slice(at, at + size)));
  }
  return results;
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
  const runs = await Promise.all(options.names.map((name) => measure(name, suite, options, origin.port)));
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
