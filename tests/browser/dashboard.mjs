// The dashboard's page in a real browser, on the real binary: its companion, a gateway in front, a seeded database.
//
//   node dashboard.mjs [options]
//     --binary FILE    the program under test; default: the release binary
//     --chromium FILE  the browser; default: the system's Chromium
//     --only WORDS     the cases with these words in their name; what a case before it leaves behind is missing then
//
// Pictures of what was seen are left in target/browser. Exit code 0: all is well; 1: a case failed; 2: there was no run.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { VISITS } from './cases.mjs';
import { Watched, openBrowser } from './watch.mjs';
import { World } from './world.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

function readOptions() {
  const { values } = parseArgs({ options: { binary: { type: 'string' }, chromium: { type: 'string' }, only: { type: 'string' } } });
  const target = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target');
  const binary = path.resolve(values.binary ?? path.join(target, 'release', 'tidegate'));
  if (!fs.existsSync(binary)) throw new Error(`${binary} is missing; \`make browser\` builds it`);
  const pictures = path.join(target, 'browser');
  fs.rmSync(pictures, { recursive: true, force: true });
  fs.mkdirSync(pictures, { recursive: true });
  return { ...values, binary, pictures };
}

/** The cases of one visit; how many failed. */
async function visit(browser, world, name, cases, folder) {
  const place = world.places[name];
  const watched = await Watched.open(browser);
  const { page } = watched;
  await watched.visit(place);
  let failed = 0;
  for (const one of cases) {
    const began = Date.now();
    try {
      await one({ watched, page, world, folder, place });
      console.log(`ok     ${name} ${one.name} (${Date.now() - began} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name} ${one.name}\n${error.stack ?? error}`);
      await watched.screenshot(folder, `failed-${one.name}`).catch(() => {});
    }
  }
  const faults = await watched.close();
  for (const fault of faults) console.log(`FAILED ${name} ${fault}`);
  return failed + faults.length;
}

async function main() {
  const options = readOptions();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidegate-browser-'));
  const began = Date.now();
  let [world, browser, failed] = [undefined, undefined, 0];
  try {
    world = await World.start(options.binary, folder);
    browser = await openBrowser(options.chromium);
    for (const [name, cases] of VISITS) {
      const chosen = cases.filter((one) => one.name.includes(options.only ?? ''));
      if (chosen.length > 0) failed += await visit(browser, world, name, chosen, options.pictures);
    }
  } finally {
    await browser?.close();
    await world?.close();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  console.log(`browser: ${failed === 0 ? 'all is well' : `${failed} failed`} after ${((Date.now() - began) / 1000).toFixed(1)} s; pictures are in ${options.pictures}`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main().catch((error) => {
  console.error(`browser: ${error.stack ?? error}`);
  return 2;
});
