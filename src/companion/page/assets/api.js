// Asks the API. Everything that goes wrong becomes a Refusal that can be shown in words.

import { authorization } from './session.js';

/** Below the same prefix as this page, so that both work behind a proxy that adds one. */
const BASE = new URL('../api/v1/dashboard/', document.baseURI);
const TIMEOUT_MS = 30_000;
const SOURCES = ['title', 'detail', 'code', 'request_id'];

/** An answer that is none, from the server (`status` > 0) or from the way to it (`status` 0). */
export class Refusal extends Error {
  constructor(status, problem, retryAfterS) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    for (const key of SOURCES) this[key] = problem[key];
    this.errors = Array.isArray(problem.errors) ? problem.errors : [];
    this.retryAfterS = retryAfterS;
  }

  /** May the same request succeed later? */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** Is the token not, or no longer, accepted? */
  get isUnauthorized() {
    return this.status === 401;
  }

  /** All of it for people, with what an operator needs to find it in a log. */
  words() {
    const fields = this.errors.map(({ field, message }) => `${field}: ${message}`);
    const where = [this.status > 0 && `status ${this.status}`, this.request_id && `request ${this.request_id}`];
    const title = this.title && this.title !== this.message ? [`${this.title}.`] : [];
    const facts = where.filter(Boolean).join(', ');
    return [...title, sentence(this.message), ...fields.map(sentence), facts && `(${facts})`].filter(Boolean).join(' ');
  }
}

function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** `GET path` with those of the parameters that have a value. */
export function read(path, parameters, signal) {
  return call('GET', path, { parameters, signal });
}

/** Any request; its JSON body and its status. */
export async function call(method, path, { parameters = {}, body, headers = {}, signal } = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') url.searchParams.set(name, value);
  }
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const options = {
    method,
    // Revalidated with its ETag each time: a figure that is shown is one that the server stands by now.
    cache: 'no-cache',
    redirect: 'error',
    headers: { Accept: 'application/json', ...authorization(), ...headers },
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers['Content-Type'] = 'application/json';
  }
  const response = await fetch(url, options).catch((error) => unreachable(error, signal));
  const text = await response.text().catch((error) => unreachable(error, signal));
  if (!response.ok) throw refused(response, text);
  return { status: response.status, ...parsed(text) };
}

function unreachable(error, signal) {
  if (signal?.aborted) throw error;
  const detail = error.name === 'TimeoutError'
    ? `There was no answer within ${TIMEOUT_MS / 1000} s.`
    : 'The server cannot be reached.';
  throw new Refusal(0, { title: 'No answer', detail });
}

function refused(response, text) {
  let problem = {};
  try {
    problem = JSON.parse(text) ?? {};
  } catch {
    // A proxy between us may answer with a page of its own.
  }
  problem.request_id ??= response.headers.get('X-Request-Id') ?? undefined;
  const after = Number.parseInt(response.headers.get('Retry-After') ?? '', 10);
  return new Refusal(response.status, problem, Number.isNaN(after) ? undefined : after);
}

function parsed(text) {
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(0, { title: 'No answer', detail: 'The answer is not JSON: something between this page and the service replaced it.' });
  }
}

/** Where a file of the API's is, seen from this page: only the part below the API counts, since a proxy may add a prefix. */
export function located(address) {
  const { pathname, search } = new URL(address, BASE);
  const mark = '/api/v1/dashboard/';
  const at = pathname.lastIndexOf(mark);
  return at < 0 ? undefined : new URL(pathname.slice(at + mark.length) + search, BASE).href;
}
