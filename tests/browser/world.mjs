// Everything that the page needs, for real: a seeded database, the companion, a gateway in front of it and of a backend.
import { spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import process from 'node:process';
import { freePort, start, stop } from '../conformance/processes.mjs';

const SEED = ['--tenants', '3', '--users-per-tenant', '300', '--days', '120'];
/** A row of the feed that is markup, should anybody take it for that. */
export const HOSTILE = '<img src=x onerror="document.title=\'taken over\'"><b>bold</b>';
/** What the seed does not make: a tenant with nothing, a time zone, that row. */
const ADD = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
tenant, empty, summary = sys.argv[2:]
database.execute("UPDATE organizations SET timezone = 'Europe/Oslo' WHERE id = ?", (tenant,))
database.execute("UPDATE activity_log SET summary = ? WHERE id = (SELECT id FROM activity_log WHERE organization_id = ? ORDER BY created_at DESC, id DESC LIMIT 1)", (summary, tenant))
database.execute("INSERT INTO organizations (id, name, slug, created_at, updated_at) VALUES (?, 'Empty', 'empty', 0, 0)", (empty,))
database.commit()
`;

/** So many entries of the feed, each a microsecond after the one before: the last is the newest. */
const HAPPEN = `
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=20)
tenant, many, summary = sys.argv[2], int(sys.argv[3]), sys.argv[4]
newest = database.execute("SELECT max(created_at) FROM activity_log WHERE organization_id = ?", (tenant,)).fetchone()[0]
begin = max(newest, time.time_ns() // 1000 - many) + 1
database.executemany("INSERT INTO activity_log (organization_id, activity_type, summary, created_at) VALUES (?, 'login', ?, ?)",
    [(tenant, f"{summary} {number}", begin + number) for number in range(many)])
database.commit()
`;

/** Starts it all; `close` ends it all. */
export class World {
  static async start(binary, folder) {
    const world = new World();
    Object.assign(world, { binary, folder, secret: randomBytes(32).toString('hex'), database: path.join(folder, 'dashboard.db') });
    world.origin = await backend();
    [world.adminPort, world.gatePort, world.companionPort] = [await freePort(), await freePort(), await freePort()];
    world.config = path.join(folder, 'tidegate.yaml');
    fs.writeFileSync(world.config, world.yaml());
    world.run('dashboard', 'migrate', '--config', world.config);
    const { tenants } = JSON.parse(world.run('dashboard', 'seed', '--json', '--config', world.config, ...SEED));
    Object.assign(world, { tenant: tenants[0].id, user: tenants[0].admin, other: tenants[1].id, empty: '00000000-0000-4000-8000-000000000000' });
    world.change(ADD, world.tenant, world.empty, HOSTILE);
    await world.startCompanion();
    await world.startGate();
    world.prefix = await prefixing(world.gatePort, '/school/tools');
    return world;
  }

  /** No answer of the API is kept by the gateway, the feed by nobody, and few rows make an export a job, so that its progress is seen. */
  yaml() {
    return `server: {listen: 127.0.0.1:${this.gatePort}}
admin: {listen: 127.0.0.1:${this.adminPort}}
upstreams:
  backend: 127.0.0.1:${this.origin.address().port}
  metrics-service: 127.0.0.1:${this.companionPort}
identity: {jwt: {algorithms: [HS256], secret: ${this.secret}, leeway: 0s}}
limits: {few: {per: [ip], windows: {1m: 20}}}
cache: {namespaces: {content: {ttl: 5m, scope: public, mode: override}}}
dashboard:
  listen: 127.0.0.1:${this.companionPort}
  database: sqlite:${this.database}
  gateways: [http://127.0.0.1:${this.adminPort}]
  export_dir: ${path.join(this.folder, 'exports')}
  exports: {at_once_rows: 50}
  cache: {activity: none}
routes:
  - {path: /api/v1/dashboard/, upstream: metrics-service}
  - {path: /dashboard/, upstream: metrics-service}
  - {path: /cached/, upstream: backend, cache: content}
  - {path: /limited/, upstream: backend, limit: few}
  - {path: /, upstream: backend}
`;
  }

  run(...words) {
    const ran = spawnSync(this.binary, words, { cwd: this.folder, encoding: 'utf8', env: { PATH: process.env.PATH } });
    if (ran.status !== 0) throw new Error(`tidegate ${words.join(' ')}: ${ran.stderr ?? ran.error}`);
    return ran.stdout;
  }

  change(script, ...words) {
    const changed = spawnSync('python3', ['-c', script, this.database, ...words], { encoding: 'utf8' });
    if (changed.status !== 0) throw new Error(`the database is not as it should be: ${changed.stderr ?? changed.error}`);
  }

  /** So many new entries in the tenant's feed, from `summary 0` on. */
  happen(many, summary) {
    this.change(HAPPEN, this.tenant, String(many), summary);
  }

  async startCompanion() {
    const ready = (line) => line.match(/^listening .*=(\S+)/)?.[1];
    this.companion = (await start(this.binary, ['dashboard', 'serve', '--config', this.config], {}, ready)).child;
  }

  async startGate() {
    const ready = (line) => line.match(/^listening http=(\S+) /)?.[1];
    this.gate = (await start(this.binary, ['run', '--config', this.config], {}, ready)).child;
  }

  async stopCompanion() {
    await stop(this.companion);
  }

  async stopGate() {
    await stop(this.gate);
  }

  /** Where the page is: through the gateway, at the companion itself, and below a prefix that a third proxy takes away. */
  get places() {
    return {
      proxied: `http://127.0.0.1:${this.gatePort}/dashboard/`,
      direct: `http://127.0.0.1:${this.companionPort}/dashboard/`,
      prefixed: `http://127.0.0.1:${this.prefix.address().port}/school/tools/dashboard/`,
    };
  }

  /** A signed token; `claims` come over the usual ones. */
  token(claims = {}) {
    const now = Math.floor(Date.now() / 1000);
    const all = { sub: this.user, name: 'Ada Lovelace', organization_id: this.tenant, role: 'admin', iat: now, exp: now + 3_600, ...claims };
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(all)}`;
    return `${signed}.${createHmac('sha256', this.secret).update(signed).digest('base64url')}`;
  }

  /** What the companion itself says. */
  async ask(question, token = this.token()) {
    const url = `http://127.0.0.1:${this.companionPort}/api/v1/dashboard/${question}`;
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
    if (!answer.ok) throw new Error(`${question}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Requests through the gateway: answered from the cache but for the first, and limited from the 21st on. */
  async traffic() {
    const get = async (target) => (await fetch(`http://127.0.0.1:${this.gatePort}${target}`)).arrayBuffer();
    for (let turn = 0; turn < 40; turn += 1) await Promise.all([get('/cached/page'), get('/limited/page')]);
  }

  async close() {
    for (const server of [this.origin, this.prefix]) {
      server?.closeAllConnections?.();
      server?.close();
    }
    if (this.gate) await this.stopGate();
    if (this.companion) await this.stopCompanion();
  }
}

async function backend() {
  const server = http.createServer((request, response) => response.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** A proxy that serves everything below `prefix` and hands it on without, as many a reverse proxy does. */
async function prefixing(port, prefix) {
  const server = http.createServer((request, response) => {
    if (!request.url.startsWith(`${prefix}/`)) return response.writeHead(404).end();
    const options = { port, host: '127.0.0.1', method: request.method, path: request.url.slice(prefix.length), headers: request.headers };
    const onward = http.request(options, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
