package deploy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// load reads a compose file as docker compose does, strictly by its schema.
func load(t *testing.T, text string, environment types.Mapping) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  ".",
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(text)}},
		Environment: environment,
	})
}

var withSecret = types.Mapping{"JWT_SECRET": "0123456789abcdef0123456789abcdef"}

func compose(t *testing.T) *types.Project {
	t.Helper()
	project, err := load(t, read(t, "deploy/compose.yaml"), withSecret)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeFileIsValid(t *testing.T) {
	project := compose(t)
	names := project.ServiceNames()
	if slices.Sort(names); !slices.Equal(names, []string{"api", "redis", "sidecar"}) {
		t.Errorf("services %v", names)
	}
	for name, dockerfile := range map[string]string{"sidecar": "xcaddy.Dockerfile", "api": "deploy/example-api.Dockerfile"} {
		if build := project.Services[name].Build; build == nil || build.Dockerfile != dockerfile {
			t.Errorf("%s is built from %+v", name, build)
		}
		read(t, dockerfile)
	}
}

func TestMistakeInAComposeFileIsFound(t *testing.T) {
	text := read(t, "deploy/compose.yaml")
	for _, change := range [][2]string{
		{"read_only: true", "readonly: true"},
		{"cap_drop: [ALL]", "cap_drop: ALL"},
		{"stop_grace_period: 15s", "stop_grace_period: soon"},
		{"networks: [store]", "networks: [shop]"},
	} {
		broken := strings.Replace(text, change[0], change[1], 1)
		if broken == text {
			t.Fatalf("there is no %s", change[0])
		}
		if _, err := load(t, broken, withSecret); err == nil {
			t.Errorf("%s in place of %s is accepted", change[1], change[0])
		}
	}
	if _, err := load(t, text, nil); err == nil || !strings.Contains(err.Error(), "JWT_SECRET") {
		t.Errorf("without JWT_SECRET: %v", err)
	}
}

func TestComposedServicesHaveNoRights(t *testing.T) {
	for name, s := range compose(t).Services {
		if user, _, _ := strings.Cut(s.User, ":"); user == "" || user == "0" || user == "root" {
			t.Errorf("%s runs as %q", name, s.User)
		}
		if !s.ReadOnly || s.Privileged || len(s.CapAdd) > 0 || !slices.Equal(s.CapDrop, []string{"ALL"}) ||
			!slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s has rights that it does not need", name)
		}
		if s.MemLimit == 0 || s.PidsLimit == 0 {
			t.Errorf("%s is not limited", name)
		}
	}
}

// TestComposedRedisRefusesBeforeItIsKilled wants it to refuse writes while there is room left
// for the copy of its pages that a rewrite of its file needs.
func TestComposedRedisRefusesBeforeItIsKilled(t *testing.T) {
	redis := compose(t).Services["redis"]
	option := func(name string) string {
		i := slices.Index(redis.Command, "--"+name)
		if i < 0 || i+1 == len(redis.Command) {
			t.Fatalf("no %s", name)
		}
		return redis.Command[i+1]
	}
	if policy := option("maxmemory-policy"); policy != "noeviction" {
		t.Errorf("at its limit it does %s", policy)
	}
	var size types.UnitBytes
	if err := size.DecodeMapstructure(option("maxmemory")); err != nil {
		t.Fatal(err)
	}
	if size <= 0 || size > redis.MemLimit/4*3 {
		t.Errorf("maxmemory is %d of %d bytes", size, redis.MemLimit)
	}
}

// TestComposedServicesAreReachedThroughTheSidecar wants the API and the list out of
// everybody else's reach, and of one another's.
func TestComposedServicesAreReachedThroughTheSidecar(t *testing.T) {
	project := compose(t)
	seen := make(map[string]string) // network to service
	for _, name := range []string{"api", "redis"} {
		s := project.Services[name]
		if len(s.Ports) > 0 {
			t.Errorf("%s publishes a port", name)
		}
		for network := range s.Networks {
			if !project.Networks[network].Internal {
				t.Errorf("%s is in %s, which has a way out", name, network)
			}
			if other, both := seen[network]; both {
				t.Errorf("%s and %s are both in %s", name, other, network)
			}
			seen[network] = name
		}
	}
	for _, port := range project.Services["sidecar"].Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("the port %s is open to all of the network", port.Published)
		}
	}
}

func TestComposedSidecarEndsByItself(t *testing.T) {
	grace := graceOf(t, read(t, "deploy/compose.caddyfile"))
	s := compose(t).Services["sidecar"]
	if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) <= grace {
		t.Errorf("it is killed after %v, and takes up to %s", s.StopGracePeriod, grace)
	}
}
