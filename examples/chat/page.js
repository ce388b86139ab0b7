// The page of the chat: joins a room, shows what is said there, and comes back by itself.

const $ = (id) => document.getElementById(id);
const shortest = 0.5, longest = 15;  // seconds between two attempts to connect
const quiet = 20;                    // seconds without a word, after which the server is asked for one
const patience = 10;                 // seconds that an answer, or a connection, may take
const fresh = 120;                   // seconds for which a message that was not sent goes out by itself
const kept = 500;                    // messages shown

let name = '', room = '';
let socket = null;        // null while not joined
let self = null;          // our id, once welcomed
let attempts = 0;         // since the last welcome
let isBack = false;       // the next welcome is not the first
let timer = 0;            // until the next attempt
let due = 0;              // when that is
let isAsked = false;      // by the server, to come back at that time
let watch = 0;            // until something must have been heard
let isWaiting = false;    // for an answer
let isPatient = false;    // it has been waited for twice, since the page was asleep
const members = new Map();   // id -> name
const unnamed = new Map();   // replica -> how many are there besides
const outgoing = new Map();  // key -> {text, line, typed}: the server has not confirmed them
const seen = new Set();      // keys of messages of others, which may have been sent again

// What others sent reaches the page as text only, never as markup.
function add(parent, tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return parent.appendChild(element);
}

// Whose it is, at a glance.
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
  const others = [...unnamed.values()].reduce((sum, count) => sum + count, 0);
  $('count').textContent = `${members.size + others} here`;
  $('members').replaceChildren();
  for (const [id, who] of members) {
    tint(add($('members'), 'li', id === self ? `${who} (you)` : who), id);
  }
  if (others) add($('members'), 'li', `and ${others} more`);
}

// The seconds are no part of the status, which a screen reader reads out at each change.
function showState(text, className = '', seconds = '') {
  if ($('status').textContent !== text) $('status').textContent = text;
  $('seconds').textContent = seconds;
  $('state').className = className;
  $('submit').disabled = !self;
}

function connect() {
  clearTimeout(timer);
  timer = 0;
  self = null;
  showState('connecting');
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const path = `/ws/${encodeURIComponent(room)}?name=${encodeURIComponent(name)}`;
  const mine = socket = new WebSocket(`${scheme}//${location.host}${path}`, 'roost-chat');
  mine.binaryType = 'arraybuffer';
  mine.onmessage = ({data}) => {
    if (mine !== socket) return;
    heard();
    receive(data);
  };
  mine.onclose = ({code, reason}) => mine === socket && closed(code, reason);
  isWaiting = true;
  isPatient = false;
  expect(patience, overdue);
}

// A browser tells a page neither of the server's pings nor of a network that is gone. So something
// must be heard in time: after some silence the server is asked, and what is typed asks it too.
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
  if (self) transmit('', '');
}

function transmit(key, text) {
  socket.send(`${key}\n${text}`);
  if (isWaiting) return;
  isWaiting = true;
  expect(patience, overdue);
}

// A page that was frozen, or in the background, looks late: then the answer may be here already.
function overdue(isLate) {
  if (isLate && !isPatient) {
    isPatient = true;
    isWaiting = false;
    return self ? ask() : expect(patience, overdue);
  }
  socket.onmessage = socket.onclose = null;
  socket.close();
  closed(1006, '');
}

// Something has changed: the page can be seen again, or the network is another.
function check() {
  if (!socket) return;
  if (self) return isWaiting || ask();
  if (timer && !isAsked) {
    due = Math.min(due, performance.now() + Math.random() * 1000);  // not all of an office at once
    countDown('');
  }
}

function receive(data) {
  if (typeof data !== 'string') return say(`(binary, ${data.byteLength} bytes)`, 'text', 'someone');
  const message = JSON.parse(data);
  const {event, id, name: from, text, key} = message;
  if (event === 'replicas') return showReplicas(message.reachable);
  if (event === 'arrived') return arrived(key);
  if (event === 'message') {
    if (isRepeated(key)) return;
    say(text, 'text', from, id);
    // One of another server may have been here before us.
    if (![...unnamed.values()].some((count) => count)) members.set(id, from);
  } else if (event === 'welcome') {
    welcome(message);
  } else if (event === 'joined') {
    members.set(id, from);
    say(`${from} joined`, 'note');
  } else if (event === 'left') {
    members.delete(id);
    say(`${from} left`, 'note');
  } else if (event === 'changes') {
    change(message);
  }
  showMembers();
}

function welcome({id, members: all, more, replica, reachable}) {
  self = id;
  attempts = 0;
  if (isBack) say('connected again', 'note');
  else if (all.length === 1) say('Nobody else is here yet. Open this page in a second window.', 'note');
  isBack = true;
  members.clear();
  unnamed.clear();
  unnamed.set(replica, more);
  for (const member of all) members.set(member.id, member.name);
  showReplicas(reachable);
  sendAgain();
}

