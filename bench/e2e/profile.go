package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profiles writes a CPU profile of plain and of the sidecar, each under load. They
// are taken after the measurements, which they would disturb.
func (c *comparison) profiles(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, s := range []*contestant{c.plain, c.sidecar} {
		file := filepath.Join(dir, s.Name+".pprof")
		say("profiling %s", s.Name)
		l := c.load
		l.url, l.duration = s.url, c.duration+2*time.Second
		loaded := make(chan error, 1)
		go func() {
			_, err := c.wrk.run(ctx, l)
			loaded <- err
		}()
		err := s.profile(ctx, file, c.duration)
		if err := errors.Join(err, <-loaded); err != nil {
			return err
		}
		say("go tool pprof -top %s %s", c.caddy, file)
	}
	return nil
}

// profile has the server's admin API take a CPU profile.
func (s *server) profile(ctx context.Context, name string, duration time.Duration) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.admin, int(duration.Seconds()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("profile of %s: %s", s.Name, response.Status)
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, response.Body)
	return errors.Join(err, file.Close())
}
