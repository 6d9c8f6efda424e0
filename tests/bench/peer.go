// The benchmark's peer: a server on net/http and gorilla/websocket that stops the way one
// does it in Go. http.Server.Shutdown neither closes nor waits for hijacked connections, so a
// tracker wraps the WebSocket handler and drains them beside Shutdown, under one deadline.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const timeout = 8 * time.Second

type tracker struct {
	mutex    sync.Mutex
	sessions map[*websocket.Conn]struct{}
	draining bool
	deadline time.Time
	inFlight sync.WaitGroup
}

func (t *tracker) goodbye(conn *websocket.Conn) {
	reason := websocket.FormatCloseMessage(websocket.CloseGoingAway, "server shutting down")
	conn.WriteControl(websocket.CloseMessage, reason, t.deadline)
	conn.SetReadDeadline(t.deadline)
}

// wrap counts a session from before its upgrade until its handler has returned.
func (t *tracker) wrap(upgrader websocket.Upgrader, serve func(*websocket.Conn)) http.HandlerFunc {
	return func(answer http.ResponseWriter, request *http.Request) {
		t.mutex.Lock()
		if t.draining {
			t.mutex.Unlock()
			http.Error(answer, "draining", http.StatusServiceUnavailable)
			return
		}
		t.inFlight.Add(1)
		t.mutex.Unlock()
		defer t.inFlight.Done()
		conn, err := upgrader.Upgrade(answer, request, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		t.mutex.Lock()
		t.sessions[conn] = struct{}{}
		if t.draining {
			t.goodbye(conn)
		}
		t.mutex.Unlock()
		serve(conn)
		t.mutex.Lock()
		delete(t.sessions, conn)
		t.mutex.Unlock()
	}
}

// drain says 1001 to every session and waits until all have answered, or the deadline.
func (t *tracker) drain(ctx context.Context) error {
	t.mutex.Lock()
	t.draining = true
	t.deadline, _ = ctx.Deadline()
	open := make([]*websocket.Conn, 0, len(t.sessions))
	for conn := range t.sessions {
		open = append(open, conn)
	}
	t.mutex.Unlock()
	for _, conn := range open {
		t.goodbye(conn)
	}
	done := make(chan struct{})
	go func() { t.inFlight.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("drain: " + ctx.Err().Error())
	}
}

func echo(conn *websocket.Conn) {
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	t := &tracker{sessions: map[*websocket.Conn]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", t.wrap(websocket.Upgrader{}, echo))
	mux.HandleFunc("/compressed", t.wrap(websocket.Upgrader{EnableCompression: true}, echo))
	channel := &hub{members: map[*member]struct{}{}}
	mux.HandleFunc("/chat", t.wrap(websocket.Upgrader{}, channel.serve))
	mux.HandleFunc("/cat", t.wrap(websocket.Upgrader{}, runCat))
	server := &http.Server{Handler: mux}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(69)
	}
	fmt.Fprintf(os.Stderr, "info listening address=%s\ninfo ready\n", listener.Addr())
	go server.Serve(listener)
	<-signals

	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- t.drain(ctx) }()
	stopped := server.Shutdown(ctx)
	status := 0
	if err := <-drained; err != nil {
		status |= 1
	}
	if stopped != nil {
		status |= 2
	}
	os.Exit(status)
}
