// The page of the chat: it joins a room and shows its messages. resume.js stays connected.

import {stayConnected} from './resume.js';

const $ = (id) => document.getElementById(id);
const quiet = 20;                    // seconds without a message after which the page asks the server
const patience = 10;                 // seconds to wait for an answer, or for a connection
const fresh = 120;                   // seconds in which an unsent message is still sent by itself
const kept = 500;                    // messages shown

let me = recall();        // {id, name}
let room = '';
let connection = null;    // null while not joined
let isIn = false;         // after the welcome
let isBack = false;       // the next welcome is not the first
let isKnown = false;      // who is in the room
let count = 0;            // people in the room
let isGoing = false;      // the server has said that it goes away
let counting = 0;         // the timer that shows how long until the next attempt to connect
let watch = 0;            // the timer until which something must have come from the server
let isWaiting = false;    // for an answer
let isPatient = false;    // for the second time, because the page was asleep
const members = new Map();   // id -> name; in a crowd only we
const outgoing = new Map();  // key -> {text, line, typed}: not confirmed by the server yet
const seen = new Set();      // keys of messages, which may come twice

// Texts of others become text in the page, never markup.
function add(parent, tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return parent.appendChild(element);
}

// Gives each member a colour.
function tint(element, id = '') {
  const hue = [...id].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 360, 7);
  element.style.setProperty('--hue', hue);
}

function say(text, className, from, id) {
  const log = $('log');
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const line = add(log, 'li', '');
  line.className = className;
  if (from) tint(add(line, 'b', from), id);
  add(line, 'span', text);
  while (log.children.length > kept) log.firstChild.remove();
  if (atEnd || className === 'mine') log.scrollTop = log.scrollHeight;
  return line;
}

function showMembers() {
  if (isIn) members.set(me.id, me.name);  // the server may tell it later
  count = Math.max(count, members.size);
  $('count').textContent = `${count} here`;
  $('members').replaceChildren();
  for (const [id, who] of [...members].sort(([, a], [, b]) => a.localeCompare(b))) {
    tint(add($('members'), 'li', id === me.id ? `${who} (you)` : who), id);
  }
  if (count > members.size) add($('members'), 'li', `and ${count - members.size} more`);
}

// The seconds are not part of the status, because a screen reader reads out each change of it.
function showState(text, className = '', seconds = '') {
  if ($('status').textContent !== text) $('status').textContent = text;
  $('seconds').textContent = seconds;
  $('state').className = className;
  $('submit').disabled = !isIn;
}

function connecting() {
  clearTimeout(counting);
  isIn = false;
  showState('connecting');
  isWaiting = true;
  isPatient = false;
  expect(patience, overdue);
}

// A browser tells a page neither about the server's pings nor about a network that is gone. So the
// page asks the server after some silence, and expects an answer in time. A message that is sent also
// expects its answer.
function expect(seconds, otherwise) {
  clearTimeout(watch);
  const at = performance.now() + seconds * 1000;
  watch = setTimeout(() => otherwise(performance.now() - at > 2000), seconds * 1000);
}

function heard() {
  isWaiting = isPatient = false;
  expect(quiet, ask);
}

function ask() {
  if (isIn) transmit('', '');
}

function transmit(key, text) {
  connection.send(`${key}\n${text}`);
  if (isWaiting) return;
  isWaiting = true;
  expect(patience, overdue);
}

// In a page that was frozen or in the background, timers fire late. The answer may already be here then,
// so the page asks once more before it gives up.
function overdue(isLate) {
  if (isLate && !isPatient) {
    isPatient = true;
    isWaiting = false;
    return isIn ? ask() : expect(patience, overdue);
  }
  connection.reconnect();
}

// Called when the page becomes visible again, or when the network has changed.
function check() {
  if (isIn && !isWaiting) ask();
}

// Missed messages come before the welcome, and are shown like those that come after it.
function receive({joined, lost, position, payload}) {
  heard();
  if (joined && isBack) say('connected again', 'note');
  if (lost) say('some messages may be missing here', 'note');
  if (payload === undefined) return;
  if (typeof payload !== 'string') return say(`(binary, ${payload.byteLength} bytes)`, 'text', 'someone');
  const message = JSON.parse(payload);
  const {event, id, name: from, text, key} = message;
  if (event === 'replicas') return showReplicas(message.reachable);
  if (event === 'arrived') return arrived(key);
  if (event === 'message') {
    arrived(key);  // one of ours, if the connection was lost before the server confirmed it
    if (!isRepeated(key)) say(text, 'text', from, id);
  } else if (event === 'welcome') {
    welcome(message);
  } else if (event === 'members') {
    showAll(message);
  } else if (event === 'changes') {
    change(message);
  }
}

function welcome(message) {
  isIn = isBack = true;
  showReplicas(message.reachable);
  if (message.members) showAll(message);  // else they follow
  else showMembers();
  sendAgain();
}

function showAll({members: all, count: number}) {
  members.clear();
  for (const {id, name} of all) members.set(id, name);
  count = number;
  showMembers();
  if (!isKnown && count === 1) say('Nobody else is here yet. Open this page in a second window.', 'note');
  isKnown = true;
}

// People joined or left, with the first or last of their tabs.
function change({joined, left, count: number}) {
  const gone = left.filter((id) => id !== me.id).map((id) => members.get(id));
  const come = joined.filter(({id}) => id !== me.id).map(({name}) => name);
  for (const id of left) members.delete(id);
  for (const {id, name} of joined) members.set(id, name);
  count = number;
  showMembers();
  const tell = (names, verb) => {
    const others = names.splice(names.length > 6 ? 5 : 6).length;
    if (others) names.push(`${others} others`);
    if (names.length) say(`${names.join(', ')} ${verb}`, 'note');
  };
  tell(gone, 'left');
  tell(come, 'joined');
}

