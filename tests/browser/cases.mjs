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
  const before = watched.asked.length;
  await page.fill('#token', `${world.token()}\u2603`);
  await page.press('#token', 'Enter');
  assert.equal(await page.innerText('#sign-in-problem'), 'This is no token: no token has “\u2603” (U+2603) in it.');
  assert.equal(watched.asked.length, before, 'what no browser would send is not asked');
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

/** Presses Refresh; the feed has been read then. */
async function feedRefreshed(page) {
  await page.evaluate(() => document.querySelector('#announcer').replaceChildren());
  await page.click('#refresh');
  await page.waitForFunction(() => document.querySelector('#announcer').textContent === 'Everything is up to date.');
}

async function a_reader_of_a_busy_feed_keeps_their_place({ watched, page, world, folder }) {
  const entries = page.locator('#entries li');
  const first = () => page.locator('#entries .summary').first().innerText();
  const [before, top] = [await entries.count(), await first()];
  world.happen(60, 'some');
  await feedRefreshed(page);
  assert.equal(await first(), 'some 59');
  assert.equal(await entries.count(), before + 60, 'more than a page, and none is missing');
  assert.equal(await page.locator('#entries .summary').nth(60).innerText(), top);
  await page.click('#older');
  await page.waitForFunction((many) => document.querySelectorAll('#entries li').length === many, before + 80);
  const scrolled = await page.locator('#entries').evaluate((list) => {
    list.scrollTop = 900;
    return list.scrollTop;
  });
  world.happen(400, 'many');
  for (let turn = 0; turn < 2; turn += 1) {
    await feedRefreshed(page);
    assert.equal(await page.innerText('#newer'), 'More than 220 new entries');
    assert.equal(await first(), 'some 59', 'the list is as it was');
    assert.equal(await page.locator('#entries').evaluate((list) => list.scrollTop), scrolled);
  }
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 900 });
    await noViolation(watched, `new entries are offered, ${width}`);
    assert.ok(await watched.isWithinWidth(), `new entries are offered, ${width}: nothing sticks out`);
    await watched.screenshot(folder, `newer-${width}`);
  }
  const isSeen = (place) => page.locator(place).first().evaluate((found) => {
    const { top, bottom } = found.getBoundingClientRect();
    return top >= 0 && bottom <= innerHeight;
  });
  await page.locator('#entries li').last().scrollIntoViewIfNeeded();
  assert.deepEqual([await isSeen('#newer'), await isSeen('#entries li')], [true, false], 'it is in sight of who reads far down');
  await page.focus('#newer');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#newer', { state: 'hidden' });
  assert.deepEqual([await entries.count(), await first()], [20, 'many 399']);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'entries', 'the keyboard is where the new entries are');
  assert.ok(await isSeen('#entries li'), 'and so are the eyes');
  await page.setViewportSize({ width: 1280, height: 900 });
  // The list scrolls by itself again, and the browser knows where it was.
  await page.locator('#entries').evaluate((list) => list.scrollTo(0, 0));
  world.happen(400, 'unread');
  await feedRefreshed(page);
  assert.deepEqual([await entries.count(), await first(), await page.isHidden('#newer')], [20, 'unread 399', true], 'nobody was reading: it begins anew');
}

async function a_feed_that_is_left_open_keeps_a_thousand_entries_and_writes_times_once({ page, world }) {
  const list = page.locator('#entries');
  for (let turn = 0; turn < 6; turn += 1) {
    world.happen(200, `turn ${turn}`);
    await feedRefreshed(page);
  }
  assert.equal(await list.locator('li').count(), 1_000);
  assert.equal(await list.locator('.summary').first().innerText(), 'turn 5 199');
  assert.equal(await list.locator('.summary').last().innerText(), 'turn 1 0', 'the oldest have gone');
  assert.ok(await page.isHidden('#older'), 'nothing leads on from where entries have gone');
  const changes = await page.evaluateHandle(() => {
    const seen = { many: 0 };
    new MutationObserver((records) => { seen.many += records.length; }).observe(document.querySelector('#entries'), { childList: true, characterData: true, subtree: true });
    return seen;
  });
  await feedRefreshed(page);
  assert.equal(await changes.evaluate(({ many }) => many), 0, 'nothing is new, and no time is written again');
  await page.selectOption('#feed-type', 'lesson_completed');
  await page.selectOption('#feed-type', '');
  await page.waitForFunction(() => document.querySelectorAll('#entries li').length === 20);
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
  assert.match(await page.getAttribute('#export-download', 'href'), /sig=/, 'the export of before can still be had');
  await page.click('#sign-out');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'token');
  const left = await page.evaluate(() => ['#export-facts', '#export-announcer', '#newer'].map((place) => document.querySelector(place).textContent).concat(document.querySelector('#export-report').value));
  assert.deepEqual(left, ['', '', '', 'metrics']);
  assert.ok(!(await page.content()).includes('sig='), 'no link of an export stays');
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
  assert.ok(await page.isHidden('#open-export'), 'a teacher may not export');
  await page.click('#sign-out');
  await watched.signIn(world.token());
  assert.ok(await page.isVisible('#open-export'), 'an administrator may');
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
  await Promise.all([page.waitForRequest((request) => request.url().endsWith('/metrics')), page.clock.fastForward(31_000)]);
  await page.uncheck('#auto');
  const before = asked();
  await page.clock.fastForward(60_000);
  await page.waitForTimeout(200);
  assert.equal(asked(), before);
}

async function after_midnight_entries_of_the_day_before_get_their_date({ watched, page, world }) {
  await page.reload();
  await watched.signIn(world.token({ exp: Math.floor(Date.now() / 1000) + 3 * 86_400 }));
  const dated = () => page.locator('#entries time').evaluateAll((times) => times.filter((time) => time.textContent.includes(', ')).length);
  world.happen(5, 'before midnight');
  await feedRefreshed(page);
  assert.ok(await dated() < await page.locator('#entries time').count(), 'today has no date');
  await page.clock.setFixedTime(Date.now() + 86_400_000);
  await feedRefreshed(page);
  assert.equal(await dated(), await page.locator('#entries time').count());
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
  await watched.signIn(`Bearer ${world.token()}`);
  assert.equal(await tile(page, 'Users'), number.format((await world.ask('metrics')).data.users.total));
}

/** In this order, on one page each: where the page is, what is done with it. */
export const VISITS = [
  ['proxied', [
    values_are_written_for_people, wrong_tokens_are_refused_in_words, tiles_have_the_figures_of_the_api, another_range_draws_other_charts, the_feed_goes_back_in_time_and_is_text_only,
    an_export_shows_its_progress_and_is_downloaded, the_gateways_figures_are_live, it_is_read_in_the_dark_and_on_a_telephone_and_on_a_wall,
    the_keyboard_alone_is_enough, a_reader_of_a_busy_feed_keeps_their_place, a_feed_that_is_left_open_keeps_a_thousand_entries_and_writes_times_once, nothing_is_stored_and_signing_out_forgets, a_link_with_a_token_signs_in_and_hides_it,
    another_tenant_sees_nothing_of_the_first, a_tenant_with_nothing_is_told_so, a_token_that_ends_leads_back_to_the_sign_in,
  ]],
  ['prefixed', [without_the_last_slash_and_below_a_prefix_it_works_too, figures_are_asked_for_again_by_themselves_unless_switched_off, after_midnight_entries_of_the_day_before_get_their_date]],
  ['direct', [
    tiles_have_the_figures_of_the_api, when_the_service_is_away_figures_stay_and_say_so_until_it_is_back, a_gateway_that_is_gone_is_unknown_and_not_nought,
  ]],
];
