// Who is signed in. The token lives in this variable and nowhere else: no storage, no cookie, no address.

let token;
let claims = {};

/** Takes over a token. */
export function open(text) {
  token = text.trim();
  claims = readClaims(token);
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
