// Who is signed in. The token lives in this variable and nowhere else: no storage, no cookie, no address.

let token;
let claims = {};

/** Takes over a token, also with `Bearer` in front; says what is wrong where it cannot be one. */
export function open(text) {
  const given = text.trim().replace(/^(authorization:\s*)?bearer(\s+|$)/i, '');
  if (given === '') return 'A token is needed.';
  // RFC 6750 section 2.1. A browser refuses to send letters beyond Latin-1, as if nobody could be reached.
  const odd = given.match(/[^\w\-.~+/=]/u)?.[0];
  if (odd) return `This is no token: no token has “${odd}” (U+${odd.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}) in it.`;
  token = given;
  claims = readClaims(token);
  return undefined;
}

/** Forgets it. */
export function close() {
  token = undefined;
  claims = {};
}

export function isOpen() {
  return token !== undefined;
}

/** What a request is sent with. */
export function authorization() {
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

/** What to call the user. For display only: the server believes the signature, not this page. */
export function userName() {
  const names = [claims.name, claims.preferred_username, claims.email, claims.sub];
  return names.find((name) => typeof name === 'string' && name !== '');
}

/** Milliseconds since 1970 at which the token ends, if it says so. */
export function expiresAt() {
  return typeof claims.exp === 'number' ? claims.exp * 1000 : undefined;
}

/** A token in the address's fragment, which is removed from the address and its history entry at once. */
export function takeFromAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get('token');
  if (found === null) return undefined;
  history.replaceState(null, '', location.pathname + location.search);
  return found;
}

function readClaims(text) {
  try {
    const part = text.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    const read = JSON.parse(new TextDecoder().decode(bytes));
    return read !== null && typeof read === 'object' ? read : {};
  } catch {
    // Not a token that can be read here. Whether it is valid is for the server to say.
    return {};
  }
}
