package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const banner = `
The sidecar is ready on {site}, in front of the example API on {api}.
In another terminal:

  # Log in
  TOKEN=$(curl -s {site}/auth/login -H 'Content-Type: application/json' \
    -d '{"username":"demo-key","password":"demo-secret"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

  # Call the API: 200
  curl -i {site}/v1/cards -H "Authorization: Bearer $TOKEN"

  # Log out: 200, which the sidecar answers
  curl -i -X POST {site}/auth/logout -H "Authorization: Bearer $TOKEN"

  # Call again with the same token: 401, also after a restart
  curl -i {site}/v1/cards -H "Authorization: Bearer $TOKEN"

Ctrl-C stops everything. What is kept is in {data}.

`

// announce waits until a request gets through to the API, then says what to try. It
// gives up after half a minute: Caddy has then said what is wrong.
func announce(opts options, out io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	site := "http://localhost:" + strconv.FormatUint(uint64(opts.site.number), 10)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !healthy(ctx, site) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
	fmt.Fprint(out, strings.NewReplacer("{site}", site, "{api}", "http://"+opts.api.address(), "{data}", opts.data).Replace(banner))
}

func healthy(ctx context.Context, site string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, site+"/health", nil)
	if err != nil {
		return false
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
