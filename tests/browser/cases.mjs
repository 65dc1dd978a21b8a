// What the page must do. A case gets the browser's page, the world behind it and a folder for pictures; it throws where the page is wrong.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { HOSTILE } from './world.mjs';

const number = new Intl.NumberFormat('en-GB');

/** The text of a tile by its label. */
async function tile(page, label) {
  return page.locator('#tiles .tile', { has: page.locator('dt', { hasText: new RegExp(`^${label}$`) }) }).locator('.value').innerText();
}

/** A figure of the gateway by its label. */
async function gateway(page, label) {
  const place = page.locator('#gateway div', { has: page.locator('dt', { hasText: label }) }).locator('dd');
  return (await place.locator('.unknown').count()) > 0 ? undefined : place.innerText();
}

const picture = (page, at) => page.locator('.chart canvas').nth(at).evaluate((canvas) => canvas.toDataURL());
const noViolation = async (watched, where) => assert.deepEqual(await watched.axe(), [], `axe-core, ${where}`);

/** A table of values of a chart, opened. */
async function values(page, title) {
  const chart = page.locator('.chart', { has: page.locator('h2', { hasText: title }) });
  if (!(await chart.locator('details').evaluate((details) => details.open))) await chart.locator('summary').click();
  await chart.locator('tbody tr').first().waitFor();
  return chart.locator('tbody tr').evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText)));
}

async function wrong_tokens_are_refused_in_words({ watched, page, world }) {
  await page.press('#token', 'Enter');
  assert.equal(await page.innerText('#sign-in-problem'), 'A token is needed.');
  for (const [token, says] of [['nonsense', '401'], [world.token({ exp: 1 }), '401'], [world.token({ role: 'student' }), '403']]) {
    await page.fill('#token', token);
    await page.press('#token', 'Enter');
    await page.waitForFunction((text) => document.querySelector('#sign-in-problem').textContent.includes(text), `status ${says}, request `);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'token', 'the keyboard is where the trouble is');
  }
  await noViolation(watched, 'sign-in with a problem');
}

async function tiles_have_the_figures_of_the_api({ watched, page, world }) {
  await watched.signIn(world.token());
  const { data, metadata } = await world.ask('metrics');
  const { users, engagement, content } = data;
  assert.ok(users.total > 300 && engagement.sessions_week > 0 && content.published > 0, 'the seed is in the figures');
  for (const [label, value] of [
    ['Users', users.total], ['Active today', users.active_today], ['Sessions today', engagement.sessions_today],
    ['Online now', engagement.online_now], ['Published', content.published], ['Lessons completed', engagement.lessons_completed_30d],
  ]) assert.equal(await tile(page, label), number.format(value), label);
  assert.equal(await tile(page, 'Average score'), engagement.avg_score_30d.toFixed(1));
  assert.equal(await page.innerText('#tenant'), metadata.organization_id);
  assert.equal(await page.innerText('#user'), 'Ada Lovelace');
  assert.match(await page.innerText('#zone'), /Europe\/Oslo/);
  assert.equal(await page.locator('.shares', { hasText: 'Users by role' }).locator('tr').count(), Object.keys(users.by_role).length);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'dashboard-title', 'the keyboard is where the figures begin');
}

