package websocket

// scanner runs a parser over segments, for an optional visitor.
type scanner struct {
	parser
	// visit, if set, sees each part before it is passed on: payload as it is in the
	// segment, headers and control frames whole.
	visit func(kind part, b []byte) error
	// broken is set after a violation: there are no frames any more.
	broken bool
}

// scan takes bytes from the front of b: all of them, or with stop no more than up to the
// end of a frame. Of the n bytes taken, the first good ones, after what parser.held
// returned before the call, may be passed on. They end where the incomplete or bad part
// begins. The error is a *ViolationError or what visit has returned.
func (s *scanner) scan(b []byte, stop bool) (n, good int, err error) {
	for n < len(b) && !s.broken {
		if s.closed {
			return len(b), good, nil // what follows a close frame is discarded (§1.4)
		}
		taken, kind, err := s.next(b[n:])
		if err != nil {
			return n, good, violation(s.state.ClientSide(), err)
		}
		if s.visit != nil && kind != partHeld {
			seen := b[n : n+taken]
			if kind != partPayload {
				seen = s.complete()
			}
			if err := s.visit(kind, seen); err != nil {
				return n + taken, good, err
			}
		}
		n += taken
		if kind != partHeld {
			good = n
			if stop && s.left == 0 {
				return n, good, nil
			}
		}
	}
	return n, good, nil
}

// breakOff makes the scanner stop for good. What comes now is not looked at. The frame
// of which the violation is part was not passed on, so whoever gets the passed bytes is
// between two frames, maybe inside a fragmented message.
func (s *scanner) breakOff() { s.broken, s.left, s.fragmented = true, 0, true }
