// Making and finding elements. Text is only ever set as text: nothing that comes from a server is read as markup.

/** The element with that id, which index.html has. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element; `attributes` with a value of undefined or false are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children);
  return made;
}

/** Shows `text` in `place`, or hides it when there is none. Same text again is not announced again. */
export function say(place, text) {
  place.hidden = !text;
  if (place.textContent !== (text ?? '')) place.textContent = text ?? '';
}

/** Tells screen readers something that others see for themselves. */
export function announce(text) {
  byId('announcer').textContent = text;
}
