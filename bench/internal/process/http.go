package process

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
)

// FreeAddress returns an address on which nobody listens just now.
func FreeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// FreePort is FreeAddress for who also wants its port by itself.
func FreePort(ctx context.Context) (address, port string, err error) {
	if address, err = FreeAddress(ctx); err != nil {
		return "", "", err
	}
	_, port, err = net.SplitHostPort(address)
	return address, port, err
}

// Status sends a request, with a bearer token unless it is empty, and returns the
// status of the response.
func Status(ctx context.Context, method, url, token string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, errors.Join(err, response.Body.Close())
}
