package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// description is what is of use in an OpenAPI 2 document.
type description struct {
	Definitions map[string]map[string]any `json:"definitions"`
}

const reference = "#/definitions/"

// schema returns the JSON schema of a kind, with all that it refers to.
func (d *description) schema(group, version, kind string) (map[string]any, error) {
	for _, name := range slices.Sorted(maps.Keys(d.Definitions)) {
		if !isOf(d.Definitions[name], group, version, kind) {
			continue
		}
		definitions := make(map[string]any)
		schema := d.strict(d.Definitions[name], definitions).(map[string]any)
		apiVersion := strings.TrimPrefix(group+"/"+version, "/")
		properties := schema["properties"].(map[string]any)
		properties["apiVersion"] = map[string]any{"const": apiVersion}
		properties["kind"] = map[string]any{"const": kind}
		schema["required"] = []string{"apiVersion", "kind", "metadata"}
		schema["$schema"] = "http://json-schema.org/draft-07/schema#"
		schema["definitions"] = definitions
		return schema, nil
	}
	return nil, fmt.Errorf("no %s %s %s in the description", group, version, kind)
}

// isOf reports whether a definition is that of a kind.
func isOf(definition map[string]any, group, version, kind string) bool {
	all, _ := definition["x-kubernetes-group-version-kind"].([]any)
	if len(all) != 1 {
		return false // one that belongs to many, such as DeleteOptions
	}
	is, _ := all[0].(map[string]any)
	return is["group"] == group && is["version"] == version && is["kind"] == kind
}

// The definitions that say less than the API server takes.
var special = map[string]any{
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString": map[string]any{"type": []string{"string", "integer"}},
	"io.k8s.apimachinery.pkg.api.resource.Quantity":   map[string]any{"type": []string{"string", "number"}},
}

// strict returns a part of the description as a JSON schema: objects with properties have
// no others. What it refers to is put into definitions.
func (d *description) strict(part any, definitions map[string]any) any {
	switch part := part.(type) {
	case []any:
		all := make([]any, len(part))
		for i, element := range part {
			all[i] = d.strict(element, definitions)
		}
		return all
	case map[string]any:
		schema := make(map[string]any, len(part)+1)
		for key, value := range part {
			switch {
			case key == "description" || strings.HasPrefix(key, "x-kubernetes-"):
			case key == "properties":
				// Here the keys are the names of fields, one of which is description.
				properties := make(map[string]any)
				for field, of := range value.(map[string]any) {
					properties[field] = d.strict(of, definitions)
				}
				schema[key] = properties
			case key == "$ref":
				d.define(strings.TrimPrefix(value.(string), reference), definitions)
				schema[key] = value
			default:
				schema[key] = d.strict(value, definitions)
			}
		}
		if _, ok := schema["properties"]; ok && schema["additionalProperties"] == nil {
			schema["additionalProperties"] = false
		}
		return schema
	default:
		return part
	}
}

// define puts a definition into definitions, with all that it refers to.
func (d *description) define(name string, definitions map[string]any) {
	if _, done := definitions[name]; done {
		return
	}
	if schema, ok := special[name]; ok {
		definitions[name] = schema
		return
	}
	definitions[name] = nil // one that refers to itself ends here
	definitions[name] = d.strict(d.Definitions[name], definitions)
}
