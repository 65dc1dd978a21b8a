// Child processes that never outlive the run: ended when it ends, is interrupted or fails, and by the kernel when it
// is killed, where there is setpriv.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import process from 'node:process';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const SETPRIV = '/usr/bin/setpriv';
const START_MS = 20_000;
// A whole run takes 70 seconds.
const CLIENT_MS = 300_000;
// Another process may take a free port between our look and the server's start.
const PORT_TRIES = 5;
// Enough to see why a process ended.
const LAST_LINES = 20;

const running = new Set();

function endAll() {
  for (const child of running) child.kill('SIGKILL');
}
process.once('exit', endAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => process.exit(128 + os.constants.signals[signal]));
}

function keep(child) {
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return child;
}

/** `promise`, or an error after so long. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${ms / 1000} s`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Ends a child and waits until it is gone. */
export async function stop(child) {
  if (!running.has(child)) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** Starts a program and waits for a line of its standard output that `ready` makes something of. */
export async function start(program, args, env, ready) {
  const guarded = fs.existsSync(SETPRIV);
  const words = guarded ? [SETPRIV, '--pdeathsig', 'KILL', '--', program, ...args] : [program, ...args];
  const options = { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] };
  const child = keep(spawn(words[0], words.slice(1), options));
  child.lastLines = [];
  const note = (line) => {
    child.lastLines.push(line);
    if (child.lastLines.length > LAST_LINES) child.lastLines.shift();
  };
  readline.createInterface({ input: child.stderr }).on('line', note);
  const said = new Promise((resolve, reject) => {
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      const found = ready(line);
      if (found) resolve(found);
      else note(line);
    });
    child.once('error', (error) => reject(new Error(`${program}: ${error.message}`)));
    child.once('close', () => reject(new Error(`${program} ended:\n${child.lastLines.join('\n')}`)));
  });
  return { child, found: await within(START_MS, program, said) };
}

/** Tidegate with this configuration, on free ports; `base` is its address. */
export async function startTidegate(binary, config, originPort, redisUrl) {
  const env = {
    TIDEGATE_LISTEN: '127.0.0.1:0',
    TIDEGATE_ADMIN_LISTEN: '127.0.0.1:0',
    TIDEGATE_BACKEND: `127.0.0.1:${originPort}`,
    // Dozens of tests are about answers such as 503. Five of them in a row, and the breaker refuses all other tests.
    TIDEGATE_BREAKER_FAILURES: '1000',
    ...(redisUrl && { REDIS_URL: redisUrl }),
  };
  const ready = (line) => line.match(/^listening http=(\S+) /)?.[1];
  const { child, found } = await start(binary, ['run', '--config', config], env, ready);
  return { child, base: `http://${found}` };
}

/** A redis-server that keeps nothing, on a free port. */
export async function startRedis() {
  for (let tries = 1; ; tries += 1) {
    const port = await freePort();
    const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', os.tmpdir()];
    const ready = (line) => line.includes('Ready to accept connections');
    try {
      const { child } = await start('redis-server', args.map(String), {}, ready);
      return { child, url: `redis://127.0.0.1:${port}` };
    } catch (error) {
      if (tries === PORT_TRIES) throw error;
    }
  }
}

/** A port that nobody listens on now. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** The suite's origin. */
export async function startOrigin(suiteFolder) {
  const child = forked('origin.mjs', [suiteFolder]);
  const { port } = await within(START_MS, 'the origin', message(child, 'the origin'));
  return { child, port };
}

/** Runs the tests `ids` against `base`; what became of each. */
export async function runClient(suiteFolder, base, ids) {
  const child = forked('client.mjs', [suiteFolder, base, JSON.stringify(ids)]);
  try {
    return (await within(CLIENT_MS, "the suite's client", message(child, "the suite's client"))).results;
  } finally {
    await stop(child);
  }
}

function forked(file, args) {
  const script = fileURLToPath(new URL(file, import.meta.url));
  const options = { execArgv: ['--no-warnings'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] };
  return keep(fork(script, args, options));
}

function message(child, name) {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
  });
}
