// The chat's page comes back after its connection was lost, and shows what it missed.
//
// Usage: node resume_test.mjs CHAT CHROMIUM

import assert from 'node:assert/strict';
import {test} from 'node:test';

import WebSocket from 'ws';

import {atEnd, countOf, hasStatus, isSent, join, openWindow, say, shows, startChat,
        startNetwork} from './pages.mjs';
import {Chat, deadline} from './support.mjs';

const lost = 'some messages may be missing here';

/** What the page shows, in order: of others and its own. */
const said = (page) => page.locator('#log li:is(.text, .mine) > span').allTextContents();

/** A member without a page. Its texts have no keys, by which a page would recognise a second copy. */
async function enter(chat, name) {
  const socket = new WebSocket(`ws://127.0.0.1:${chat.port}/ws/lobby?name=${name}`);
  atEnd.push(() => socket.terminate());
  const events = [];
  let look = () => {};
  const people = new Map();  // id -> name
  socket.on('message', (data) => {
    const event = JSON.parse(data);
    events.push(event);
    if (event.members) people.clear();
    for (const {id, name} of [...event.members ?? [], ...event.joined ?? []]) people.set(id, name);
    for (const id of event.left ?? []) people.delete(id);
    look();
  });
  const until = (what, isTrue) => new Promise((resolve, reject) => {
    const watchdog = setTimeout(() => reject(new Error(
        `${name} ${what}, but ${JSON.stringify([...people.values(), ...events])}`)), 2 * deadline);
    look = () => {
      if (!isTrue()) return;
      look = () => {};
      clearTimeout(watchdog);
      resolve();
    };
    look();
  });
  // Waits for what it has not heard before.
  const hears = (event, from, text) => until(`hears no ${event} of ${from}`, () => {
    const found = events.findIndex((e) => e.event === event && e.name === from && e.text === text);
    return found >= 0 && events.splice(0, found + 1);
  });
  // Waits until these people are in the room, and no others.
  const sees = (...names) => until(`does not see ${names}`,
                                   () => `${[...people.values()].sort()}` === `${names}`);
  await hears('welcome', name);
  return {hears, sees, say: (text) => socket.send(text)};
}

test('a page whose connection was lost shows what it missed, in order and once', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const bob = await enter(chat, 'Bob');
  const alice = await join(network, 'Alice');
  bob.say('before');
  await shows(alice, 'before');
  await say(alice, 'an answer');
  await isSent(alice, 'an answer');
  for (const round of ['once', 'twice']) {
    await bob.sees('Alice', 'Bob');
    network.drop();
    await hasStatus(alice, /^reconnecting$/);
    await bob.sees('Bob');
    for (const text of ['one', 'two', 'three']) bob.say(`${text} ${round}`);
    network.mend();
    await alice.evaluate(() => dispatchEvent(new Event('online')));  // sooner than after the next delay
    await shows(alice, `three ${round}`);
    await hasStatus(alice, /^connected$/);
  }
  bob.say('after');
  await shows(alice, 'after');
  assert.deepEqual(await said(alice), ['before', 'an answer', 'one once', 'two once', 'three once',
                                       'one twice', 'two twice', 'three twice', 'after']);
  assert.equal(await countOf(alice, 'connected again'), 2);
  assert.equal(await countOf(alice, lost), 0);
});

test('a page without a network for longer than the heartbeat shows what it missed', async () => {
  const chat = await startChat('--heartbeat', '1');
  const network = await startNetwork(chat);
  const bob = await enter(chat, 'Bob');
  const alice = await join(network, 'Alice');
  bob.say('before');
  await shows(alice, 'before');
  await bob.sees('Alice', 'Bob');
  network.cut();
  bob.say('into the void');  // the server thinks that it was sent
  await bob.sees('Bob');
  bob.say('to those who are left');
  network.mend();
  await shows(alice, 'to those who are left');
  await hasStatus(alice, /^connected$/);
  await say(alice, 'here again');
  await bob.hears('message', 'Alice', 'here again');
  assert.deepEqual(await said(alice), ['before', 'into the void', 'to those who are left', 'here again']);
  assert.equal(await countOf(alice, lost), 0);
});

test('a page that was too slow for the server loses its connection, and no message', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const alice = await join(network, 'Alice');
  const bob = await enter(chat, 'Bob');
  await shows(alice, 'Bob joined');
  // Long enough that the connection cannot hold them while nobody reads.
  const texts = Array.from({length: 90}, (_, i) => `${i} ${'x'.repeat(8_000)}`);
  await bob.sees('Alice', 'Bob');
  network.stall();
  texts.forEach(bob.say);
  await bob.sees('Bob');
  network.flow();  // some of it still arrives
  await shows(alice, texts.at(-1));
  assert.deepEqual(await said(alice), texts);
  assert.equal(await countOf(alice, 'connected again'), 1);
  assert.equal(await countOf(alice, lost), 0);
});

