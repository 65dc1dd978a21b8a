// A page under watch: what it asks for, what it complains about, what axe-core says, what it looks like.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { chromium } from 'playwright-core';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// Nothing that a browser does by itself, so that every request is one of the page's.
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
// Answers that a case provokes: the browser itself reports each, whatever the page makes of it.
const PROVOKED = /Failed to load resource: (the server responded with a status of (401|403|422|429|502|503|504)|net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE))/;

export async function openBrowser(executable) {
  const executablePath = executable ?? PLACES.find((place) => fs.existsSync(place));
  if (!executablePath) throw new Error('there is no Chromium; `scripts/setup.sh browser` installs it');
  return chromium.launch({ executablePath, args: FLAGS });
}

/** One browser context with one page. `faults` is what must not have happened. */
export class Watched {
  static async open(browser, options = {}) {
    const watched = new Watched();
    watched.faults = [];
    watched.asked = [];
    watched.context = await browser.newContext({ acceptDownloads: true, viewport: { width: 1280, height: 900 }, ...options });
    watched.page = await watched.context.newPage();
    watched.listen();
    return watched;
  }

  listen() {
    const { page, faults } = this;
    page.setDefaultTimeout(10_000);
    page.on('pageerror', (error) => faults.push(`script: ${error.stack ?? error}`));
    page.on('console', (message) => {
      const isFault = ['error', 'warning'].includes(message.type()) && !PROVOKED.test(message.text());
      if (isFault) faults.push(`console: ${message.text()}`);
    });
    this.context.on('request', (request) => {
      this.asked.push(request.url());
      const { origin } = new URL(request.url());
      if (this.origin && origin !== this.origin && origin !== 'null') faults.push(`asks ${request.url()}`);
    });
  }

  /** Opens the page and listens for violations of its policy from the first byte on. */
  async visit(address) {
    this.origin = new URL(address).origin;
    await this.page.addInitScript(() => {
      globalThis.violations = [];
      document.addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    });
    return this.page.goto(address);
  }

  async signIn(token) {
    await this.page.fill('#token', token);
    await this.page.press('#token', 'Enter');
    await this.isFilled();
  }

  /** Waits until figures, charts and feed are there. */
  async isFilled() {
    await this.page.waitForSelector('#tiles .tile');
    await this.page.waitForSelector('.chart canvas');
    await this.page.waitForSelector('#entries li');
  }

  /** What axe-core finds, each with the place and the reason. */
  async axe() {
    const { violations } = await this.page.evaluate(`${AXE}; axe.run()`);
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} at ${node.target}: ${node.failureSummary}`));
  }

  async isWithinWidth() {
    return this.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
  }

  async screenshot(folder, name, fullPage = true) {
    await this.page.screenshot({ path: path.join(folder, `${name}.png`), fullPage });
  }

  /** Everything that must not have happened, with the policy's violations. */
  async close() {
    const violations = await this.page.evaluate(() => globalThis.violations ?? []);
    await this.context.close();
    return [...this.faults, ...violations.map((violation) => `policy: ${violation}`)];
  }
}
