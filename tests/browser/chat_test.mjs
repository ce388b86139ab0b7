// The chat's page, as people use it: in a real browser.
//
// Usage: node chat_test.mjs CHAT CHROMIUM SCREENSHOT; the last is written. Needs redis-server.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {atEnd, countOf, hasStatus, isMarked, isMember, isSent, join, openWindow, say, shows, startChat,
        startNetwork, startRedis} from './pages.mjs';
import {Chat, deadline, startOtherSite} from './support.mjs';

const screenshot = process.argv[4];

const phone = {viewport: {width: 360, height: 640}, isMobile: true, hasTouch: true};
const markup = '<img src=x onerror="document.title=1">';

/** Nothing lies outside of the window, and what is needed to write is in it, and of use to a thumb. */
async function assertFits(page) {
  const [width, content] = await page.evaluate(
      () => [innerWidth, document.scrollingElement.scrollWidth]);
  assert.ok(content <= width, `the page is ${content} px wide, the window ${width}`);
  const size = page.viewportSize();
  for (const element of [page.getByLabel('Message', {exact: true}),
                         page.getByRole('button', {name: 'Send'}),
                         page.getByRole('button', {name: 'Leave'})]) {
    const box = await element.boundingBox();
    const isInside = box.x >= 0 && box.y >= 0 &&
        box.x + box.width <= size.width && box.y + box.height <= size.height;
    assert.ok(isInside && box.width >= 44 && box.height >= 44, `${element} is at ${JSON.stringify(box)}`);
  }
}

test('two windows chat', async () => {
  const chat = await startChat();
  const alice = await join(chat, 'Alice');
  const bob = await join(chat, 'Bob');
  await shows(alice, 'Bob joined');
  await say(bob, 'Morning! Did the restart go through?');
  await shows(alice, 'Morning! Did the restart go through?');
  await say(alice, 'It did. Everybody was back within four seconds, and most have not noticed.');
  await shows(bob, 'It did. Everybody was back within four seconds, and most have not noticed.');
  const carol = await join(chat, 'Carol', phone);
  await shows(alice, 'Carol joined');
  await say(carol, 'I have: my phone said “reconnecting in 3 s”. And then it did.');
  await shows(alice, 'I have: my phone said “reconnecting in 3 s”. And then it did.');
  for (const name of ['Alice (you)', 'Bob', 'Carol']) await isMember(alice, name);
  await alice.screenshot({path: screenshot});

  await bob.getByRole('button', {name: 'Leave'}).click();
  await shows(alice, 'Bob left');
  assert.equal(await alice.locator('#members li').count(), 2);
});

test('markup in a name, a room or a text is shown as text', async () => {
  const chat = await startChat();
  const alice = await join(chat, 'Alice', {room: markup});
  const mallory = await join(chat, markup, {room: markup});
  await shows(alice, `${markup} joined`);
  await isMember(alice, markup);
  await say(mallory, markup + '!');
  await shows(alice, markup + '!');
  for (const page of [alice, mallory]) {
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(await page.title(), `${markup} · roost chat`);
  }
});

test('when the server restarts the page says so, and comes back by itself', async () => {
  const chat = await Chat.start();
  const alice = await join(chat, 'Alice');
  const bob = await join(chat, 'Bob');
  assert.equal(await chat.stop(), 0, chat.errors);
  for (const page of [alice, bob]) {
    await hasStatus(page, /^server closing, reconnecting$/);  // after the time the server asked for
    await page.getByText(/^ in [1-5] s$/).waitFor();
    assert.ok(await page.getByRole('button', {name: 'Send'}).isDisabled());
  }
  await startChat('--port', chat.port);
  for (const page of [alice, bob]) {
    await hasStatus(page, /^connected$/);
    await shows(page, 'connected again');
  }
  await isMember(alice, 'Bob');
  await say(bob, 'there you are');
  await shows(alice, 'there you are');
});

test('a page whose server has vanished tries until it is back', async () => {
  const chat = await Chat.start();
  const alice = await join(chat, 'Alice');
  await chat.stop('SIGKILL');
  await hasStatus(alice, /^reconnecting$/);
  await startChat('--port', chat.port);
  await hasStatus(alice, /^connected$/);
});

