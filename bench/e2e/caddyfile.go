package main

import (
	"fmt"
	"strings"
)

// caddyfile is the configuration of one server.
type caddyfile struct {
	listen, admin, upstream string
	// auth has the lines of token_auth; none leaves token_auth out.
	auth  []string
	store string // directory of the list
}

// String returns the Caddyfile. Servers that are compared differ by token_auth only.
func (c caddyfile) String() string {
	var app, directive string
	if len(c.auth) > 0 {
		app = fmt.Sprintf("\ttoken_auth {\n\t\tstore local %s\n\t}\n", c.store)
		directive = "\ttoken_auth {\n\t\t" + strings.Join(c.auth, "\n\t\t") + "\n\t}\n"
	}
	return "{\n\tadmin " + c.admin + "\n\tpersist_config off\n\tauto_https off\n" + app + "}\n\n" +
		"http://" + c.listen + " {\n" + directive + "\treverse_proxy " + c.upstream + "\n}\n"
}
