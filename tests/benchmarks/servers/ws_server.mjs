// The `ws` package, with the broadcast of its README. Run where its node_modules are:
// node ws_server.mjs PORT [--deflate | CERTIFICATE KEY]
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createRequire } from 'node:module';

const { WebSocket, WebSocketServer } = createRequire(`${process.cwd()}/`)('ws');
const [port, ...more] = process.argv.slice(2);
const compresses = more[0] === '--deflate';
const [certificate, key] = compresses ? [] : more;
const http = certificate
  ? createHttps({ cert: readFileSync(certificate), key: readFileSync(key) })
  : createHttp();
const server = new WebSocketServer({ server: http, perMessageDeflate: compresses && { threshold: 0 } });
const rooms = new Map();

server.on('connection', (socket, request) => {
  const room = request.url.slice('/ws/'.length);
  if (!rooms.has(room)) rooms.set(room, new Set());
  const members = rooms.get(room);
  members.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => members.delete(socket));
  socket.on('message', (data, isBinary) => {
    for (const member of members) {
      if (member.readyState === WebSocket.OPEN) member.send(data, { binary: isBinary });
    }
  });
});
http.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
