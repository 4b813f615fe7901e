package exampleapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Limits of the server that Serve runs. The API's requests are small and its
// answers quick; event streams extend their own write deadline.
const (
	readTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
	idleTimeout  = 2 * time.Minute
	stopTimeout  = 5 * time.Second
	maxHeader    = 32 << 10
)

// Serve answers requests on ln until ctx is done. Then it stops accepting, ends
// the streams, waits up to five seconds for other requests and returns nil. It
// closes ln. An error means that it stopped for another reason, or not cleanly.
func Serve(ctx context.Context, ln net.Listener, handler http.Handler) error {
	// Streams would hold Shutdown up, so their requests' context ends with it.
	streams, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return streams },
	}

	stopped := make(chan error, 1)
	serving, cancel := context.WithCancel(ctx)
	go func() {
		<-serving.Done()
		endStreams()
		grace, cancelGrace := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancelGrace()
		stopped <- srv.Shutdown(grace)
	}()

	err := srv.Serve(ln)
	cancel() // also when Serve failed on its own, so that the goroutine ends
	if stopErr := <-stopped; errors.Is(err, http.ErrServerClosed) {
		err = stopErr
	}
	return err
}
