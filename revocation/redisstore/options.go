package redisstore

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Options say where the list is kept and what is asked of the server. Addresses is
// required; the zero value of everything else means its default. ParseURL makes
// Options from a URL.
type Options struct {
	// Addresses are host:port, or a host alone for port 6379. What they are depends on
	// the mode: the one server (neither MasterName nor Cluster is set), the Sentinels
	// (MasterName; port 26379 where none is given), or some nodes of a cluster.
	Addresses []string
	// MasterName is the name under which the Sentinels know the primary.
	MasterName string
	// Cluster says that the addresses are nodes of a cluster.
	Cluster bool

	// Username and Password are the servers' credentials. A password without a
	// username is that of the default user.
	Username, Password string
	// SentinelUsername and SentinelPassword are the Sentinels' own credentials.
	SentinelUsername, SentinelPassword string
	// TLS, if set, is used for all connections, to Sentinels too.
	TLS *TLS
	// DB is the number of the database; a cluster has only 0.
	DB int

	// KeyPrefix begins the name of every key; DefaultKeyPrefix. It has no braces.
	KeyPrefix string
	// Timeout bounds every operation, retries included, and dialling;
	// DefaultTimeout. Scan is bounded by it page by page.
	Timeout time.Duration
	// Wait makes writes wait for replicas.
	Wait Wait
	// FeedLength is about how many changes can be told to a process that was away;
	// DefaultFeedLength. One with a greater gap has to begin anew.
	FeedLength int

	// OnWarning, if set, is told by Open what in the servers' settings endangers the
	// list. It is called before Open returns.
	OnWarning func(warning string)
	// Now is the clock; time.Now.
	Now func() time.Time

	blockFor time.Duration // for tests; defaultBlock
}

// Wait says how many replicas must have a write before it is acknowledged.
type Wait struct {
	// Replicas is that number; 0 does not wait.
	Replicas int
	// Timeout bounds the wait; DefaultWaitTimeout. A write that fewer replicas have
	// by then is an error that wraps ErrNotReplicated.
	Timeout time.Duration
}

// TLS are the files of the servers' certificates and of ours, in PEM.
type TLS struct {
	// CAFile is who signed the servers' certificates; without it, the system's roots.
	CAFile string
	// CertFile and KeyFile are our certificate. They are read at every handshake, so
	// that renewed ones are used without a restart.
	CertFile, KeyFile string
	// ServerName is what the servers' certificates must name in place of the host.
	ServerName string
}

// Defaults of Options.
const (
	DefaultKeyPrefix   = "token_auth:"
	DefaultTimeout     = 2 * time.Second
	DefaultWaitTimeout = time.Second
	DefaultFeedLength  = 100_000
)

// MinFeedLength is the least FeedLength: for each partition, what is told twice when
// following begins (see overlap), and as much again.
const MinFeedLength = partitions * 2 * overlap

const (
	portServer   = "6379"
	portSentinel = "26379"
)

// withDefaults checks the options and fills them in.
func (o Options) withDefaults() (Options, error) {
	if o.KeyPrefix == "" {
		o.KeyPrefix = DefaultKeyPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Wait.Timeout == 0 {
		o.Wait.Timeout = DefaultWaitTimeout
	}
	if o.FeedLength == 0 {
		o.FeedLength = DefaultFeedLength
	}
	if o.OnWarning == nil {
		o.OnWarning = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.blockFor == 0 {
		o.blockFor = defaultBlock
	}
	port := portServer
	if o.MasterName != "" {
		port = portSentinel
	}
	addresses := make([]string, len(o.Addresses))
	for i, address := range o.Addresses {
		var err error
		if addresses[i], err = completeAddress(address, port); err != nil {
			return o, err
		}
	}
	o.Addresses = addresses
	return o, o.check()
}

// minTime is the shortest time limit: less cannot be told from 0.
const minTime = time.Millisecond

func (o Options) check() error {
	switch {
	case len(o.Addresses) == 0:
		return errors.New("no address")
	case o.MasterName != "" && o.Cluster:
		return errors.New("a cluster has no Sentinels: want one of the two")
	case o.MasterName == "" && !o.Cluster && len(o.Addresses) > 1:
		return fmt.Errorf("%d addresses of one server: say whether they are a cluster's or Sentinels", len(o.Addresses))
	case o.Username != "" && o.Password == "", o.SentinelUsername != "" && o.SentinelPassword == "":
		return errors.New("a username without a password")
	case o.DB < 0:
		return fmt.Errorf("database %d: want 0 or more", o.DB)
	case o.DB != 0 && o.Cluster:
		return fmt.Errorf("database %d: a cluster has only 0", o.DB)
	case o.Timeout < minTime || o.Wait.Timeout < minTime:
		return fmt.Errorf("time limit of less than %s", minTime)
	case o.Wait.Replicas < 0:
		return fmt.Errorf("wait for %d replicas: want 0 or more", o.Wait.Replicas)
	case o.FeedLength < MinFeedLength:
		return fmt.Errorf("feed length %d: want at least %d", o.FeedLength, MinFeedLength)
	case o.TLS != nil && (o.TLS.CertFile == "") != (o.TLS.KeyFile == ""):
		return errors.New("certificate and key: want both files or neither")
	}
	return checkPrefix(o.KeyPrefix)
}

// completeAddress returns address as host:port.
func completeAddress(address, port string) (string, error) {
	host, given, err := net.SplitHostPort(address)
	if err != nil {
		// No port, then: a name, an IPv4 address, or an IPv6 one, in brackets or not.
		host = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", fmt.Errorf("address %q: want host:port", address)
		}
	} else if given != "" {
		port = given
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" || strings.ContainsFunc(host, notInHost) {
		return "", fmt.Errorf("address %q: want host:port", address)
	}
	return net.JoinHostPort(host, port), nil
}

// notInHost reports whether neither a name nor an address, with a zone perhaps, has r.
func notInHost(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-_:%", r)
}

// String names the servers, and nothing secret, for errors.
func (o Options) String() string {
	where := strings.Join(o.Addresses, ",")
	switch {
	case o.MasterName != "":
		return "redis primary " + o.MasterName + " of sentinels " + where
	case o.Cluster:
		return "redis cluster " + where
	default:
		return "redis " + where
	}
}

// Format keeps the passwords out of every verb.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, o.String()) }
