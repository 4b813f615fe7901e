package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
)

// options is the command line.
type options struct {
	site, api, admin port
	data             string // directory
}

// path is one within the data directory.
func (o options) path(elements ...string) string {
	return filepath.Join(append([]string{o.data}, elements...)...)
}

// port is a TCP port that is listened on.
type port struct {
	flag   string // its option
	host   string // "" for every address
	number uint
}

func (p port) address() string {
	return net.JoinHostPort(p.host, strconv.FormatUint(uint64(p.number), 10))
}

// listen takes the port, or says which option chooses another.
func (p port) listen() (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", p.address())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d is taken by another program: choose another with -%s", p.number, p.flag)
	case err != nil:
		return nil, fmt.Errorf("port %d cannot be used: %w; choose another with -%s", p.number, err, p.flag)
	}
	return ln, nil
}

const help = `Runs the sidecar in front of an example API, configured by caddyfile.example.
Run it in the root of the repository; Ctrl-C stops everything.

The data directory holds the list of logouts and jwt_secret, the random secret that
tokens are signed with (made at the first start, mode 0600). Tokens and logouts
outlive a restart; delete the directory to start afresh. JWT_SECRET in the
environment, of at least 32 bytes, is used in place of the file.

Options:
`

// parse reads the command line. What is wrong with it is written to out.
func parse(args []string, out io.Writer) (options, error) {
	o := options{
		site:  port{flag: "port"},
		api:   port{flag: "api-port", host: "127.0.0.1"},
		admin: port{flag: "admin-port", host: "localhost"},
	}
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprint(out, help)
		flags.PrintDefaults()
	}
	flags.UintVar(&o.site.number, o.site.flag, 8080, "`port` of the sidecar")
	flags.UintVar(&o.api.number, o.api.flag, 9000, "`port` of the example API, on this machine only")
	flags.UintVar(&o.admin.number, o.admin.flag, 2019, "`port` of Caddy's admin API, on this machine only")
	flags.StringVar(&o.data, "data", ".quickstart", "data `directory`")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(out, "quickstart:", err)
		return options{}, err
	}
	return o, nil
}

func (o options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	if o.data == "" {
		return errors.New("-data is empty")
	}
	seen := make(map[uint]string)
	for _, p := range []port{o.site, o.api, o.admin} {
		if p.number == 0 || p.number > 65535 {
			return fmt.Errorf("-%s %d is not between 1 and 65535", p.flag, p.number)
		}
		if other, twice := seen[p.number]; twice {
			return fmt.Errorf("-%s and -%s are the same port", other, p.flag)
		}
		seen[p.number] = p.flag
	}
	return nil
}
