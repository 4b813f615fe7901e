package caddymodule

import (
	"go.uber.org/zap"

	"example.com/caddy-token-auth/revocation"
)

// logFeed returns what logs the events of a feed.
func logFeed(log *zap.Logger) func(revocation.FeedEvent) {
	return func(e revocation.FeedEvent) {
		entries, took := zap.Int("entries", e.Entries), zap.Duration("took", e.Took)
		switch e.Kind {
		case revocation.FeedLoading:
			log.Info("reading the revocation list", entries, took)
		case revocation.FeedLoaded:
			log.Info("revocation list read", entries, took)
		case revocation.FeedLoadFailed:
			log.Error("revocation list not read, the store is asked for each request until it is", zap.Error(e.Err))
		case revocation.FeedFollowed:
			log.Info("following the changes of the revocation list")
		case revocation.FeedGap:
			log.Info("following the changes of the revocation list, of which some may have been missed: it is read anew")
		case revocation.FeedBroken:
			log.Warn("changes of the revocation list are not followed", zap.Error(e.Err))
		}
	}
}