// Many came or went within a moment.
function change({joined, left, named, joined_count: came, left_count: went, more, replica}) {
  for (const member of [...joined, ...named]) members.set(member.id, member.name);
  for (const member of left) members.delete(member.id);
  unnamed.set(replica, more);
  const tell = (list, count, verb) => {
    const names = list.slice(0, 5).map((member) => member.name);
    if (count > names.length) names.push(names.length ? `${count - names.length} others` : `${count}`);
    if (count) say(`${names.join(', ')} ${verb}`, 'note');
  };
  const others = joined.filter((member) => member.id !== self);
  tell(others, came - joined.length + others.length, 'joined');
  tell(left, went, 'left');
}

function isRepeated(key) {
  if (!key) return false;
  if (seen.has(key)) return true;
  seen.add(key);
  if (seen.size > kept) seen.delete(seen.values().next().value);
  return false;
}

// What was typed is pale until the server has it. Without an answer it is sent again, once the
// server is back; if that takes long, by hand: it may be out of place by then.
function mark(line, className, text = '') {
  line.className = `mine ${className}`;
  line.querySelector('.fate')?.remove();
  if (text) add(line, 'small', text).className = 'fate';
}

function speak(text) {
  const key = [...crypto.getRandomValues(new Uint32Array(3))].map((n) => n.toString(36)).join('');
  const line = say(text, 'mine');
  outgoing.set(key, {text, line, typed: Date.now()});
  mark(line, 'pending');
  transmit(key, text);
  keepPage();
}

function arrived(key) {
  const message = outgoing.get(key);
  if (!message) return;  // a question only
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
    mark(message.line, 'pending', self ? '' : 'not sent yet');
    if (self) transmit(key, message.text);
  };
}

// Whoever would leave without having sent everything is asked.
function keepPage() {
  onbeforeunload = outgoing.size ? (event) => event.preventDefault() : null;
}

// Whether members who are connected to other servers of this chat can be heard.
function showReplicas(reachable) {
  if (reachable) showState('connected', 'good');
  else showState('connected, but the other servers of this chat cannot be reached', 'bad');
}

function closed(code, reason) {
  self = null;
  clearTimeout(watch);
  const isRefusal = code === 1008 || code === 1009;
  for (const [key, {line}] of outgoing) {
    if (isRefusal) fail(key);
    else if (!line.matches('.failed')) mark(line, 'pending', 'not sent yet');
  }
  if (code === 1008) return showState(`refused${reason && ': ' + reason}`, 'bad');
  const isGoing = code === 1001 || code === 1012;
  if (isGoing) say('the server is going away, and will be back', 'note');
  const hint = /^retry-ms=(\d+)$/.exec(reason);  // the server spreads those that come back
  const longestNow = Math.min(longest, shortest * 2 ** (++attempts));
  const wait = hint ? Math.min(hint[1] / 1000, 60)
                    : shortest + Math.random() * (longestNow - shortest);  // jitter, likewise
  due = performance.now() + wait * 1000;
  isAsked = hint !== null;
  countDown(isGoing ? 'server closing, ' : '');
}

function countDown(going) {
  clearTimeout(timer);
  const left = due - performance.now();
  if (left < 1) return connect();  // a timer may fire a little early
  showState(`${going}reconnecting`, 'bad', ` in ${Math.ceil(left / 1000)} s`);
  timer = setTimeout(countDown, Math.min(left, 1000), going);
}

function leave() {
  clearTimeout(timer);
  clearTimeout(watch);
  timer = 0;
  self = null;
  const old = socket;
  socket = null;
  old?.close(1000);
}

function enter() {
  leave();
  $('join').hidden = true;
  $('chat').hidden = false;
  $('log').replaceChildren();
  for (const {text} of outgoing.values()) say(`This was not sent: ${text}`, 'note');
  outgoing.clear();
  keepPage();
  $('title').textContent = room;
  document.title = `${room} · roost chat`;
  members.clear();
  unnamed.clear();
  showMembers();
  attempts = 0;
  isBack = false;
  connect();
  $('text').focus();
}

function fromHash() {
  try { return decodeURIComponent(location.hash.slice(1)) || 'lobby'; } catch { return 'lobby'; }
}

function remember(value) {
  try {
    if (value !== undefined) localStorage.setItem('roost-name', value);
    return localStorage.getItem('roost-name') ?? '';
  } catch { return ''; }  // storage may be forbidden; then the name is asked each time
}

$('join').onsubmit = (event) => {
  event.preventDefault();
  name = $('name').value.trim();
  room = $('room').value.trim();
  if (!name || !room) return;
  remember(name);
  history.replaceState(null, '', `#${encodeURIComponent(room)}`);
  enter();
};

$('send').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text || !self) return;
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
  if (socket && fromHash() !== room) { room = fromHash(); enter(); }
});

$('name').value = name = remember();
$('room').value = room = fromHash();
if (name) enter(); else $('name').focus();