async function values_are_written_for_people({ page }) {
  const written = await page.evaluate(async () => {
    const format = await import('./format.js');
    const { duration, bytes, percent, milliseconds, change, moment, movedDay, daysBetween, day, words } = format;
    const noon = new Date('2026-03-29T12:00:00Z');
    return [
      [0, 59.6, 61, 3_600, 90_061].map(duration), [0, 1_023, 1_536, 5 * 2 ** 30].map(bytes), [0, 0.1234, 1].map(percent),
      [0.123, 9.96, 88.4].map(milliseconds), [12.34, -5, 0].map(change), [null, undefined, NaN, '5'].map((odd) => duration(odd) ?? '-'),
      [moment('2026-03-29T00:59:00Z', 'Europe/Oslo', noon), moment('2026-03-28T23:30:00Z', 'Europe/Oslo', noon), moment('2026-03-28T12:00:00Z', 'UTC', noon), moment('x', 'UTC') ?? '-'],
      [movedDay('2026-03-01', -1), movedDay('2026-03-29', 1), daysBetween('2026-03-28', '2026-03-30'), day(new Date('2026-03-28T23:30:00Z'), 'Europe/Oslo')],
      ['lesson_completed', 'user.created'].map(words),
    ];
  });
  assert.deepEqual(written, [
    ['0 s', '1 min', '1 min 1 s', '1 h', '1 d 1 h'], ['0 B', '1,023 B', '1.5 KiB', '5.0 GiB'], ['0.0 %', '12.3 %', '100.0 %'],
    ['0.12 ms', '10 ms', '88 ms'], ['+12.3 %', '-5.0 %', '0.0 %'], ['-', '-', '-', '-'],
    ['01:59:00', '00:30:00', '28 Mar 2026, 12:00:00', '-'],
    ['2026-02-28', '2026-03-30', 3, '2026-03-29'],
    ['Lesson completed', 'User created'],
  ]);
}

async function another_range_draws_other_charts({ page, world }) {
  const before = [await picture(page, 0), await picture(page, 1), await picture(page, 2)];
  await page.check('#presets input[value="7"]');
  await page.waitForFunction(() => document.querySelector('.chart .plot').getAttribute('aria-label').includes('by day') && !document.querySelector('#charts').hasAttribute('aria-busy'));
  const from = await page.inputValue('#from');
  const to = await page.inputValue('#to');
  const { data } = await world.ask(`statistics?from=${from}&to=${to}&granularity=day`);
  const shown = await values(page, 'User growth');
  assert.deepEqual(shown, data.series.user_growth.map((row) => [row.date, number.format(row.new), number.format(row.total)]));
  const engagement = await values(page, 'Engagement');
  assert.deepEqual(engagement.map((row) => row.slice(0, 3)), data.series.engagement.map((row) => [row.date, number.format(row.sessions), number.format(row.active_users)]));
  assert.equal(shown.length, 7);
  const after = [await picture(page, 0), await picture(page, 1), await picture(page, 2)];
  before.forEach((one, at) => assert.notEqual(one, after[at], `chart ${at}`));
  await page.selectOption('#granularity', 'week');
  await page.fill('#from', '2020-01-01');
  await page.click('#apply');
  assert.match(await page.innerText('#range-problem'), /At most 731 days/);
  await page.fill('#from', to);
  await page.fill('#to', from);
  await page.click('#apply');
  assert.match(await page.innerText('#range-problem'), /after the last/);
  await page.fill('#from', from);
  await page.fill('#to', to);
  await page.selectOption('#granularity', 'auto');
  assert.equal(await page.innerText('#range-problem'), '');
}

async function the_feed_goes_back_in_time_and_is_text_only({ page, world }) {
  const summaries = () => page.locator('#entries .summary').allInnerTexts();
  assert.equal((await summaries())[0], HOSTILE, 'markup in a row is shown as it is');
  assert.equal(await page.locator('#entries img').count(), 0);
  assert.equal((await summaries()).length, 20);
  await page.click('#older');
  await page.waitForFunction(() => document.querySelectorAll('#entries li').length === 40);
  const { data } = await world.ask('activity?limit=40');
  assert.deepEqual(await summaries(), data.items.map((item) => item.summary));
  await page.selectOption('#feed-type', 'lesson_completed');
  await page.waitForFunction(() => document.querySelectorAll('#entries li').length === 20);
  const kinds = new Set(await page.locator('#entries .kind').allInnerTexts());
  assert.deepEqual([...kinds], ['Lesson completed']);
  await page.selectOption('#feed-type', '');
  await page.waitForFunction((first) => document.querySelector('#entries .summary')?.textContent === first, HOSTILE);
}

