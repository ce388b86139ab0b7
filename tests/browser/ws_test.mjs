// The chat, as programs on Node.js use it: by the package ws, with its default options.
//
// Usage: node ws_test.mjs CHAT

import assert from 'node:assert/strict';
import {once} from 'node:events';
import {after, before, test} from 'node:test';

import WebSocket from 'ws';

import {Chat, deadline} from './support.mjs';

Chat.path = process.argv[2];

let chat;
before(async () => { chat = await Chat.start(); });
after(async () => assert.equal(await chat.stop(), 0, chat.errors));

/**
 * A member; `next()`, which gives what it gets, one after the other; and `count(n)`, which waits until the
 * server has said that so many people are there.
 */
async function join(name, protocols = []) {
  const socket = new WebSocket(`${chat.url.replace('http', 'ws')}ws/lobby?name=${name}`, protocols);
  const events = [], waiting = [];
  let here, look = () => {};
  socket.on('message', (data, isBinary) => {
    const event = isBinary ? data : JSON.parse(data);
    here = event.count ?? here;
    look();
    if (['members', 'changes'].includes(event.event)) return;
    waiting.length ? waiting.shift()(event) : events.push(event);
  });
  const count = (wanted) => new Promise((resolve) => {
    look = () => here === wanted && resolve();
    look();
  });
  const next = () => new Promise((resolve) => events.length ? resolve(events.shift()) : waiting.push(resolve));
  assert.equal((await next()).event, 'welcome');
  return {socket, next, count};
}

test('two members chat, and the longest text arrives whole', {timeout: deadline}, async () => {
  const alice = await join('Alice');
  const bob = await join('Bob', 'roost-chat');
  await alice.count(2);
  const longest = '\u0001'.repeat(160 * 1024);
  alice.socket.send(longest);
  assert.equal((await bob.next()).text, longest);
  alice.socket.send(Buffer.from([0, 255]));
  assert.deepEqual(await bob.next(), Buffer.from([0, 255]));
  bob.socket.send('key\nan answer');
  assert.deepEqual(await bob.next(), {event: 'arrived', key: 'key'});
  assert.equal((await alice.next()).text, 'an answer');
  alice.socket.ping();
  await once(alice.socket, 'pong');

  alice.socket.send(longest + 'x');
  assert.equal((await once(alice.socket, 'close'))[0], 1009);
  await bob.count(1);
  bob.socket.close(1000);
  assert.equal((await once(bob.socket, 'close'))[0], 1000);
});