test('a page that was frozen and lost its connection shows what was said meanwhile', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const alice = await join(network, 'Alice');
  const bob = await enter(chat, 'Bob');
  await shows(alice, 'Bob joined');
  const devtools = await alice.context().newCDPSession(alice);
  const texts = Array.from({length: 50}, (_, i) => `${i}`);
  await bob.sees('Alice', 'Bob');
  await devtools.send('Page.setWebLifecycleState', {state: 'frozen'});
  texts.slice(0, 10).forEach(bob.say);  // the page is still connected
  network.drop();
  await bob.sees('Bob');
  texts.slice(10).forEach(bob.say);
  network.mend();
  await devtools.send('Page.setWebLifecycleState', {state: 'active'});
  await shows(alice, texts.at(-1));
  assert.deepEqual(await said(alice), texts);
  assert.equal(await countOf(alice, lost), 0);
});

test('a text that a page sent is shown once, also if the connection was lost before the answer', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const bob = await join(chat, 'Bob');
  const alice = await join(network, 'Alice');
  network.cut({up: false});
  await say(alice, 'mine');
  await shows(bob, 'mine');
  await say(bob, 'yours');
  network.mend();
  await shows(alice, 'yours');
  await isSent(alice, 'mine');
  const carol = await join(chat, 'Carol');
  for (const page of [alice, bob, carol]) assert.deepEqual(await said(page), ['mine', 'yours']);
});

test('a restarted server has no history: the page says so once, and goes on', async () => {
  const old = await Chat.start();
  const network = await startNetwork(old);
  const alice = await join(network, 'Alice');
  await say(alice, 'before');
  await isSent(alice, 'before');
  assert.equal(await old.stop(), 0, old.errors);
  await hasStatus(alice, /^server closing, reconnecting$/);
  const chat = await startChat('--port', old.port);
  const bob = await enter(chat, 'Bob');
  await shows(alice, lost);
  await hasStatus(alice, /^connected$/);
  await bob.sees('Alice', 'Bob');
  network.drop();
  await bob.sees('Bob');
  const texts = Array.from({length: 50}, (_, i) => `${i}`);
  texts.forEach(bob.say);
  network.mend();
  await shows(alice, '49');
  assert.deepEqual(await said(alice), ['before', ...texts]);
  assert.equal(await countOf(alice, lost), 1);
});

test('connections that break at any byte get each message once, in order', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const bob = await enter(chat, 'Bob');
  const page = await openWindow();
  await page.goto(network.url);
  await page.evaluate(async () => globalThis.resume = await import('/resume.js'));
  let random = 1;
  network.shorten(() => 1 + (random = random * 48_271 % 2_147_483_647) % 4_000);
  await page.evaluate((url) => {
    globalThis.clients = Array.from({length: 10}, (_, i) => {
      const client = {got: [], joined: 0, recovered: 0, lost: 0};
      resume.stayConnected(`${url}ws/lobby?name=${i}`, {onmessage({joined, recovered, lost, payload}) {
        client.joined += joined;
        client.recovered += recovered;
        client.lost += lost !== undefined;
        const {event, text} = JSON.parse(payload ?? '{}');
        if (event === 'message') client.got.push(+text);
      }});
      return client;
    });
    setInterval(() => dispatchEvent(new Event('online')), 100);  // sooner than after the usual delays
  }, network.url.replace('http', 'ws'));
  await page.waitForFunction(() => clients.every(({joined}) => joined));
  for (let i = 0; i < 200; ++i) {
    bob.say(`${i}`);
    // Nobody is so far behind that the history does not reach back.
    if (i % 50 === 49) await page.waitForFunction((i) => clients.every(({got}) => got.length >= i - 40), i);
  }
  await page.waitForFunction(() => clients.every(({got}) => got.includes(199)));
  const clients = await page.evaluate(() => clients);
  for (const {got, lost} of clients) {
    assert.deepEqual(got, Array.from({length: 200}, (_, i) => i));
    assert.equal(lost, 0);
  }
  assert.ok(clients.some(({recovered}) => recovered > 1));
});

test('a page that was away for too long says that messages are missing', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const alice = await join(network, 'Alice');
  const bob = await enter(chat, 'Bob');
  bob.say('before');
  await shows(alice, 'before');
  await bob.sees('Alice', 'Bob');
  network.drop();
  await bob.sees('Bob');
  const carol = await enter(chat, 'Carol');
  for (let i = 0; i < 150; ++i) bob.say(`missed ${i}`);
  await carol.hears('message', 'Bob', 'missed 149');
  network.mend();
  await shows(alice, lost);
  bob.say('after');
  await shows(alice, 'after');
  assert.deepEqual(await said(alice), ['before', 'after']);
  assert.equal(await countOf(alice, lost), 1);
});

