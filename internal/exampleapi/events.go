package exampleapi

import (
	"fmt"
	"net/http"
	"time"
)

const (
	// tickEvery is the time between two events of a stream.
	tickEvery = time.Second
	// tickTimeout is how long one event may take to be written. It is set anew
	// for each, so that a server's WriteTimeout does not end the stream.
	tickTimeout = 10 * time.Second
)

// events answers GET /v1/events with a stream of server-sent events, one each
// second, until the client or the server ends it. The token is looked at once, at
// the start: the stream outlives it.
func (h *Handler) events(w http.ResponseWriter, r *http.Request, client int64) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}

	rc := http.NewResponseController(w)
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for n := 1; ; n++ {
		// Not every writer has deadlines, and none is needed where it has not.
		_ = rc.SetWriteDeadline(time.Now().Add(tickTimeout))
		_, err := fmt.Fprintf(w, "id: %d\nevent: tick\ndata: {\"client_id\":%d,\"time\":%q}\n\n",
			n, client, h.now().UTC().Format(time.RFC3339))
		if err != nil || rc.Flush() != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}
