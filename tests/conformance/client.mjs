// One run of the suite's client in a process of its own, because the suite keeps its results in its modules.
// Arguments: the suite's folder, the proxy's address, the tests as JSON. The parent is told what became of each.
import module from 'node:module';
import process from 'node:process';
import { openSuite } from './suite.mjs';

// A checkout imports undici by name; the copy beside this file is meant. Node 18 may be too old for it.
if (module.register !== undefined) {
  const ours = JSON.stringify(import.meta.url);
  const hook = `export function resolve(name, context, next) {
    return next(name, name === 'undici' ? { ...context, parentURL: ${ours} } : context);
  }`;
  module.register(`data:text/javascript,${encodeURIComponent(hook)}`);
}
process.once('disconnect', () => process.exit());

const [folder, base, ids] = process.argv.slice(2);
const suite = await openSuite(folder);
const results = await suite.run(base, JSON.parse(ids));
process.send({ results }, () => process.exit());