test('a newcomer sees what was said last', async () => {
  const chat = await startChat();
  const bob = await enter(chat, 'Bob');
  const carol = await enter(chat, 'Carol');
  for (let i = 0; i < 30; ++i) bob.say(`${i}`);
  await carol.hears('message', 'Bob', '29');
  const alice = await join(chat, 'Alice');
  await shows(alice, '29');
  assert.deepEqual(await said(alice), Array.from({length: 20}, (_, i) => `${10 + i}`));
  await alice.getByText('3 here', {exact: true}).waitFor();
  assert.deepEqual(await alice.locator('#members li').allTextContents(), ['Alice (you)', 'Bob', 'Carol']);
});

test('the lines before messages are read, and positions sent back as they came', async () => {
  const chat = await startChat();
  const page = await join(chat, 'Alice');
  const results = await page.evaluate(async () => {
    const {parse, token} = await import('/resume.js');
    const shown = (data) => {
      const {room, position, payload, lost, ...words} = parse(data);
      const text = payload instanceof ArrayBuffer ? [...new Uint8Array(payload)] : payload ?? null;
      const said = Object.keys(words).filter((word) => words[word] === true);
      return [room, position ?? null, text, lost ?? null, said];
    };
    const bytes = new Uint8Array([97, 58, 80, 10, 10, 255]).buffer;
    const many = new Map(Array.from({length: 60}, (_, i) => [`r${i}`, `P${i}`]));
    const long = new Map(Array.from({length: 60}, (_, i) => [`${i}${'%20'.repeat(50)}`, 'P']));
    return {
      lines: ['caf%C3%A9%2C%3A:P new-word joined recovered', 'a:P lost=gone', 'a left', 'a:P\none\ntwo',
              'a:P\n', 'a\nb', '\nc'].map(shown),
      bytes: shown(bytes),
      tokens: [token(new Map()), token(new Map([['a', 'P'], ['b%2C', 'Q']]))],
      many: decodeURIComponent(token(many)).split(','),
      long: token(long).length,
      whole: decodeURIComponent(token(long)).split(',').every((part) => part.endsWith(':P')),
    };
  });
  assert.deepEqual(results.lines, [
    ['café,:', 'P', null, null, ['joined', 'recovered']], ['a', 'P', null, 'gone', []],
    ['a', null, null, null, ['left']], ['a', 'P', 'one\ntwo', null, []], ['a', 'P', '', null, []],
    ['a', null, 'b', null, []], ['', null, 'c', null, []],
  ]);
  assert.deepEqual(results.bytes, ['a', 'P', [10, 255], null, []]);
  assert.deepEqual(results.tokens, ['', 'b%252C%3AQ%2Ca%3AP']);
  assert.equal(results.many.length, 50);
  assert.deepEqual([results.many[0], results.many.at(-1)], ['r59:P59', 'r10:P10']);
  assert.ok(results.long <= 3000 && results.long > 2500 && results.whole, JSON.stringify(results));
});

test('the next attempt is when the server asks for it, else after ever longer delays', async () => {
  const chat = await startChat();
  const page = await openWindow();
  await page.goto(`${chat.url}healthz`);
  const waits = await page.evaluate(async () => {
    const {stayConnected} = await import('/resume.js');
    let now = 0, connect;
    performance.now = () => now;
    globalThis.setTimeout = (callback) => { connect = callback; return 1; };
    Math.random = () => 1;
    let socket;
    globalThis.WebSocket = class { constructor() { socket = this; } close() {} };
    const told = [];
    stayConnected('ws://localhost/', {onmessage() {}, onwaiting(wait) { told.push(wait); }});
    const lose = (reason = '', event = '') => {
      socket.onclose({code: 1006, reason});
      if (event) dispatchEvent(new Event(event));
      now += told.at(-1);
      connect();
      return told.at(-1);
    };
    const open = (milliseconds) => { socket.onopen(); now += milliseconds; };
    const refused = Array.from({length: 6}, () => lose());
    const hurried = lose('', 'online');
    open(9_999);
    const unsteady = lose();
    open(10_000);
    const steady = lose();
    const asked = lose('retry-ms=4321', 'online'), other = lose('no retry-ms=4');
    return {refused, hurried, unsteady, steady, asked, other};
  });
  assert.deepEqual(waits, {refused: [1000, 2000, 4000, 8000, 15_000, 15_000], hurried: 1000, unsteady: 15_000,
                           steady: 1000, asked: 4321, other: 4000});
});
