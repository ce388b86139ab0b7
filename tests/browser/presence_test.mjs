// Who is there, on all servers of a chat: three of them over a real Redis, with a browser on each.
//
// Usage: node presence_test.mjs CHAT CHROMIUM; needs redis-server.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {atEnd, countOf, hasStatus, isMember, join, say, shows, startChat, startNetwork,
        startRedis} from './pages.mjs';
import {Chat, deadline} from './support.mjs';

/** Servers of one chat. */
async function startChats(count, ...options) {
  const redis = await startRedis();
  const all = ['--redis', redis.url, ...options];
  return {all, chats: await Promise.all(Array.from({length: count}, () => startChat(...all)))};
}

/** The page shows that these people are in the room, and no others. */
async function areHere(page, ...names) {
  await page.getByText(`${names.length} here`, {exact: true}).waitFor();
  for (const name of names) {
    await page.locator('#members li').filter({hasText: new RegExp(`^${name}( \\(you\\))?$`)}).waitFor();
  }
}

/** Another tab of the same browser, which remembers the name. */
async function openTab(page, url) {
  const tab = await page.context().newPage();
  await tab.goto(url);
  await hasStatus(tab, /^connected$/);
  return tab;
}

test('a page shows who is there on all servers, and who comes and leaves', async () => {
  const {chats} = await startChats(3, '--linger', '2');
  const pages = [];
  for (const [n, name] of ['Alice', 'Bob', 'Carol'].entries()) {
    pages.push(await join(chats[n], name));
    for (const page of pages.slice(0, -1)) await shows(page, `${name} joined`);
  }
  for (const page of pages) await areHere(page, 'Alice', 'Bob', 'Carol');
  const [alice, bob, carol] = pages;
  // Those who were there before are not news.
  for (const name of ['Alice', 'Bob', 'Carol']) assert.equal(await countOf(carol, `${name} joined`), 0);

  const left = performance.now();
  await bob.getByRole('button', {name: 'Leave'}).click();
  for (const page of [alice, carol]) {
    await shows(page, 'Bob left');
    await areHere(page, 'Alice', 'Carol');
  }
  assert.ok(performance.now() - left >= 2000, 'Bob lingers for two seconds');
});

test('the tabs of a browser count as one person, also on different servers', async () => {
  const {chats} = await startChats(3);
  const [one, other, third] = chats;
  const balancer = await startNetwork(one);  // what all tabs see as one server
  const bob = await join(third, 'Bob');
  const alice = await join(balancer, 'Alice');
  await shows(bob, 'Alice joined');
  balancer.port = other.port;
  const tab = await openTab(alice, balancer.url);
  for (const page of [alice, bob, tab]) await areHere(page, 'Alice', 'Bob');
  await say(tab, 'from the second tab');
  for (const page of [alice, bob]) await shows(page, 'from the second tab');

  await alice.close();
  const carol = await join(one, 'Carol');
  for (const page of [bob, tab, carol]) await areHere(page, 'Alice', 'Bob', 'Carol');
  assert.equal(await countOf(bob, 'Alice joined'), 1);
  assert.equal(await countOf(bob, 'Alice left'), 0);
  await tab.close();
  await shows(bob, 'Alice left');
  await areHere(bob, 'Bob', 'Carol');
});

test('the members of a killed server leave when its lease has ended', async () => {
  const {all, chats: [one, other]} = await startChats(2, '--lease', '5');
  const killed = await Chat.start(...all);
  atEnd.push(() => killed.stop('SIGKILL'));
  const alice = await join(one, 'Alice');
  const bob = await join(other, 'Bob');
  const carol = await join(killed, 'Carol');
  for (const page of [alice, bob, carol]) await areHere(page, 'Alice', 'Bob', 'Carol');
  await killed.stop('SIGKILL');
  await hasStatus(carol, /^reconnecting$/);
  for (const page of [alice, bob]) {
    await shows(page, 'Carol left');
    await areHere(page, 'Alice', 'Bob');
  }
});

test('nobody leaves when a server is restarted', async () => {
  // Until then the server is back, and so are its clients, which the old server asks to wait for up to 5 s.
  const {all, chats: [one, other]} = await startChats(2, '--linger', '20', '--lease', '300');
  const old = await Chat.start(...all);
  const alice = await join(one, 'Alice');
  const bob = await join(other, 'Bob');
  const carol = await join(old, 'Carol');
  const dave = await join(old, 'Dave');
  for (const page of [alice, bob, carol, dave]) await areHere(page, 'Alice', 'Bob', 'Carol', 'Dave');
  assert.equal(await old.stop(), 0, old.errors);
  await hasStatus(carol, /^server closing, reconnecting$/);
  await dave.goto('about:blank');  // does not come back
  await startChat('--port', old.port, ...all);
  await hasStatus(carol, /^connected$/);
  for (const page of [alice, bob, carol]) {
    await areHere(page, 'Alice', 'Bob', 'Carol', 'Dave');
    assert.equal(await countOf(page, 'Dave left'), 0);
  }
  for (const page of [alice, bob, carol]) {  // what is left of the old server goes
    await page.getByText('Dave left', {exact: true}).waitFor({timeout: 3 * deadline});
  }
  await say(carol, 'still here');
  for (const page of [alice, bob]) {
    await shows(page, 'still here');
    await isMember(page, 'Carol');
    assert.equal(await countOf(page, 'Carol left'), 0);
    assert.equal(await countOf(page, 'Carol joined'), 1);
  }
});
