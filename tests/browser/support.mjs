// What the tests of the page run beside the browser: chat servers, a Redis, pages of other sites.

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';

// Events come within moments; a sanitizer, or a busy machine, is slow.
export const deadline = 30_000;

/** A process that is ready once it has printed a line that matches. */
class Program {
  errors = '';

  static async start(self, path, args, ready) {
    self.process = spawn(path, args, {stdio: ['ignore', 'pipe', 'pipe']});
    self.ended = new Promise((resolve) => self.process.on('close', (code, signal) => resolve(code ?? signal)));
    self.process.stderr.setEncoding('utf8').on('data', (text) => self.errors += text);
    const printed = [];
    for await (const line of createInterface({input: self.process.stdout})) {
      const match = ready.exec(line);
      if (match) {
        self.process.stdout.resume();  // what comes later is of no interest
        return match;
      }
      printed.push(line);
    }
    throw new Error(`${path} ended, and said: ${[...printed, self.errors].join('\n')}`);
  }

  /** @returns the exit status, or the signal that ended it. */
  async stop(signal = 'SIGTERM') {
    this.process.kill(signal);
    const watchdog = setTimeout(() => this.process.kill('SIGKILL'), deadline);
    try {
      return await this.ended;
    } finally {
      clearTimeout(watchdog);
    }
  }
}

export class Chat extends Program {
  static path;

  /** Whoever leaves is gone at once, unless the options say otherwise. */
  static async start(...options) {
    const self = new Chat();
    const ready = await Program.start(self, Chat.path, ['--port', '0', '--linger', '0', ...options],
                                      /^roost chat: (http:\/\/127\.0\.0\.1:(\d+)\/)$/);
    [, self.url, self.port] = ready;
    return self;
  }
}

/** A redis-server on a socket of its own, which can be killed and started again. */
export class Redis extends Program {
  static async create() {
    const self = new Redis();
    self.folder = await mkdtemp(join(tmpdir(), 'roost-browser-'));
    self.socket = join(self.folder, 'redis.sock');
    self.url = `unix://${self.socket}`;
    await self.start();
    return self;
  }
  async start() {
    const args = ['--port', '0', '--unixsocket', this.socket, '--save', '', '--dir', this.folder];
    await Program.start(this, 'redis-server', args, /eady to accept connections/);
  }
  async destroy() {
    await this.stop('SIGKILL');
    await rm(this.folder, {recursive: true});
  }
}

/** A network between a page and a server, which can lose what is sent over it without a word. */
export class Network {
  #pairs = new Set();
  #isThere = true;
  #lifetime = () => Infinity;
  #isUp = true;    // from page to server
  #isDown = true;  // from server to page

  static async to(port) {
    const self = new Network();
    self.port = port;  // of the server to which new connections go
    self.server = net.createServer({allowHalfOpen: false}, (near) => self.#join(near));
    self.server.listen(0, '127.0.0.1');
    await once(self.server, 'listening');
    self.url = `http://127.0.0.1:${self.server.address().port}/`;
    return self;
  }

  #join(near) {
    if (!this.#isThere) return near.destroy();
    const far = net.connect(this.port, '127.0.0.1');
    const pair = {near, far};
    this.#pairs.add(pair);
    let left = this.#lifetime();
    near.on('data', (data) => this.#isUp && far.write(data));
    far.on('data', (data) => {
      if (this.#isDown) near.write(data.subarray(0, left));
      if ((left -= data.length) <= 0) near.end(() => near.destroy());
    });
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on('error', () => {});
      one.on('close', () => { other.destroy(); this.#pairs.delete(pair); });
    }
  }

  /** The connections break, and until `mend` there are no new ones. */
  drop() {
    this.#isThere = false;
    for (const {near} of this.#pairs) near.destroy();
  }
  /** Each new connection breaks after `lifetime()` bytes from the server. */
  shorten(lifetime) { this.#lifetime = lifetime; }
  /** From now on the page takes nothing from the server, which notices. */
  stall() {
    for (const {far} of this.#pairs) far.pause();
  }
  flow() {
    for (const {far} of this.#pairs) far.resume();
  }
  /** From now on nothing arrives: at the server, at the page, or at neither. */
  cut({up = true, down = true} = {}) {
    if (up) this.#isUp = false;
    if (down) this.#isDown = false;
  }
  /** From now on there is a network again; to the connections of before something is missing. */
  mend() {
    for (const {near} of this.#pairs) near.destroy();
    this.#isThere = this.#isUp = this.#isDown = true;
  }
  close() {
    this.server.close();
    this.mend();
  }
}

/** A web server of somebody else, with one empty page. */
export async function startOtherSite() {
  const server = http.createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>another site</title>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {origin, close: () => { server.closeAllConnections(); server.close(); }};
}
