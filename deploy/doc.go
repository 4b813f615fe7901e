// Package deploy has no code, only tests of the files here and of xcaddy.Dockerfile: that
// they agree with go.mod, with one another and with the documentation, and that what
// reads them accepts them.
package deploy