async function an_export_shows_its_progress_and_is_downloaded({ watched, page, world, folder }) {
  await page.click('#open-export');
  await page.selectOption('#export-report', 'users');
  await page.selectOption('#export-format', 'csv');
  const heard = [];
  await page.exposeFunction('heardProgress', (text) => heard.push(text));
  await page.evaluate(() => {
    const words = document.getElementById('export-words');
    new MutationObserver(() => globalThis.heardProgress(words.textContent)).observe(words, { childList: true, characterData: true, subtree: true });
  });
  await page.click('#export-start');
  await page.waitForSelector('#export-result:not([hidden])', { timeout: 20_000 });
  assert.ok(heard.length > 0, 'something was said while it was written');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'export-download');
  await noViolation(watched, 'dialog with a finished export');
  await watched.screenshot(folder, 'export', false);
  const [download] = await Promise.all([page.waitForEvent('download'), page.press('#export-download', 'Enter')]);
  const text = fs.readFileSync(await download.path(), 'utf8').replace(/^\ufeff/, '');
  const lines = text.trimEnd().split('\r\n');
  const { data } = await world.ask('metrics');
  const rows = await page.locator('#export-facts div', { hasText: 'Rows' }).locator('dd').innerText();
  assert.equal(number.format(lines.length - 1), rows, 'as many rows as were said');
  assert.equal(lines.length - 1, data.users.total, 'without dates, all users');
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.querySelector('#export').open), false, 'Escape closes the dialog');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'open-export', 'and the keyboard is back where it was');
}

async function the_gateways_figures_are_live({ page, world }) {
  // The companion was there before the gateway, and asks it every few seconds.
  await refreshedUntil(page, async () => (await page.getAttribute('#gateway-status', 'data-status')) === 'ok', 'it is ok');
  const before = await gateway(page, 'Limited');
  await world.traffic();
  await refreshedUntil(page, async () => {
    const [limited, hits, p50] = [await gateway(page, 'Limited'), await gateway(page, 'Cache hits'), await gateway(page, 'p50')];
    return limited !== before && parseFloat(limited) > 0 && parseFloat(hits) > 0 && p50 !== undefined;
  }, 'the gateway shows what it did');
  assert.ok(await gateway(page, 'Uptime'), 'its uptime is known');
}

/** Presses Refresh until it is so. */
async function refreshedUntil(page, isSo, what, limitMs = 15_000) {
  const end = Date.now() + limitMs;
  while (!(await isSo())) {
    assert.ok(Date.now() < end, what);
    const answered = page.waitForResponse((response) => response.url().includes('/metrics'));
    await page.click('#refresh');
    await answered;
    await page.waitForTimeout(250);
  }
}

async function a_gateway_that_is_gone_is_unknown_and_not_nought({ watched, page, world, folder }) {
  await world.stopGate();
  await refreshedUntil(page, async () => (await page.getAttribute('#gateway-status', 'data-status')) === 'unknown', 'it is unknown');
  for (const label of ['Uptime', 'Requests/s', 'Cache hits', 'p50', 'p95', 'p99', 'Limited']) {
    assert.equal(await gateway(page, label), undefined, label);
  }
  assert.equal(await page.locator('#gateway .unknown [title=unknown]').count(), 8);
  await watched.screenshot(folder, 'gateway-unknown');
}

async function when_the_service_is_away_figures_stay_and_say_so_until_it_is_back({ watched, page, world, folder }) {
  const users = await tile(page, 'Users');
  await world.stopCompanion();
  await page.click('#refresh');
  await page.waitForSelector('#notices .notice');
  assert.match(await page.innerText('#notices'), /what is shown is of .*Next attempt in \d+ s\./s);
  assert.equal(await tile(page, 'Users'), users);
  await noViolation(watched, 'with a notice');
  await watched.screenshot(folder, 'away');
  await world.startCompanion();
  await page.waitForFunction(() => !document.querySelector('#notices .notice'), undefined, { timeout: 15_000 });
}

