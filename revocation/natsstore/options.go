package natsstore

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Options say where the list is kept and what is asked of the servers. URLs is required;
// the zero value of everything else means its default.
type Options struct {
	// URLs are some servers of one cluster: nats://host:port, tls://host:port or
	// host:port. The others are found through them. Each may have user:password@ or
	// token@ before the host.
	URLs []string
	// Bucket is the name of the key-value bucket; DefaultBucket. The list has it for
	// itself. Letters, digits, dashes and underscores.
	Bucket string
	// MustExist makes Open fail if there is no bucket, in place of creating it.
	MustExist bool
	// Replicas is how many servers keep the bucket: 1, 3 or 5. 0 takes an existing
	// bucket as it is and creates one with 1.
	Replicas int
	// Placement says where a bucket is created.
	Placement Placement
	// MaxAge, if set, makes a bucket that is created forget everything but the list's
	// own settings after so long. Entries go by themselves, each in its time; this is
	// for a bucket whose size must be bounded by age whatever is written to it. What
	// has to live longer is refused by Revoke.
	MaxAge time.Duration

	// CredentialsFile is a file with a user JWT and its NKey seed. It is read anew for
	// every connection.
	CredentialsFile string
	// NKeySeedFile is a file with the seed of an NKey.
	NKeySeedFile string
	// Token is an authentication token.
	Token string
	// User and Password are a login.
	User, Password string
	// TLS, if set, is used for all connections.
	TLS *TLS

	// Timeout is how long one exchange with the servers may take, waiting for a new
	// connection or a new leader included; DefaultTimeout. Processes that share a
	// bucket should have about the same.
	Timeout time.Duration
	// OnWarning, if set, is told what endangers the list in the bucket's settings, and
	// that the connection was lost or refused something. It is called by any
	// goroutine and returns soon.
	OnWarning func(warning string)
	// Now is the clock that decides what has expired; time.Now.
	Now func() time.Time

	hooks hooks // for tests
}

// Placement says where a bucket is created.
type Placement struct {
	// Cluster is the name of the cluster; "" leaves the choice to the servers.
	Cluster string
	// Tags are what the servers must be tagged with, all of them.
	Tags []string
}

// TLS are the files of the servers' certificates and of ours, in PEM. They are read at
// every handshake, so that renewed ones are used without a restart.
type TLS struct {
	// CAFile is who signed the servers' certificates; without it, the system's roots.
	CAFile string
	// CertFile and KeyFile are our certificate.
	CertFile, KeyFile string
	// ServerName is what the servers' certificates must name in place of the host.
	ServerName string
}

// Defaults of Options.
const (
	DefaultBucket  = "token_auth"
	DefaultTimeout = 2 * time.Second
)

// minTimeout keeps the parts that an exchange divides its time into long enough for one
// round trip.
const minTimeout = 10 * time.Millisecond

// hooks change what tests cannot wait for. All are zero outside of tests.
type hooks struct {
	slack time.Duration // in place of ttlSlack
}

// withDefaults checks the options and fills them in.
func (o Options) withDefaults() (Options, error) {
	if o.Bucket == "" {
		o.Bucket = DefaultBucket
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.OnWarning == nil {
		o.OnWarning = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.hooks.slack == 0 {
		o.hooks.slack = ttlSlack
	}
	return o, o.check()
}

var bucketName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

func (o Options) check() error {
	switch {
	case len(o.URLs) == 0:
		return errors.New("no URL")
	case !bucketName.MatchString(o.Bucket):
		return fmt.Errorf("bucket %q: want up to 128 letters, digits, dashes and underscores", o.Bucket)
	case !slices.Contains([]int{0, 1, 3, 5}, o.Replicas):
		return fmt.Errorf("%d replicas: want 1, 3 or 5", o.Replicas)
	case o.MaxAge != 0 && o.MaxAge < time.Minute:
		return fmt.Errorf("maximum age %s: want at least 1m", o.MaxAge)
	case o.Timeout < minTimeout:
		return fmt.Errorf("timeout %s: want at least %s", o.Timeout, minTimeout)
	case (o.User == "") != (o.Password == ""):
		return errors.New("user and password: want both or neither")
	case o.TLS != nil && (o.TLS.CertFile == "") != (o.TLS.KeyFile == ""):
		return errors.New("certificate and key: want both files or neither")
	}
	methods := 0
	for _, secret := range []string{o.CredentialsFile, o.NKeySeedFile, o.Token, o.User} {
		if secret != "" {
			methods++
		}
	}
	if methods > 1 {
		return errors.New("credentials file, NKey seed file, token, and user with password: want one of them at most")
	}
	for i, text := range o.URLs {
		u, err := parseURL(text)
		if err != nil {
			return fmt.Errorf("URL %d: %w", i+1, err)
		}
		if u.User != nil && methods > 0 {
			return fmt.Errorf("URL %d: credentials in it and beside it: want one of them", i+1)
		}
	}
	return nil
}

// parseURL reads a server's URL. Its errors do not repeat it: it may hold a password.
func parseURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "nats://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Hostname() == "", u.RawQuery != "", u.Fragment != "", u.Path != "" && u.Path != "/":
		return nil, errors.New("want nats://host:port or tls://host:port")
	case u.Scheme != "nats" && u.Scheme != "tls":
		return nil, fmt.Errorf("scheme %q: want nats or tls", u.Scheme)
	}
	return u, nil
}

// String names the bucket and the servers, and nothing secret, for errors.
func (o Options) String() string {
	hosts := make([]string, 0, len(o.URLs))
	for _, text := range o.URLs {
		if u, err := parseURL(text); err == nil {
			hosts = append(hosts, u.Host)
		}
	}
	return fmt.Sprintf("nats bucket %s at %s", o.Bucket, strings.Join(hosts, ","))
}

// Format keeps the secrets out of every verb.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, o.String()) }
