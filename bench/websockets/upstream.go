package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"
)

// upstreamCommand is the argument with which this program is the upstream: a process of
// its own, whose memory and CPU time are not the load's.
const upstreamCommand = "serve-upstream"

// serveUpstream upgrades every request to a WebSocket that sends back what it gets, made from
// a call to its answer, until the process is ended. Its first line of output is its address.
func serveUpstream() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // lives as long as the process
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return // an empty 200: it is there
		}
		conn, buffer, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return // it has answered
		}
		defer conn.Close()
		_ = echo(buffer) // however it ended, the connection is closed
	})}
	return server.Serve(listener)
}

// echo sends back every frame until the connection ends.
func echo(stream *bufio.ReadWriter) error {
	payload := make([]byte, maxMessage)
	for {
		header, err := ws.ReadHeader(stream)
		if err != nil {
			return err
		}
		if header.Length > maxMessage {
			return errors.New("frame is too long")
		}
		frame := payload[:header.Length]
		if _, err := io.ReadFull(stream, frame); err != nil {
			return err
		}
		ws.Cipher(frame, header.Mask, 0)
		if at := bytes.Index(frame[:min(len(frame), minMessage)], []byte(`"method"`)); at >= 0 {
			copy(frame[at:], `"result"`)
		}
		header.Masked, header.Mask = false, [4]byte{}
		if err := ws.WriteHeader(stream, header); err != nil {
			return err
		}
		if _, err := stream.Write(frame); err != nil {
			return err
		}
		if header.OpCode == ws.OpClose {
			return stream.Flush()
		}
		if stream.Reader.Buffered() == 0 {
			if err := stream.Flush(); err != nil {
				return err
			}
		}
	}
}
