package redisstore

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxURL bounds what ParseURL looks at.
const maxURL = 4096

// ParseURL returns the Options that a URL stands for:
//
//	redis://[[user]:password@]host[:port][,host[:port]]...[/db][?master=name][&cluster=true]
//
// The schemes redis and valkey mean the same; rediss and valkeys use TLS, with the
// system's roots unless Options.TLS is changed. The parameter master makes the hosts
// Sentinels, and cluster makes them nodes of a cluster. Errors never have the URL in
// them, because it may have a password.
func ParseURL(text string) (Options, error) {
	var o Options
	if len(text) > maxURL {
		return o, fmt.Errorf("URL of %d bytes: want at most %d", len(text), maxURL)
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return o, errors.New("URL without a scheme: want redis://host:port")
	}
	switch strings.ToLower(scheme) {
	case "redis", "valkey":
	case "rediss", "valkeys":
		o.TLS = new(TLS)
	default:
		return o, errors.New("URL has an unknown scheme: want redis, rediss, valkey or valkeys")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if err := o.parseUser(authority[:at]); err != nil {
			return Options{}, err
		}
		authority = authority[at+1:]
	}
	o.Addresses = strings.Split(authority, ",")
	for _, address := range o.Addresses {
		if _, err := completeAddress(address, portServer); err != nil {
			// Whatever stands there may be part of a password with an @ or a / in it.
			return Options{}, errors.New("URL has a host that is none: want redis://[user:password@]host:port, " +
				"with user and password percent-encoded")
		}
	}
	if path != "" {
		db, err := strconv.Atoi(path)
		if err != nil {
			return Options{}, errors.New("URL has a path that is no number of a database")
		}
		o.DB = db
	}
	if err := o.parseQuery(query); err != nil {
		return Options{}, err
	}
	return o, nil
}

func (o *Options) parseUser(text string) error {
	user, password, _ := strings.Cut(text, ":")
	var errs [2]error
	o.Username, errs[0] = url.PathUnescape(user)
	o.Password, errs[1] = url.PathUnescape(password)
	if errs[0] != nil || errs[1] != nil {
		return errors.New("URL has a user or password that is not percent-encoded")
	}
	return nil
}

func (o *Options) parseQuery(text string) error {
	query, err := url.ParseQuery(text)
	if err != nil {
		return errors.New("URL has a malformed query")
	}
	for name, values := range query {
		if len(values) != 1 {
			return fmt.Errorf("URL has the parameter %q twice", name)
		}
		switch name {
		case "master":
			o.MasterName = values[0]
			err = nil
			if values[0] == "" {
				err = errors.New("no name")
			}
		case "cluster":
			o.Cluster, err = strconv.ParseBool(values[0])
		default:
			return fmt.Errorf("URL has an unknown parameter %q: want master or cluster", name)
		}
		if err != nil {
			return fmt.Errorf("URL has a wrong value of the parameter %q", name)
		}
	}
	return nil
}