function isRepeated(key) {
  if (!key) return false;
  if (seen.has(key)) return true;
  seen.add(key);
  if (seen.size > kept) seen.delete(seen.values().next().value);
  return false;
}

// A message is pale until the server has confirmed it. Without a confirmation it is sent again when the
// server is back. If that takes long, the user decides, because the message may be out of place then.
function mark(line, className, text = '') {
  line.className = `mine ${className}`;
  line.querySelector('.fate')?.remove();
  if (text) add(line, 'small', text).className = 'fate';
}

function random() {
  return [...crypto.getRandomValues(new Uint32Array(3))].map((n) => n.toString(36)).join('');
}

function speak(text) {
  const key = random();
  const line = say(text, 'mine');
  seen.add(key);
  outgoing.set(key, {text, line, typed: Date.now()});
  mark(line, 'pending');
  transmit(key, text);
  keepPage();
}

function arrived(key) {
  const message = outgoing.get(key);
  if (!message) return;  // it was only a question
  mark(message.line, '');
  outgoing.delete(key);
  keepPage();
}

function sendAgain() {
  for (const [key, {text, line, typed}] of outgoing) {
    if (Date.now() - typed > fresh * 1000) {
      fail(key);
    } else if (!line.matches('.failed')) {
      mark(line, 'pending');
      transmit(key, text);
    }
  }
}

function fail(key) {
  const message = outgoing.get(key);
  mark(message.line, 'failed', 'not sent');
  const button = add(message.line.querySelector('.fate'), 'button', 'Send again');
  button.type = 'button';
  button.onclick = () => {
    message.typed = Date.now();
    mark(message.line, 'pending', isIn ? '' : 'not sent yet');
    if (isIn) transmit(key, message.text);
  };
}

// Makes the browser ask before the page is closed with messages that were not sent.
function keepPage() {
  onbeforeunload = outgoing.size ? (event) => event.preventDefault() : null;
}

// Shows whether the other servers of this chat can be reached.
function showReplicas(reachable) {
  if (reachable) showState('connected', 'good');
  else showState('connected, but the other servers of this chat cannot be reached', 'bad');
}

function closed({code, reason}) {
  isIn = false;
  clearTimeout(watch);
  const isRefusal = code === 1008 || code === 1009;
  for (const [key, {line}] of outgoing) {
    if (isRefusal) fail(key);
    else if (!line.matches('.failed')) mark(line, 'pending', 'not sent yet');
  }
  if (code === 1008) {
    connection.close();
    return showState(`refused${reason && ': ' + reason}`, 'bad');
  }
  isGoing = code === 1001 || code === 1012;
  if (isGoing) say('the server is going away, and will be back', 'note');
}

function countDown(milliseconds) {
  clearTimeout(counting);
  showState(`${isGoing ? 'server closing, ' : ''}reconnecting`, 'bad',
            ` in ${Math.ceil(milliseconds / 1000)} s`);
  if (milliseconds > 1000) counting = setTimeout(countDown, 1000, milliseconds - 1000);
}

function leave() {
  clearTimeout(counting);
  clearTimeout(watch);
  isIn = false;
  connection?.close();
  connection = null;
}

function enter() {
  leave();
  $('join').hidden = true;
  $('chat').hidden = false;
  $('log').replaceChildren();
  for (const {text} of outgoing.values()) say(`This was not sent: ${text}`, 'note');
  outgoing.clear();
  seen.clear();
  keepPage();
  $('title').textContent = room;
  document.title = `${room} · roost chat`;
  members.clear();
  count = 0;
  showMembers();
  isBack = isKnown = false;
  const server = `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}`;
  connection = stayConnected(
      `${server}/ws/${encodeURIComponent(room)}?user=${me.id}&name=${encodeURIComponent(me.name)}`,
      {protocols: 'roost-chat', onmessage: receive, onconnecting: connecting, onclosed: closed,
       onwaiting: countDown});
  $('text').focus();
}

function fromHash() {
  try { return decodeURIComponent(location.hash.slice(1)) || 'lobby'; } catch { return 'lobby'; }
}

// Who we are, in all tabs of this browser. They count as one person, by the id.
function recall() {
  try { return JSON.parse(localStorage.getItem('roost-chat')) ?? {}; } catch { return {}; }
}
function remember() {
  try { localStorage.setItem('roost-chat', JSON.stringify(me)); } catch {}  // asked each time, if forbidden
}

$('join').onsubmit = (event) => {
  event.preventDefault();
  const name = $('name').value.trim();
  room = $('room').value.trim();
  if (!name || !room) return;
  me = recall();
  if (me.name !== name) me = {id: random(), name};  // another name is another person
  remember();
  history.replaceState(null, '', `#${encodeURIComponent(room)}`);
  enter();
};

$('send').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text || !isIn) return;
  speak(text);
  $('text').value = '';
};

$('leave').onclick = () => {
  leave();
  $('chat').hidden = true;
  $('join').hidden = false;
  $('room').value = room;
  $('name').focus();
};

addEventListener('online', check);
addEventListener('offline', check);
addEventListener('pageshow', check);
document.addEventListener('visibilitychange', () => document.hidden || check());

addEventListener('hashchange', () => {
  if (connection && fromHash() !== room) { room = fromHash(); enter(); }
});

$('name').value = me.name ?? '';
$('room').value = room = fromHash();
if (me.name) enter(); else $('name').focus();
