// A program for each connection, as websocketd does it: one goroutine reads the program's lines and
// sends each as a message, another reads messages and writes each as a line.
package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"

	"github.com/gorilla/websocket"
)

func sendLines(conn *websocket.Conn, output io.Reader, done chan<- struct{}) {
	defer close(done)
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		if conn.WriteMessage(websocket.TextMessage, line[:len(line)-1]) != nil {
			return
		}
	}
}

func runCat(conn *websocket.Conn) {
	command := exec.Command("/bin/cat")
	command.Stderr = os.Stderr
	input, _ := command.StdinPipe()
	output, _ := command.StdoutPipe()
	if command.Start() != nil {
		return
	}
	done := make(chan struct{})
	go sendLines(conn, output, done)
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			break
		}
		if _, err = input.Write(append(message, '\n')); err != nil {
			break
		}
	}
	input.Close()
	<-done
	command.Wait()
}
