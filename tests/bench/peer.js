// The benchmark's peer for compression: an echo server on Node.js and ws, which keeps no context
// between messages either and compresses as fast.
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
server.on("connection", (socket) => {
  socket.on("message", (data, binary) => socket.send(data, { binary }));
  socket.on("error", () => {});
});
server.on("listening", () => {
  console.error(`info listening address=127.0.0.1:${server.address().port}\ninfo ready`);
});
process.on("SIGTERM", () => process.exit(0));
