package websocket_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"example.com/caddy-token-auth/websocket"
)

// A chat whose clients may not say "bye": they have to leave.
func Example() {
	client, near := net.Pipe()
	back, upstream := net.Pipe()

	tapped, err := websocket.New(near, nil, websocket.Options{
		FromClient: func(m websocket.Message) websocket.Decision {
			switch {
			case bytes.Equal(m.Payload, []byte("ping")):
				return websocket.Answer([]byte("pong"))
			case bytes.Equal(m.Payload, []byte("bye")):
				return websocket.Disconnect(websocket.Closing{Code: 4001, Reason: "logged out"})
			}
			return websocket.Pass()
		},
		FromServer: func(m websocket.Message) websocket.Decision {
			fmt.Printf("upstream says: %s\n", m.Payload)
			return websocket.Pass()
		},
	})
	if err != nil {
		panic(err)
	}

	// What a proxy does with a connection that was upgraded.
	relayed := make(chan error)
	go func() {
		_, err := io.Copy(back, tapped)
		_ = back.Close()
		relayed <- err
	}()
	go func() { _, _ = io.Copy(tapped, back) }()

	// The upstream answers every message with its length.
	go func() {
		for {
			message, err := wsutil.ReadClientText(upstream)
			if err != nil {
				return
			}
			_ = wsutil.WriteServerText(upstream, fmt.Appendf(nil, "%d bytes", len(message)))
		}
	}()

	for _, message := range []string{"hello", "ping", "bye"} {
		if err := wsutil.WriteClientText(client, []byte(message)); err != nil {
			panic(err)
		}
		answer, err := wsutil.ReadServerText(client) // which answers close frames as well
		if err != nil {
			fmt.Println("client gets:", err)
			break
		}
		fmt.Printf("client gets: %s\n", answer)
	}
	err = <-relayed
	fmt.Println(errors.Is(err, websocket.ErrClosed), err)

	var asked *websocket.DisconnectError
	code, answered := tapped.ClientClose()
	fmt.Println(errors.As(tapped.Err(), &asked), ws.StatusCode(4001) == code, answered)
	// Output:
	// upstream says: 5 bytes
	// client gets: 5 bytes
	// client gets: pong
	// client gets: ws closed: 4001 logged out
	// true websocket connection is closed: disconnected with code 4001
	// true true true
}
