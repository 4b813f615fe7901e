package exampleapi

import (
	"errors"
	"maps"
	"testing"
)

func TestDemoClients(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want map[string]Client
		err  error
	}{
		"none":          {nil, demoClients, nil},
		"first only":    {map[string]string{"API_KEY": "k", "API_SECRET": "s"}, map[string]Client{"k": {"s", 42}}, nil},
		"second only":   {map[string]string{"API_KEY_2": "k", "API_SECRET_2": "s"}, map[string]Client{"k": {"s", 43}}, nil},
		"both":          {map[string]string{"API_KEY": "k", "API_SECRET": "s", "API_KEY_2": "l", "API_SECRET_2": "s"}, map[string]Client{"k": {"s", 42}, "l": {"s", 43}}, nil},
		"no secret":     {map[string]string{"API_KEY": "k"}, nil, ErrHalfClient},
		"no key":        {map[string]string{"API_SECRET_2": "s"}, nil, ErrHalfClient},
		"the same keys": {map[string]string{"API_KEY": "k", "API_SECRET": "s", "API_KEY_2": "k", "API_SECRET_2": "s"}, nil, ErrHalfClient},
	} {
		got, err := DemoClients(func(name string) string { return tc.env[name] })
		if !errors.Is(err, tc.err) || !maps.Equal(got, tc.want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}
