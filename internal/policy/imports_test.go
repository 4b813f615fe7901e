package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "example.com/caddy-token-auth"

// pkg is what go list says of one package of the module.
type pkg struct {
	ImportPath   string
	Imports      []string // direct
	Deps         []string // direct and indirect
	TestImports  []string
	XTestImports []string
}

// packages runs go list over the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}

// under says whether path is one of the trees or below one. A tree without a dot in
// its first element is one of this module.
func under(path string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		if first, _, _ := strings.Cut(tree, "/"); !strings.Contains(first, ".") {
			tree = module + "/" + tree
		}
		return path == tree || strings.HasPrefix(path, tree+"/")
	})
}

// importRules are the directions that imports may not take.
var importRules = []struct {
	reason string
	// from are the packages that the rule is for; with except, all but these.
	from, except []string
	// never is what they may not import, not even indirectly if deep is set.
	never []string
	deep  bool
	// tests says that the rule is for their tests as well.
	tests bool
}{
	{
		reason: "the libraries know nothing of Caddy, its logger or its metrics",
		from:   []string{"revocation", "token", "dialect", "jsonrpc", "websocket", "request"},
		never:  []string{"github.com/caddyserver", "go.uber.org/zap", "github.com/prometheus"},
		deep:   true,
	},
	{
		reason: "the libraries know nothing of their user",
		from:   []string{"revocation", "token", "dialect", "jsonrpc", "websocket"},
		never:  []string{"caddymodule", "cmd", "bench", "internal/exampleapi"},
		deep:   true, tests: true,
	},
	{
		reason: "revocation stands on its own",
		from:   []string{"revocation"},
		never:  []string{"token", "dialect"},
		deep:   true, tests: true,
	},
	{
		reason: "token does not know dialect",
		from:   []string{"token"},
		never:  []string{"dialect"},
		deep:   true, tests: true,
	},
	{
		reason: "dialect does not know token",
		from:   []string{"dialect"},
		never:  []string{"token"},
		deep:   true, tests: true,
	},
	{
		reason: "request knows what is sent, and nothing of what is made of it",
		from:   []string{"request"},
		never:  []string{"revocation", "token", "dialect", "jsonrpc", "websocket", "caddymodule"},
		deep:   true, tests: true,
	},
	{
		reason: "a JSON-RPC session asks its user about credentials",
		from:   []string{"jsonrpc"},
		never:  []string{"token", "revocation", "websocket"},
		deep:   true, tests: true,
	},
	{
		reason: "the frame tap knows nothing of what messages mean",
		from:   []string{"websocket"},
		never:  []string{"token", "revocation", "dialect", "jsonrpc", "net/http"},
		tests:  true,
	},
	{
		reason: "only caddymodule and the commands import Caddy",
		except: []string{"caddymodule", "cmd", "bench"},
		never:  []string{"github.com/caddyserver"},
		deep:   true,
	},
	{
		reason: "only commands and benchmarks import caddymodule",
		except: []string{"caddymodule", "cmd", "bench"},
		never:  []string{"caddymodule"},
		deep:   true,
	},
	{
		reason: "the example API is for commands, benchmarks and tests",
		except: []string{"cmd", "bench", "internal/exampleapi"},
		never:  []string{"internal/exampleapi"},
		deep:   true,
	},
	{
		reason: "the example API is one that knows nothing of the sidecar",
		from:   []string{"internal/exampleapi"},
		never:  []string{"caddymodule", "revocation", "token", "dialect", "jsonrpc", "websocket"},
		deep:   true, tests: true,
	},
	{
		reason: "the exchange and its client are for tests and benchmarks",
		except: []string{"bench", "internal/fakeexchange", "internal/exchangeclient"},
		never:  []string{"internal/fakeexchange", "internal/exchangeclient"},
		deep:   true,
	},
	{
		reason: "the exchange and its client know nothing of the sidecar",
		from:   []string{"internal/fakeexchange", "internal/exchangeclient"},
		never:  []string{"caddymodule", "revocation", "token", "dialect", "jsonrpc", "websocket", "github.com/gobwas"},
		deep:   true, tests: true,
	},
	{
		reason: "no server of NATS becomes part of the plugin",
		except: []string{"bench"},
		never:  []string{"github.com/nats-io/nats-server"},
		deep:   true,
	},
	{
		reason: "nothing imports a command",
		except: []string{"cmd"},
		never:  []string{"cmd"},
	},
}

func TestImportsRunOneWay(t *testing.T) {
	for _, p := range packages(t) {
		for _, rule := range importRules {
			if len(rule.from) > 0 && !under(p.ImportPath, rule.from...) || under(p.ImportPath, rule.except...) {
				continue
			}
			imports := slices.Clone(p.Imports)
			if rule.deep {
				imports = slices.Clone(p.Deps)
			}
			if rule.tests {
				imports = append(append(imports, p.TestImports...), p.XTestImports...)
			}
			for _, imported := range imports {
				if under(imported, rule.never...) && imported != p.ImportPath {
					t.Errorf("%s imports %s, but %s", p.ImportPath, imported, rule.reason)
				}
			}
		}
	}
}

func TestUnderTakesWholePathElements(t *testing.T) {
	for path, want := range map[string]bool{
		module + "/token":               true,
		module + "/token/sub":           true,
		module + "/tokens":              false,
		"token":                         false,
		"go/token":                      false,
		"go.uber.org/zap":               true,
		"go.uber.org/zap/zapcore":       true,
		"go.uber.org/zapx":              false,
		"github.com/x/token":            false,
		"example.com/caddy-token-auth2": false,
	} {
		if under(path, "token", "go.uber.org/zap") != want {
			t.Errorf("under(%q) is not %v", path, want)
		}
	}
}
