// One channel: what a member sends is sent to all others, in one order. Each member has a
// goroutine that writes, and a bounded queue before it; one whose queue is full is ended.
package main

import (
	"sync"

	"github.com/gorilla/websocket"
)

const queueLength = 256

type member struct {
	conn  *websocket.Conn
	queue chan *websocket.PreparedMessage
}

type hub struct {
	mutex   sync.Mutex
	members map[*member]struct{}
}

func (m *member) write() {
	for message := range m.queue {
		if m.conn.WritePreparedMessage(message) != nil {
			break
		}
	}
	m.conn.Close()
}

func (h *hub) remove(m *member) {
	if _, there := h.members[m]; there {
		delete(h.members, m)
		close(m.queue)
	}
}

func (h *hub) publish(from *member, message *websocket.PreparedMessage) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for m := range h.members {
		if m == from {
			continue
		}
		select {
		case m.queue <- message:
		default:
			h.remove(m)
		}
	}
}

func (h *hub) serve(conn *websocket.Conn) {
	m := &member{conn, make(chan *websocket.PreparedMessage, queueLength)}
	h.mutex.Lock()
	h.members[m] = struct{}{}
	h.mutex.Unlock()
	go m.write()
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			break
		}
		message, err := websocket.NewPreparedMessage(kind, data)
		if err != nil {
			break
		}
		h.publish(m, message)
	}
	h.mutex.Lock()
	h.remove(m)
	h.mutex.Unlock()
}
