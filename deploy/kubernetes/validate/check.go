package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/yannh/kubeconform/pkg/validator"
)

//go:embed schemas/*.json
var schemas embed.FS

// check returns what is wrong with manifests, in YAML, or nil.
func check(manifests []byte) error {
	if err := checkSchemas(manifests); err != nil {
		return err
	}
	return checkPods(manifests)
}

// checkSchemas compares each object with the schema of its kind.
func checkSchemas(manifests []byte) (err error) {
	dir, err := os.MkdirTemp("", "schemas-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.CopyFS(dir, schemas); err != nil {
		return err
	}
	v, err := validator.New([]string{
		filepath.Join(dir, "schemas", "{{.ResourceKind}}{{.KindSuffix}}.json"),
	}, validator.Opts{Strict: true})
	if err != nil {
		return err
	}
	results := v.Validate("manifests", io.NopCloser(bytes.NewReader(manifests)))
	valid := 0
	var wrong []error
	for _, result := range results {
		switch result.Status {
		case validator.Valid:
			valid++
		case validator.Empty:
		default:
			wrong = append(wrong, fmt.Errorf("%s: %w", name(result), result.Err))
		}
	}
	if valid == 0 && len(wrong) == 0 {
		return errors.New("no object")
	}
	return errors.Join(wrong...)
}

// name is the kind and name of an object, as far as it can be told.
func name(result validator.Result) string {
	signature, err := result.Resource.Signature()
	if err != nil {
		return result.Resource.Path
	}
	return signature.Kind + " " + signature.Name
}
