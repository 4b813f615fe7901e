package redisstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"
)

var (
	// ErrNotReplicated is wrapped by the error of a write that the primary has, but
	// fewer replicas than Options.Wait asks for. It may be lost when the primary fails.
	ErrNotReplicated = errors.New("too few replicas have it")

	// ErrMoving is wrapped by Scan's error while the cluster moves slots of the list.
	ErrMoving = errors.New("the cluster is moving slots of the list")

	// errClusterNode says that a server wants to be asked as one of a cluster.
	errClusterNode = errors.New("the server is a node of a cluster, and it is not named as one")

	// ErrFeedLost is wrapped by Watch's error when the feed no longer has the place up
	// to which it was read: Watch from there reports a gap.
	ErrFeedLost = errors.New("the feed has lost what it told last")
)

// Words that begin the errors of a server.
const (
	replyReadOnly   = "READONLY"
	replyMisconf    = "MISCONF"
	replyNoReplicas = "NOREPLICAS"
	replyNoScript   = "NOSCRIPT"
	replyMoved      = "MOVED"
	replyAsk        = "ASK"
)

// passingReplies are refusals that time or another server may cure: a script that is
// loading or blocked by another, a primary that has just been demoted, a slot on its way.
var passingReplies = map[string]bool{
	replyReadOnly: true,
	"LOADING":     true,
	"MASTERDOWN":  true,
	"CLUSTERDOWN": true,
	"TRYAGAIN":    true,
	replyMoved:    true,
	replyAsk:      true,
	"UNBLOCKED":   true,
	"BUSY":        true,
}

// replyWord returns the word that the server's error begins with, or "" if err is not
// one of a server.
func replyWord(err error) string {
	var reply *rueidis.RedisError
	if !errors.As(err, &reply) {
		return ""
	}
	return firstWord(reply.Error())
}

// firstWord returns the first word of a server's error. Before Redis 7 an error inside
// of a script is in another one:
//
//	ERR Error running script (call to f_<sha1>): @user_script:1: -READONLY You can't write against a read only replica.
func firstWord(text string) string {
	if inner := strings.LastIndex(text, ": -"); inner >= 0 && strings.HasPrefix(text, "ERR Error running script") {
		text = text[inner+len(": -"):]
	}
	word, _, _ := strings.Cut(text, " ")
	return word
}

// passing reports whether what failed with err can succeed if it is sent again.
// Everything that this package sends may be executed any number of times, so a lost
// connection is no reason to give up.
func passing(err error) bool {
	word := replyWord(err)
	return word == "" && !errors.Is(err, errClientPanic) || passingReplies[word]
}

// failure returns the first error among results; a missing key is none.
func failure(results []rueidis.RedisResult) error {
	for _, r := range results {
		if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
	}
	return nil
}

// failed names what failed and where, and takes out the passwords if anything on the
// way has put them into err.
func (s *Store) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %s: %w", s.where, what, err)
	for _, secret := range s.secrets {
		if strings.Contains(err.Error(), secret) {
			return errors.New(strings.ReplaceAll(err.Error(), secret, "***"))
		}
	}
	return err
}
