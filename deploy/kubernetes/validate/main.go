// Command validate checks what Kustomize makes of a directory of manifests, without a
// cluster and without a network:
//
//	go run . ../overlays/redis
//
// Every object must be of a kind whose schema is in schemas, and have no field that the
// schema does not have, no value of another type, and no field twice. The values of pods
// must be such that the API server can read them, and pods must be ones that the
// restricted Pod Security Standard admits. It prints what is wrong and then ends with 1.
//
// It is a module of its own, so that the plugin does not depend on Kubernetes.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: validate <directory with a kustomization.yaml>")
		os.Exit(2)
	}
	manifests, err := render(os.Args[1])
	if err == nil {
		err = check(manifests)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
