package redisstore

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// minVersion is the oldest version of Redis whose commands are enough.
const minVersion = "6.2"

// inspect asks every primary whether it can keep the list, and returns what the user
// should know.
func (s *Store) inspect(ctx context.Context) (warnings []string, err error) {
	// First, that there are primaries, and that we may ask them.
	_, err = s.do(ctx, s.timeout, func(ctx context.Context) []rueidis.RedisResult {
		probes := make([]rueidis.Completed, partitions)
		for p := range probes {
			probes[p] = s.client.B().Get().Key(s.layout.probe(p)).Build()
		}
		return s.fromPrimary(ctx, false, probes...)
	})
	if err != nil {
		return nil, err
	}
	servers := []rueidis.Client{s.client}
	if s.cluster {
		o, err := s.clusterOwners(ctx)
		if err != nil {
			return nil, err
		}
		servers = servers[:0]
		for _, address := range o.distinct() {
			node, err := s.node(address)
			if err != nil {
				return nil, err
			}
			servers = append(servers, node)
		}
	}
	told := make(map[string]bool) // nodes of a cluster are mostly alike
	for _, server := range servers {
		of, err := s.inspectServer(ctx, server)
		if err != nil {
			return nil, err
		}
		for _, warning := range of {
			if !told[warning] {
				warnings = append(warnings, warning)
				told[warning] = true
			}
		}
	}
	return warnings, nil
}

func (s *Store) inspectServer(ctx context.Context, server rueidis.Client) ([]string, error) {
	results, err := s.inquire(ctx, func(ctx context.Context) []rueidis.RedisResult {
		return []rueidis.RedisResult{server.Do(ctx, s.client.B().Info().Build())}
	})
	if err != nil {
		if replyWord(err) == "" {
			return nil, err
		}
		return []string{fmt.Sprintf("its settings are unknown, INFO is refused (%v); want maxmemory-policy noeviction and appendonly yes", err)}, nil
	}
	text, err := results[0].ToString()
	if err != nil {
		return nil, err
	}
	info := parseInfo(text)
	if version := info["redis_version"]; version != "" && olderThan(version, minVersion) {
		return nil, fmt.Errorf("the server's version is %s: want at least %s", version, minVersion)
	}
	if info["redis_mode"] == "cluster" && !s.cluster {
		return nil, errClusterNode
	}
	config := make(map[string]string)
	for _, name := range []string{"appendfsync", "save"} {
		results, err := s.inquire(ctx, func(ctx context.Context) []rueidis.RedisResult {
			return []rueidis.RedisResult{server.Do(ctx, s.client.B().ConfigGet().Parameter(name).Build())}
		})
		if err != nil {
			if replyWord(err) == "" {
				return nil, err
			}
			continue // managed services refuse it; then we do without
		}
		if values, err := results[0].AsStrMap(); err == nil {
			maps.Copy(config, values)
		}
	}
	return s.settingsWarnings(info, config), nil
}

// inquire is do without trying again: what is refused here is only not known.
func (s *Store) inquire(ctx context.Context, send exchange) ([]rueidis.RedisResult, error) {
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	results, err := s.attempt(limited, send)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err != nil && limited.Err() != nil:
		err = timeoutError(s.timeout, nil)
	}
	return results, err
}

// settingsWarnings returns what in a server's settings endangers the list. A setting that
// is missing in config is not known.
func (s *Store) settingsWarnings(info, config map[string]string) []string {
	var warnings []string
	policy, known := info["maxmemory_policy"]
	switch {
	case !known:
		warnings = append(warnings, "its maxmemory-policy is unknown; with another than noeviction it may drop revocations")
	case policy != "noeviction" && info["maxmemory"] != "0":
		warnings = append(warnings, fmt.Sprintf("maxmemory-policy %s: a server that runs out of memory drops revocations, and what was logged out is valid again; want noeviction", policy))
	}
	fsync, fsyncKnown := config["appendfsync"]
	save, saveKnown := config["save"]
	switch aof := info["aof_enabled"]; {
	case aof == "0" && saveKnown && save == "":
		warnings = append(warnings, "it keeps nothing on disk: a restart forgets every logout; want appendonly yes")
	case aof == "0":
		warnings = append(warnings, "appendonly is off: a restart forgets the logouts since the last snapshot, if there is one; want appendonly yes")
	case aof != "1":
		warnings = append(warnings, "its persistence is unknown; want appendonly yes")
	case fsyncKnown && fsync != "always" && s.wait.Replicas == 0:
		warnings = append(warnings, fmt.Sprintf("appendfsync %s: a power failure loses the last logouts; want always, or waiting for replicas", fsync))
	}
	if n, err := strconv.Atoi(info["connected_slaves"]); err == nil && n < s.wait.Replicas {
		warnings = append(warnings, fmt.Sprintf("it has %d replicas, and writes wait for %d", n, s.wait.Replicas))
	}
	return warnings
}

// parseInfo returns the fields of an answer to INFO.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(name, "#") {
			info[name] = value
		}
	}
	return info
}

// olderThan compares versions like 6.2.14. What is no number counts as 0.
func olderThan(version, than string) bool {
	a, b := strings.Split(version, "."), strings.Split(than, ".")
	for i := range b {
		var x, y int
		if i < len(a) {
			x, _ = strconv.Atoi(a[i])
		}
		y, _ = strconv.Atoi(b[i])
		if x != y {
			return x < y
		}
	}
	return false
}
