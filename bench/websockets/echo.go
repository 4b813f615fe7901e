package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"example.com/caddy-token-auth/bench/internal/process"
	"example.com/caddy-token-auth/bench/internal/report"
)

const (
	// echoConnections are used at a time.
	echoConnections = 8
	// minMessage has room for a JSON-RPC call; maxMessage is what the upstream takes.
	minMessage, maxMessage = 128, 1 << 20
)

// echoServer is a server with the connections over which messages come back.
type echoServer struct {
	*server
	streams []*connection
	rates   []float64 // messages a second, of each round
	cpu     []float64 // seconds for each message
}

// measureEcho compares how many messages a second come back through each server. They take
// turns, in alternating order.
func measureEcho(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{
		Title: fmt.Sprintf("Messages of %d bytes a second that come back over %d connections with %d under way on each; medians of %d rounds:",
			l.size, echoConnections, l.messages, l.rounds),
		Head: []string{"server", "messages/s", "× plain", "CPU µs/message", "× plain"},
	}
	tokens, err := l.signer.Tokens(0, 1)
	if err != nil {
		return t, err
	}
	var servers []*echoServer
	for _, k := range []kind{plain, {name: "twin"}, followed, inspected} {
		s, err := l.serve(ctx, "echo-"+k.name, k, "")
		if err != nil {
			return t, err
		}
		e := &echoServer{server: s}
		for range echoConnections {
			token := tokens[0]
			if k.name == inspected.name {
				token = "" // this API's handshake has none
			}
			conn, err := dial(ctx, s, token)
			if err != nil {
				return t, err
			}
			defer conn.Close()
			e.streams = append(e.streams, conn)
		}
		servers = append(servers, e)
	}
	for round := range l.rounds + 1 { // the first warms up
		order := slices.Clone(servers)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, s := range order {
			if err := l.echoRound(ctx, s, round > 0); err != nil {
				return t, fmt.Errorf("%s: %w", s.Name, err)
			}
		}
	}
	for _, s := range servers {
		t.Add(s.kind.name, fmt.Sprintf("%.0f", report.Median(s.rates)), fmt.Sprintf("%.2f", report.Median(report.Ratios(s.rates, servers[0].rates))),
			fmt.Sprintf("%.1f", report.Median(s.cpu)*1e6), fmt.Sprintf("%.2f", report.Median(report.Ratios(s.cpu, servers[0].cpu))))
	}
	return t, nil
}

// echoRound loads one server for some time.
func (l *lab) echoRound(ctx context.Context, s *echoServer, counts bool) error {
	before, err := process.UsageOf(s.PID())
	if err != nil {
		return err
	}
	begun := time.Now()
	frame := call(l.size)
	done := make([]int, len(s.streams))
	errs := make([]error, len(s.streams), len(s.streams)+1)
	var tasks sync.WaitGroup
	for i, stream := range s.streams {
		tasks.Go(func() { done[i], errs[i] = l.exchange(ctx, stream, frame, begun.Add(l.duration)) })
	}
	tasks.Wait()
	took := time.Since(begun)
	after, err := process.UsageOf(s.PID())
	if err := errors.Join(append(errs, err)...); err != nil || !counts {
		return err
	}
	total := 0
	for _, n := range done {
		total += n
	}
	s.rates = append(s.rates, float64(total)/took.Seconds())
	s.cpu = append(s.cpu, (after.CPU-before.CPU).Seconds()/float64(total))
	return nil
}

// exchange sends a message for each that has come back, until the end and then until none
// is under way. It returns how many came back.
func (l *lab) exchange(ctx context.Context, stream *connection, frame []byte, end time.Time) (int, error) {
	if _, err := stream.Write(bytes.Repeat(frame, l.messages)); err != nil {
		return 0, err
	}
	done := 0
	for underWay := l.messages; underWay > 0; done++ {
		header, err := ws.ReadHeader(stream)
		if err == nil {
			err = discard(stream, header.Length)
		}
		if err != nil || header.Length != int64(l.size) || header.OpCode != ws.OpText {
			return done, fmt.Errorf("a frame of kind %d with %d bytes, %w", header.OpCode, header.Length, err)
		}
		if time.Now().Before(end) && ctx.Err() == nil {
			_, err = stream.Write(frame)
		} else {
			underWay--
		}
		if err != nil {
			return done, err
		}
	}
	return done, ctx.Err()
}

// call returns the masked frame of a JSON-RPC call that needs no credential.
func call(size int) []byte {
	const head, foot = `{"jsonrpc":"2.0","id":1,"method":"public/ticker","params":{"x":"`, `"}}`
	payload := []byte(head + strings.Repeat("x", size-len(head)-len(foot)) + foot)
	var frame bytes.Buffer
	_ = ws.WriteFrame(&frame, ws.MaskFrameInPlace(ws.NewTextFrame(payload))) // to memory
	return frame.Bytes()
}

var _ io.Reader = (*connection)(nil)