async function it_is_read_in_the_dark_and_on_a_telephone_and_on_a_wall({ watched, page, folder }) {
  const shots = [['light', 1280, 'light'], ['dark', 1280, 'dark'], ['narrow', 360, 'light'], ['narrow-dark', 360, 'dark'], ['wide', 1920, 'light']];
  await page.click('#refresh');
  for (const [name, width, theme] of shots) {
    await page.setViewportSize({ width, height: 900 });
    await page.selectOption('#theme', theme);
    await page.waitForFunction((wide) => [...document.querySelectorAll('.chart canvas')].every((canvas) => canvas.getBoundingClientRect().width <= wide), width);
    await watched.screenshot(folder, name);
    assert.ok(await watched.isWithinWidth(), `${name}: nothing sticks out`);
    await noViolation(watched, name);
    if (name === 'dark' || name === 'narrow') {
      await page.click('#open-export');
      await noViolation(watched, `dialog, ${name}`);
      assert.ok(await watched.isWithinWidth(), `dialog, ${name}: nothing sticks out`);
      await watched.screenshot(folder, `${name}-dialog`, false);
      await page.keyboard.press('Escape');
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.selectOption('#theme', '');
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const [light, before] = [await ground(), await picture(page, 0)];
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.notEqual(await ground(), light, 'the theme of the system');
  await page.waitForFunction((old) => document.querySelector('.chart canvas').toDataURL() !== old, before);
  await page.emulateMedia({ colorScheme: 'light' });
}

async function the_keyboard_alone_is_enough({ page }) {
  await page.focus('.skip');
  const walked = ['skip'];
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press('Tab');
    const place = await page.evaluate(() => {
      const { activeElement: at } = document;
      const outlined = at.matches('.segments input') ? at.nextElementSibling : at;
      const style = getComputedStyle(outlined);
      return { name: at.id || at.name || at.tagName.toLowerCase(), isVisible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
    });
    if (place.name === 'body') break;
    assert.ok(place.isVisible, `${place.name} shows that it has the keyboard`);
    if (walked.at(-1) !== place.name) walked.push(place.name);
  }
  const expected = ['skip', 'auto', 'refresh', 'open-export', 'theme', 'sign-out', 'preset', 'from', 'to', 'granularity', 'apply', 'summary', 'feed-type', 'entries', 'older'];
  const order = expected.map((name) => walked.indexOf(name));
  assert.ok(order.every((at, place) => at >= 0 && (place === 0 || at > order[place - 1])), `the order of the keyboard: ${walked}`);
  await page.focus('#presets input:checked');
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => document.querySelector('#presets input[value="30"]').checked);
  await page.focus('#open-export');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.querySelector('#export').contains(document.activeElement)), true);
  await page.keyboard.press('Escape');
}

async function nothing_is_stored_and_signing_out_forgets({ watched, page }) {
  const stored = await page.evaluate(async () => ({
    local: localStorage.length, session: sessionStorage.length, cookies: document.cookie, databases: (await indexedDB.databases()).length,
    caches: (await caches.keys()).length, address: location.href, history: JSON.stringify(history.state), field: document.querySelector('#token').value,
  }));
  assert.deepEqual({ ...stored, address: undefined }, { local: 0, session: 0, cookies: '', databases: 0, caches: 0, address: undefined, history: 'null', field: '' });
  assert.ok(!watched.asked.some((address) => address.includes('eyJ')), 'no address has a token in it');
  await page.click('#sign-out');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'token');
  assert.equal(await page.locator('#tiles .tile').count() + await page.locator('#entries li').count() + await page.locator('.plot canvas').count(), 0, 'no figure stays');
  await page.reload();
  assert.ok(await page.isVisible('#sign-in'));
}

async function a_link_with_a_token_signs_in_and_hides_it({ watched, page, world, place }) {
  await page.goto('about:blank');
  await page.goto(`${place}#token=${world.token({ name: HOSTILE })}`);
  await watched.isFilled();
  assert.equal(await page.evaluate(() => location.href), place);
  assert.equal(await page.innerText('#user'), HOSTILE, 'a name is text');
  await page.click('#sign-out');
}

