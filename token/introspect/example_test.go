package introspect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"example.com/caddy-token-auth/token/introspect"
)

func ExampleClient_Introspect() {
	// The authorization server: it knows one token.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.PostFormValue("token") == "2YotnFZFEjr1zCsicMWpAA" {
			fmt.Fprint(w, `{"active":true,"sub":"alice","scope":"read","token_type":"Bearer"}`)
			return
		}
		fmt.Fprint(w, `{"active":false}`)
	}))
	defer server.Close()

	client, err := introspect.New(server.URL, introspect.Options{ClientID: "api", ClientSecret: "secret"})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	for _, raw := range []string{"2YotnFZFEjr1zCsicMWpAA", "invented"} {
		answer, err := client.Introspect(context.Background(), raw)
		switch {
		case err == nil:
			scope, _ := answer.Claim("scope")
			fmt.Println(answer.Client(), "may", scope)
		case errors.Is(err, introspect.ErrInactive):
			fmt.Println("refused for good")
		default:
			fmt.Println("try again later")
		}
	}
	// Output:
	// alice may read
	// refused for good
}
