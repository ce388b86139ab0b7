// Stays connected to a roost server, and gets what it missed meanwhile. Copy this file into your page.
// It needs no library. On the server, `.resume = upgrade.query("resume")` belongs to the session.
//
//   const connection = stayConnected('wss://example.com/ws/lobby', {
//     onmessage({room, payload, joined, lost}) {
//       if (lost) reloadAll(room);                       // messages are missing, before this one
//       if (payload !== undefined) show(room, payload);  // a text, or an ArrayBuffer
//     },
//     onconnecting() {},           // before each attempt
//     onclosed({code, reason}) {}, // it may call `connection.close()`; else there will be another attempt
//     onwaiting(milliseconds) {},  // until that attempt
//   });
//   connection.send('hello');

const shortest = 500, longest = 15_000;  // milliseconds between attempts, if the server does not say how many
const steady = 10_000;                   // a connection that was open for so long has succeeded

/** The line in front of a payload is `<room, percent-encoded>[:<position>][ <word>...]`. */
export function parse(data) {
  const isText = typeof data === 'string';
  const end = isText ? data.indexOf('\n') : new Uint8Array(data).indexOf(10);
  const start = end < 0 ? data : data.slice(0, end);
  const [place, ...words] = (isText ? start : new TextDecoder().decode(start)).split(' ');
  const [key, position] = place.split(':');
  const has = (word) => words.includes(word);
  return {
    key, room: decodeURIComponent(key),  // '': for this client alone, for several rooms or for everyone
    position,                            // undefined: the message was not recorded
    payload: end < 0 ? undefined : data.slice(end + 1),
    joined: has('joined'), left: has('left'),
    recovered: has('recovered'),         // what was missed follows
    lost: words.find((word) => word.startsWith('lost='))?.slice(5),  // why it cannot be had
  };
}

/** What `?resume=` says, of the 50 rooms heard last: `lobby:<position>,chat/a:<position>`, encoded. */
export function token(positions) {
  let all = '';
  for (const [key, position] of [...positions].slice(-50).reverse()) {
    const one = encodeURIComponent(`${all && ','}${key}:${position}`);
    if (all.length + one.length > 3000) break;
    all += one;
  }
  return all;
}

export function stayConnected(url, {protocols = [], onmessage, onconnecting, onclosed, onwaiting}) {
  const positions = new Map();  // of each room; the room heard last is the last
  const over = new AbortController();
  let socket, opened, attempts = 0;
  let timer = 0, due, isAsked;  // of the next attempt

  function connect() {
    timer = opened = 0;
    onconnecting?.();
    socket = new WebSocket(`${url}${url.includes('?') ? '&' : '?'}resume=${token(positions)}`, protocols);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => opened = performance.now();
    socket.onmessage = ({data}) => {
      const message = parse(data);
      if (message.position || message.left) positions.delete(message.key);
      if (message.position) positions.set(message.key, message.position);
      onmessage(message);
    };
    socket.onclose = closed;
  }

  function closed({code, reason}) {
    forget();
    if (opened && performance.now() - opened >= steady) attempts = 0;
    const most = Math.min(longest, shortest * 2 ** ++attempts);
    const asked = /^retry-ms=(\d+)$/.exec(reason);  // a server that goes away spreads its clients
    isAsked = asked !== null;
    due = performance.now() + (isAsked ? +asked[1] : shortest + Math.random() * (most - shortest));
    onclosed?.({code, reason});
    if (!over.signal.aborted) wait();
  }

  function wait() {
    clearTimeout(timer);
    const left = Math.max(0, due - performance.now());
    timer = setTimeout(connect, left);
    onwaiting?.(left);
  }

  // The page is looked at again, or there is a network again. A whole office may see that together.
  function hurry() {
    if (!timer || isAsked || document.hidden) return;
    due = Math.min(due, performance.now() + Math.random() * 1000);
    wait();
  }
  addEventListener('online', hurry, {signal: over.signal});
  addEventListener('pageshow', hurry, {signal: over.signal});
  document.addEventListener('visibilitychange', hurry, {signal: over.signal});

  function forget() {
    socket.onopen = socket.onmessage = socket.onclose = null;
  }

  connect();
  return {
    /** While the connection is not open, this does nothing. */
    send(data) { if (socket.readyState === WebSocket.OPEN) socket.send(data); },
    /** Connects anew, since the server does not answer: a browser may notice that only after minutes. */
    reconnect() {
      if (timer) return;
      socket.close();
      closed({code: 1006, reason: ''});
    },
    close() {
      over.abort();
      clearTimeout(timer);
      forget();
      socket.close(1000);
    },
  };
}
