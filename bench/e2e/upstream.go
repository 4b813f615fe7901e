package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// upstreamCommand is the argument with which this program is the upstream. It is a
// process of its own, so that it can have its own cores.
const upstreamCommand = "serve-upstream"

// upstreamBody is a JSON text of about 1 KB.
var upstreamBody = func() []byte {
	items := make([]string, 14)
	for i := range items {
		items[i] = fmt.Sprintf(`{"id":"42-%04d","name":"Gift card %02d","value":"25.00","currency":"EUR"}`, i, i)
	}
	return []byte(`{"success":true,"data":[` + strings.Join(items, ",") + `]}`)
}()

// serveUpstream answers every request with upstreamBody, until the process is ended.
// Its first line of output is its address.
func serveUpstream() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // lives as long as the process
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	length := strconv.Itoa(len(upstreamBody))
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", length)
			_, _ = w.Write(upstreamBody)
		}),
	}
	return server.Serve(listener)
}
