package history

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// issue is a token that exists.
type issue struct {
	Token   string `json:"token"`
	Session string `json:"session"`
	Client  string `json:"client"`
	// Issued is the token's iat, as time since the history began: below zero for the
	// second in which it did.
	Issued time.Duration `json:"issued"`
	// Login is how it was issued, if a replica has seen that.
	Login *login `json:"login,omitempty"`
}

// login is a request that was answered with a token.
type login struct {
	Replica int           `json:"replica"`
	From    time.Duration `json:"from"`
	To      time.Duration `json:"to"`
}

// operation is a request and its answer.
type operation struct {
	// Scope is that of a logout: token, session or client. Any other request has none.
	Scope   string `json:"scope,omitempty"`
	Replica int    `json:"replica"`
	Token   string `json:"token"`
	// From is when the request began, To when its answer had arrived, both by one clock.
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
	// Status is that of the answer, 0 if there was none.
	Status int `json:"status"`
}

func (o *operation) isLogout() bool     { return o.Scope != "" }
func (o *operation) accepted() bool     { return o.Status >= 200 && o.Status < 300 }
func (o *operation) acknowledged() bool { return o.isLogout() && o.accepted() }

// fault is something that was done to a replica, or to the store and with it to all.
type fault struct {
	Kind    string        `json:"kind"`
	Replica int           `json:"replica"` // everyone for all
	From    time.Duration `json:"from"`
	To      time.Duration `json:"to"` // when it was undone
}

// everyone stands for all replicas.
const everyone = -1

// history is what has happened, in no particular order.
type history struct {
	Issues     []issue
	Operations []operation
	Faults     []fault
}

// line is one line of a history's file.
type line struct {
	Issue     *issue     `json:"issue,omitempty"`
	Operation *operation `json:"operation,omitempty"`
	Fault     *fault     `json:"fault,omitempty"`
}

func (h *history) write(to io.Writer) error {
	out := bufio.NewWriter(to)
	encoder := json.NewEncoder(out)
	for i := range h.Issues {
		if err := encoder.Encode(line{Issue: &h.Issues[i]}); err != nil {
			return err
		}
	}
	for i := range h.Operations {
		if err := encoder.Encode(line{Operation: &h.Operations[i]}); err != nil {
			return err
		}
	}
	for i := range h.Faults {
		if err := encoder.Encode(line{Fault: &h.Faults[i]}); err != nil {
			return err
		}
	}
	return out.Flush()
}

func readHistory(from io.Reader) (*history, error) {
	h := new(history)
	for decoder := json.NewDecoder(from); decoder.More(); {
		var l line
		if err := decoder.Decode(&l); err != nil {
			return nil, err
		}
		switch {
		case l.Issue != nil:
			h.Issues = append(h.Issues, *l.Issue)
		case l.Operation != nil:
			h.Operations = append(h.Operations, *l.Operation)
		case l.Fault != nil:
			h.Faults = append(h.Faults, *l.Fault)
		}
	}
	return h, nil
}

// recorder records a history. All its times come from one clock.
type recorder struct {
	begun time.Time

	mu      sync.Mutex // guards history
	history history
}

func newRecorder() *recorder { return &recorder{begun: time.Now()} }

// now is the time since the history began.
func (r *recorder) now() time.Duration { return time.Since(r.begun) }

func (r *recorder) issued(i issue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Issues = append(r.history.Issues, i)
}

func (r *recorder) done(o operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Operations = append(r.history.Operations, o)
}

func (r *recorder) undone(f fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Faults = append(r.history.Faults, f)
}
