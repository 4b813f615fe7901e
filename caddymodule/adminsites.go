package caddymodule

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// siteName tells the directives token_auth of a configuration apart.
type siteName struct {
	// Site is its number: by the name of its server, then in the order of its routes. It
	// changes with the configuration.
	Site int `json:"site"`
	// Server is the name of its server, and Listen where that listens.
	Server string   `json:"server,omitempty"`
	Listen []string `json:"listen,omitempty"`
	// Hosts are the host names that its route is for; none for all.
	Hosts []string `json:"hosts,omitempty"`
}

// String names the site for a person.
func (n siteName) String() string {
	if len(n.Hosts) == 0 {
		return fmt.Sprintf("site %d", n.Site)
	}
	return fmt.Sprintf("site %d (%s)", n.Site, strings.Join(n.Hosts, ", "))
}

// adminSite is one directive of the running configuration.
type adminSite struct {
	siteName
	handler *Handler
}

// sites returns all directives of the configuration. Those that are not found in the
// routes of a server, because another module holds them, come last and have no name.
func (a *App) sites(active caddy.Context) []adminSite {
	var found []adminSite
	if module, err := active.AppIfConfigured("http"); err == nil {
		servers := module.(*caddyhttp.App).Servers
		for _, name := range slices.Sorted(maps.Keys(servers)) {
			found = appendSites(found, siteName{Server: name, Listen: servers[name].Listen}, servers[name].Routes)
		}
	}
	for _, h := range a.handlers {
		if !slices.ContainsFunc(found, func(s adminSite) bool { return s.handler == h }) {
			found = append(found, adminSite{handler: h})
		}
	}
	for i := range found {
		found[i].Site = i + 1
	}
	return found
}

// appendSites adds the directives among routes, and below.
func appendSites(found []adminSite, name siteName, routes caddyhttp.RouteList) []adminSite {
	for i := range routes {
		here := name
		if hosts := hostsOf(routes[i].MatcherSets); len(hosts) > 0 {
			here.Hosts = hosts
		}
		for _, handler := range routes[i].Handlers {
			switch h := handler.(type) {
			case *Handler:
				found = append(found, adminSite{siteName: here, handler: h})
			case *caddyhttp.Subroute:
				found = appendSites(found, here, h.Routes)
			}
		}
	}
	return found
}

// hostsOf returns the host names that a route matches, none if it matches any.
func hostsOf(sets caddyhttp.MatcherSets) []string {
	var hosts []string
	for _, set := range sets {
		named := false
		for _, matcher := range set {
			switch m := matcher.(type) {
			case caddyhttp.MatchHost:
				hosts, named = append(hosts, m...), true
			case *caddyhttp.MatchHost:
				hosts, named = append(hosts, *m...), true
			}
		}
		if !named {
			return nil
		}
	}
	return hosts
}

// selectSites returns the sites that a request names: by number or host name, "" for all.
func selectSites(sites []adminSite, name string) ([]adminSite, error) {
	if name == "" {
		return sites, nil
	}
	number, err := strconv.Atoi(name)
	var selected []adminSite
	for _, site := range sites {
		isHost := func(host string) bool { return strings.EqualFold(host, name) }
		if err == nil && site.Site == number || slices.ContainsFunc(site.Hosts, isHost) {
			selected = append(selected, site)
		}
	}
	if len(selected) == 0 {
		known := make([]string, len(sites))
		for i, site := range sites {
			known[i] = site.String()
		}
		return nil, adminError(http.StatusNotFound, fmt.Errorf("no such site: there is %s", strings.Join(known, ", ")))
	}
	return selected, nil
}

// realms returns the realms that credentials of the site can have.
func (h *Handler) realms() []string {
	if h.Realm == "" && len(h.Issuers) > 0 {
		return h.Issuers
	}
	return []string{h.Realm}
}
