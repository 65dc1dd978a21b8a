// Light, dark, or as the system says. Not remembered: this page stores nothing.

import { byId } from './dom.js';

/** Calls `onChange` when other colours are in force. */
export function startTheme(onChange) {
  const select = byId('theme');
  // A browser may have kept the choice of a page that was reloaded.
  select.value = '';
  select.addEventListener('change', () => {
    if (select.value === '') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = select.value;
    onChange();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange);
}