test('text typed without a network is marked, and sent when there is one again', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const bob = await join(chat, 'Bob');
  const alice = await join(network, 'Alice');
  await say(alice, 'with a network');
  await isSent(alice, 'with a network');
  await shows(bob, 'with a network');
  network.cut();
  await say(alice, 'without');
  await isMarked(alice, 'without', '.pending');
  await hasStatus(alice, /^reconnecting$/);
  await isMarked(alice, 'not sent yet', '.pending');
  network.mend();
  await hasStatus(alice, /^connected$/);
  await isSent(alice, 'without');
  await shows(bob, 'without');
});

test('a message that arrived without an answer is sent again, and shown once', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const bob = await join(chat, 'Bob');
  const alice = await join(network, 'Alice');
  network.cut({up: false});
  await say(alice, 'once');
  await shows(bob, 'once');
  await isMarked(alice, 'once', '.pending');
  await hasStatus(alice, /^reconnecting$/);
  network.mend();
  await isSent(alice, 'once');
  await say(alice, 'twice');
  await shows(bob, 'twice');
  assert.equal(await countOf(bob, 'once'), 1);
});

test('a page on which nothing is typed notices that the network is gone', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const alice = await join(network, 'Alice');
  network.cut();
  await alice.getByRole('status').filter({hasText: /^reconnecting$/}).waitFor({timeout: 3 * deadline});
  network.mend();
  await hasStatus(alice, /^connected$/);
});

test('a page looks after its connection when the browser says that the network has changed', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const alice = await join(network, 'Alice');
  network.cut();
  await alice.evaluate(() => dispatchEvent(new Event('offline')));
  await hasStatus(alice, /^reconnecting$/);  // sooner than after a silence
  network.mend();
  await alice.evaluate(() => dispatchEvent(new Event('online')));
  await hasStatus(alice, /^connected$/);
});

test('a message that could not be sent for long is sent by hand', async () => {
  const chat = await startChat();
  const network = await startNetwork(chat);
  const bob = await join(chat, 'Bob');
  const alice = await join(network, 'Alice', {prepare: (page) => page.clock.install()});
  network.cut();
  await say(alice, 'lunch?');
  await alice.clock.runFor(11_000);
  await hasStatus(alice, /^reconnecting$/);
  await alice.clock.fastForward(150_000);
  network.mend();
  await hasStatus(alice, /^connected$/);
  await isMarked(alice, 'lunch?', '.failed');
  assert.equal(await countOf(bob, 'lunch?'), 0);
  await alice.getByRole('button', {name: 'Send again'}).click();
  await isSent(alice, 'lunch?');
  await shows(bob, 'lunch?');
});

test('a page that was asleep stays connected', async () => {
  const chat = await startChat();
  const alice = await join(chat, 'Alice', {prepare: (page) => page.clock.install()});
  const bob = await join(chat, 'Bob');
  for (let i = 0; i < 3; ++i) {
    await alice.clock.fastForward(130_000);  // its timers are that late
    await say(bob, `still there? ${i}`);
    await shows(alice, `still there? ${i}`);
  }
  await hasStatus(alice, /^connected$/);
  assert.equal(await countOf(alice, 'connected again'), 0);
  assert.equal(await countOf(bob, 'Alice left'), 0);
});

test('a page that one comes back to is connected again', async () => {
  const chat = await startChat();
  const alice = await join(chat, 'Alice');
  await alice.goto('about:blank');
  await alice.goBack();
  await hasStatus(alice, /^connected$/);
  const bob = await join(chat, 'Bob');
  await say(alice, 'here again');
  await shows(bob, 'here again');
});

