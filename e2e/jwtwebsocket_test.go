package e2e

import (
	"net/http"
	"testing"
	"time"

	"example.com/caddy-token-auth/internal/fakeexchange"
)

const jwtLines = "api octopus_cards\n\t\t\tsecret {env.JWT_SECRET}"

// TestLogoutClosesTheWebSocketsOfJWTs opens connections with two independent libraries,
// gorilla/websocket and the npm package ws, and logs their client out.
func TestLogoutClosesTheWebSocketsOfJWTs(t *testing.T) {
	f := newFloor(t, fakeexchange.Options{}, 2, jwtLines)
	for replica, name := range []string{"on this replica", "on another one"} {
		t.Run(name, func(t *testing.T) {
			p, other := mint(int64(10+replica)), mint(int64(20+replica))
			node := startClient(t, "ws.mjs", "EXCHANGE_URL="+f.url(replica), "AUTHORIZATION=Bearer "+p.access)
			greeted(node)
			cut, kept := f.connectWith(replica, bearerOf(p)), f.connectWith(replica, bearerOf(other))
			cut.call("public/test", nil)

			c := &client{addr: f.replicas[0].addr}
			defer c.close()
			c.logout(t, p)
			cut.wantEnd(4001, "revoked")
			node.wantClosing(4001, "revoked")
			kept.call("public/test", nil)
			for _, number := range []int64{1, 2} {
				if seen := f.sawEnd(int64(replica*3) + number); seen != string(fakeexchange.EndLost) {
					t.Errorf("the exchange sees %q", seen)
				}
			}
		})
	}
}

func bearerOf(p pair) http.Header { return http.Header{"Authorization": {"Bearer " + p.access}} }

// TestExpiryClosesTheWebSocketsOfJWTs opens a connection with a token that soon expires.
func TestExpiryClosesTheWebSocketsOfJWTs(t *testing.T) {
	f := newFloor(t, fakeexchange.Options{}, 1, jwtLines+"\n\t\t\tleeway 0s")
	node := startClient(t, "ws.mjs", "EXCHANGE_URL="+f.url(0), "AUTHORIZATION=Bearer "+sign(1, "access", time.Now(), 3*time.Second))
	greeted(node)
	node.wantClosing(4001, "expired")
	cut := f.connectWith(0, bearerOf(pair{access: sign(1, "access", time.Now(), 2*time.Second)}))
	cut.call("public/test", nil)
	cut.wantEnd(4001, "expired")
}
