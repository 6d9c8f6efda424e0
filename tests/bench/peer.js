// The benchmark's peer on Node.js and ws: /chat is a channel, all else echoes. It keeps no context
// between compressed messages either and compresses as fast.
"use strict";
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  perMessageDeflate: {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    threshold: 64,
    zlibDeflateOptions: { level: 1 },
  },
});
const members = new Set();

function join(socket) {
  members.add(socket);
  socket.on("close", () => members.delete(socket));
  socket.on("message", (data, binary) => {
    for (const member of members) if (member !== socket) member.send(data, { binary });
  });
}

server.on("connection", (socket, request) => {
  socket.on("error", () => {});
  if (request.url === "/chat") join(socket);
  else socket.on("message", (data, binary) => socket.send(data, { binary }));
});
server.on("listening", () => {
  console.error(`info listening address=127.0.0.1:${server.address().port}\ninfo ready`);
});
process.on("SIGTERM", () => process.exit(0));
