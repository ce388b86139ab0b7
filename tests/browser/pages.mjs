// Pages of the chat in a browser, and what a test asks of them.
//
// The arguments of the program are CHAT CHROMIUM. What a test starts here ends with it.

import assert from 'node:assert/strict';
import {after, afterEach, before} from 'node:test';

import {chromium} from 'playwright-core';

import {Chat, deadline, Network, Redis} from './support.mjs';

const [, , chatPath, chromiumPath] = process.argv;
Chat.path = chatPath;

let browser;
export const atEnd = [];  // what a test has begun, ended in reverse order

before(async () => { browser = await chromium.launch({executablePath: chromiumPath}); });
after(() => browser.close());
afterEach(async () => {
  for (const end of atEnd.splice(0).reverse()) await end();
});

export async function startChat(...options) {
  const chat = await Chat.start(...options);
  // With a sanitizer the status also says that nothing leaked.
  atEnd.push(async () => assert.equal(await chat.stop(), 0, chat.errors));
  return chat;
}

export async function startRedis() {
  const redis = await Redis.create();
  atEnd.push(() => redis.destroy());
  return redis;
}

/** A window of its own, as if on another computer. */
export async function openWindow(options = {}) {
  const context = await browser.newContext(
      {viewport: {width: 900, height: 460}, deviceScaleFactor: 2, colorScheme: 'light', ...options});
  context.setDefaultTimeout(deadline);
  const page = await context.newPage();
  const mistakes = [];
  page.on('pageerror', (error) => mistakes.push(error));
  atEnd.push(async () => {
    await context.close();
    assert.deepEqual(mistakes, [], 'the page threw');
  });
  return page;
}

export async function startNetwork(chat) {
  const network = await Network.to(chat.port);
  atEnd.push(() => network.close());
  return network;
}

/** A member of a room, whose page is connected. @param prepare gets the page before it is opened */
export async function join(chat, name, {room, prepare, ...options} = {}) {
  const page = await openWindow(options);
  await prepare?.(page);
  await page.goto(chat.url);
  await page.getByLabel('Your name').fill(name);
  if (room) await page.getByLabel('Room').fill(room);
  await page.getByRole('button', {name: 'Join'}).click();
  await hasStatus(page, /^connected$/);
  return page;
}

export const hasStatus = (page, text) => page.getByRole('status').filter({hasText: text}).waitFor();
export const shows = (page, text) => page.getByRole('log').getByText(text, {exact: true}).waitFor();
export const isMember = (page, name) => page.locator('#members').getByText(name, {exact: true}).waitFor();

export async function say(page, text) {
  await page.getByLabel('Message', {exact: true}).fill(text);
  await page.getByRole('button', {name: 'Send'}).click();
  await shows(page, text);
}

export const isMarked = (page, text, mark) =>
    page.locator('#log li.mine').filter({hasText: text}).and(page.locator(mark)).waitFor();
export const isSent = (page, text) => isMarked(page, text, ':not(.pending):not(.failed)');
export const countOf = (page, text) => page.getByRole('log').getByText(text, {exact: true}).count();