test('a crowd is only counted, and named again when it is smaller', async () => {
  const chat = await startChat();
  const alice = await join(chat, 'Alice');
  const crowds = [];
  for (let n = 0; n < 2; ++n) {  // a browser opens at most 255
    const crowd = await openWindow();
    await crowd.goto(`${chat.url}healthz`);
    await crowd.evaluate((n) => Promise.all(Array.from({length: 140}, (_, i) => new Promise((resolve) => {
      const socket = new WebSocket(`ws://${location.host}/ws/lobby?name=member${n}.${i}`);
      socket.onmessage = resolve;
    }))), n);
    crowds.push(crowd);
  }
  await alice.getByText('281 here', {exact: true}).waitFor();
  await isMember(alice, 'and 280 more');
  assert.deepEqual(await alice.locator('#members li').allTextContents(), ['Alice (you)', 'and 280 more']);
  await crowds[0].goto('about:blank');
  await alice.getByText('141 here', {exact: true}).waitFor();
  await isMember(alice, 'member1.139');
  assert.equal(await alice.locator('#members li').count(), 141);
  await crowds[1].goto('about:blank');
  await alice.getByText('1 here', {exact: true}).waitFor();
  assert.equal(await alice.locator('#members li').count(), 1);
});

test('another name is another person', async () => {
  const chat = await startChat('--linger', '600');  // whose old name stays for a while
  const bob = await join(chat, 'Bob');
  const alice = await join(chat, 'Alice');
  await shows(bob, 'Alice joined');
  await alice.getByRole('button', {name: 'Leave'}).click();
  await alice.getByLabel('Your name').fill('Alicia');
  await alice.getByRole('button', {name: 'Join'}).click();
  await shows(bob, 'Alicia joined');
  await isMember(alice, 'Alicia (you)');
  await isMember(alice, 'Alice');
});

test('without Redis the members of one server go on, and see that the others are missing', async () => {
  const redis = await startRedis();
  const here = await startChat('--redis', redis.url);
  const there = await startChat('--redis', redis.url);
  const alice = await join(here, 'Alice');
  const bob = await join(here, 'Bob', phone);
  const carol = await join(there, 'Carol');
  const everybody = [alice, bob, carol];
  await isMember(alice, 'Carol');
  await say(carol, 'hello from there');
  for (const page of [alice, bob]) await shows(page, 'hello from there');

  await redis.stop('SIGKILL');
  for (const page of everybody) await hasStatus(page, /other servers .* cannot be reached/);
  await assertFits(bob);
  await say(alice, 'still here?');
  await shows(bob, 'still here?');

  await redis.start();
  // The new Redis remembers nothing. A page may miss messages that are said before it is told so, and
  // has all that are said later.
  for (const page of everybody) {
    await hasStatus(page, /^connected$/);
    await shows(page, 'some messages may be missing here');
  }
  await say(carol, 'here again');
  await shows(alice, 'here again');
});

test('a page of another site gets no WebSocket', async () => {
  const site = await startOtherSite();
  atEnd.push(site.close);
  const strict = await Chat.start();
  const lenient = await startChat('--allow-origin', site.origin);
  const page = await openWindow();
  await page.goto(site.origin);
  const connect = (chat) => page.evaluate((url) => new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve('open');
    socket.onclose = ({code}) => resolve(code);
  }), `ws://127.0.0.1:${chat.port}/ws/lobby`);

  assert.equal(await connect(strict), 1006);
  assert.equal(await connect(lenient), 'open');
  assert.equal(await strict.stop(), 0);
  assert.match(strict.errors, new RegExp(`origin_denied.*${site.origin}`));
});

test('a small phone is enough, whatever people write', async () => {
  const chat = await startChat();
  const long = {name: 'A'.repeat(40), room: 'r'.repeat(80), text: 'x'.repeat(400)};
  const alice = await join(chat, 'Alice', {...phone, room: long.room});
  await alice.getByText('Open this page in a second window').waitFor();  // what to do, alone in a room
  await assertFits(alice);
  for (let i = 0; i < 2; ++i) await join(chat, long.name, {room: long.room});
  const bob = await join(chat, long.name, {...phone, room: long.room});
  for (let i = 0; i < 5; ++i) await say(bob, `${i} ${long.text}`);
  await shows(alice, `4 ${long.text}`);
  await assertFits(alice);

  await alice.setViewportSize({width: 360, height: 300});  // the keyboard is open
  await assertFits(alice);
  await alice.getByLabel('Message', {exact: true}).tap();
  await alice.keyboard.type('by thumb');
  await alice.getByRole('button', {name: 'Send'}).tap();
  await shows(bob, 'by thumb');
});
