package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	strictyaml "sigs.k8s.io/yaml"
)

// documents splits manifests into its objects.
func documents(manifests []byte) ([][]byte, error) {
	var all [][]byte
	reader := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(manifests)))
	defer reader.Close()
	// A ConfigMap has at most 1 MiB, and so has every object that a cluster takes.
	buffer := make([]byte, 4<<20)
	for {
		n, err := reader.Read(buffer)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, bytes.Clone(buffer[:n]))
	}
}

// checkPods looks at the pods of all Deployments as the admission controller of the
// restricted Pod Security Standard does.
func checkPods(manifests []byte) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	all, err := documents(manifests)
	if err != nil {
		return err
	}
	var wrong []error
	for _, document := range all {
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := strictyaml.Unmarshal(document, &kind); err != nil {
			return err
		}
		if kind.Kind != "Deployment" {
			continue
		}
		var deployment appsv1.Deployment
		if err := strictyaml.UnmarshalStrict(document, &deployment); err != nil {
			return fmt.Errorf("a Deployment: %w", err)
		}
		template := &deployment.Spec.Template
		verdict := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec))
		if !verdict.Allowed {
			wrong = append(wrong, fmt.Errorf("the restricted Pod Security Standard forbids Deployment %s: %s",
				deployment.Name, verdict.ForbiddenDetail()))
		}
	}
	return errors.Join(wrong...)
}