async function another_tenant_sees_nothing_of_the_first({ watched, page, world }) {
  const token = world.token({ organization_id: world.other, role: 'teacher' });
  await watched.signIn(token);
  const { data } = await world.ask('metrics', token);
  assert.equal(await tile(page, 'Users'), number.format(data.users.total));
  assert.equal(await page.innerText('#tenant'), world.other);
  assert.ok(!(await page.locator('#entries .summary').allInnerTexts()).includes(HOSTILE));
  await page.click('#open-export');
  await page.click('#export-start');
  await page.waitForSelector('#export-problem:not([hidden])');
  assert.match(await page.innerText('#export-problem'), /status 403/, 'a teacher may not export');
  await page.keyboard.press('Escape');
  await page.click('#sign-out');
}

async function a_tenant_with_nothing_is_told_so({ watched, page, world, folder }) {
  await page.fill('#token', world.token({ organization_id: world.empty }));
  await page.press('#token', 'Enter');
  await page.waitForSelector('#feed-empty:not([hidden])');
  await page.waitForSelector('.chart .empty:not([hidden])');
  assert.equal(await tile(page, 'Users'), '0');
  assert.equal(await page.locator('#tiles .tile', { hasText: 'Average score' }).locator('.unknown').count(), 1, 'an average of nothing is unknown');
  await noViolation(watched, 'a tenant with nothing');
  await watched.screenshot(folder, 'empty');
  await page.click('#sign-out');
}

async function figures_are_asked_for_again_by_themselves_unless_switched_off({ watched, page, world }) {
  await page.clock.install();
  await page.reload();
  await watched.signIn(world.token());
  const asked = () => watched.asked.filter((address) => address.endsWith('/metrics')).length;
  await Promise.all([page.waitForRequest((request) => request.url().endsWith('/metrics')), page.clock.fastForward(16_000)]);
  await page.uncheck('#auto');
  const before = asked();
  await page.clock.fastForward(60_000);
  await page.waitForTimeout(200);
  assert.equal(asked(), before);
}

async function a_token_that_ends_leads_back_to_the_sign_in({ watched, page, world }) {
  await watched.signIn(world.token({ exp: Math.floor(Date.now() / 1000) + 3 }));
  await page.waitForSelector('#sign-in-problem:not([hidden])');
  assert.match(await page.innerText('#sign-in-problem'), /expired/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'token');
}

async function without_the_last_slash_and_below_a_prefix_it_works_too({ watched, page, world, place }) {
  await page.goto(place.slice(0, -1));
  assert.equal(page.url(), place);
  await watched.signIn(world.token());
  assert.equal(await tile(page, 'Users'), number.format((await world.ask('metrics')).data.users.total));
}

/** In this order, on one page each: where the page is, what is done with it. */
export const VISITS = [
  ['proxied', [
    values_are_written_for_people, wrong_tokens_are_refused_in_words, tiles_have_the_figures_of_the_api, another_range_draws_other_charts, the_feed_goes_back_in_time_and_is_text_only,
    an_export_shows_its_progress_and_is_downloaded, the_gateways_figures_are_live, it_is_read_in_the_dark_and_on_a_telephone_and_on_a_wall,
    the_keyboard_alone_is_enough, nothing_is_stored_and_signing_out_forgets, a_link_with_a_token_signs_in_and_hides_it,
    another_tenant_sees_nothing_of_the_first, a_tenant_with_nothing_is_told_so, a_token_that_ends_leads_back_to_the_sign_in,
  ]],
  ['prefixed', [without_the_last_slash_and_below_a_prefix_it_works_too, figures_are_asked_for_again_by_themselves_unless_switched_off]],
  ['direct', [
    tiles_have_the_figures_of_the_api, when_the_service_is_away_figures_stay_and_say_so_until_it_is_back, a_gateway_that_is_gone_is_unknown_and_not_nought,
  ]],
];
