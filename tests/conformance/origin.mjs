// The suite's origin in a process of its own, on a free port of the loopback address, whatever port it asks for.
// The parent is told the port; the process ends with its parent.
import net from 'node:net';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { openSuite } from './suite.mjs';

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function onLoopback() {
  this.once('listening', () => process.send({ port: this.address().port }));
  return listen.call(this, { host: '127.0.0.1', port: 0 });
};
process.once('disconnect', () => process.exit());

Object.assign(process.env, {
  npm_config_protocol: 'http',
  npm_config_port: '80',
  npm_config_pidfile: '/dev/null',
});
const suite = await openSuite(process.argv[2]);
await import(pathToFileURL(suite.server));
