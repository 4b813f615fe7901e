//go:build race

package apikey

func init() { raceDetector = true }
