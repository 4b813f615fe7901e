// Package image has no code, only the tests of the image that xcaddy.Dockerfile
// makes: they run it as a container with a read-only root file system, without any
// capability and not as root, in front of the example API, and stop it, kill it and
// put another in its place.
//
// They are skipped unless IMAGE names an image in podman's storage. make image-test
// builds one on stand-ins for its base images and runs them.
package image
