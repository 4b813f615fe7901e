package differential

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is a framework that runs.
type upstream struct {
	name string
	addr string
}

// framework is how an upstream is started.
type framework struct {
	name string
	// program must be installed, and if check is not empty that must succeed.
	program string
	check   []string
	// args are the rest of the command line; {port} stands for the port.
	args []string
	npm  bool
}

var frameworks = []framework{
	{name: "express4", program: "node", args: []string{"express.mjs", "express4"}, npm: true},
	{name: "express5", program: "node", args: []string{"express.mjs", "express"}, npm: true},
	{name: "fastify", program: "node", args: []string{"fastify.mjs"}, npm: true},
	{name: "php", program: "php", args: []string{"-d", "display_errors=0", "-S", "127.0.0.1:{port}", "router.php"}},
	{name: "flask", program: python, check: []string{"-c", "import flask"}, args: []string{"flask_app.py"}},
	{name: "aiohttp", program: python, check: []string{"-c", "import aiohttp"}, args: []string{"aiohttp_app.py"}},
	{name: "django", program: python, check: []string{"-c", "import django"}, args: []string{"django_app.py"}},
	{name: "puma", program: "ruby", check: []string{"-rrack/handler/puma", "-e", ""}, args: []string{"rack.rb", "puma"}},
	{name: "webrick", program: "ruby", check: []string{"-rrack/handler/webrick", "-e", ""}, args: []string{"rack.rb", "webrick"}},
	{name: "nginx", program: "nginx", args: []string{"-c", "{dir}/nginx.conf"}},
	{name: "go"},
}

// python is Debian's, which has Debian's packages.
const python = "/usr/bin/python3"

// start starts the upstream, which hands out these tokens at every login. An error says
// that something is not installed.
func (f *framework) start(t *testing.T, issued pair) (*upstream, error) {
	t.Helper()
	u := &upstream{f.name, freeAddr(t)}
	if f.program == "" {
		return u, serveGo(t, u.addr, issued)
	}
	program, err := f.find(t)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs("upstreams")
	if f.npm {
		dir, err = installPackages()
	}
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(u.addr)
	if err != nil {
		return nil, err
	}
	home := t.TempDir()
	if f.name == "nginx" {
		fill := strings.NewReplacer("@DIR@", home, "@PORT@", port, "@ACCESS@", issued.access, "@REFRESH@", issued.refresh)
		for from, to := range map[string]string{"nginx.conf.tmpl": "nginx.conf", "nginx.answer.tmpl": "answer.conf"} {
			text, err := os.ReadFile(filepath.Join(dir, from))
			if err == nil {
				err = os.WriteFile(filepath.Join(home, to), []byte(fill.Replace(string(text))), 0o600)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	args := []string{program}
	for _, arg := range f.args {
		args = append(args, strings.NewReplacer("{port}", port, "{dir}", home).Replace(arg))
	}
	p, err := launch(t, f.name, dir, []string{"HOME=" + home, "PORT=" + port, "ACCESS=" + issued.access, "REFRESH=" + issued.refresh}, args...)
	if err != nil {
		return nil, err
	}
	return u, p.awaitReady(func() bool { return listens(u.addr) })
}

// find returns the path of the program.
func (f *framework) find(t *testing.T) (string, error) {
	path, err := exec.LookPath(f.program)
	if err != nil && !strings.Contains(f.program, "/") {
		path, err = exec.LookPath("/usr/sbin/" + f.program)
	}
	if err != nil {
		return "", fmt.Errorf("%s is not installed", f.program)
	}
	if len(f.check) > 0 {
		if out, err := exec.CommandContext(t.Context(), path, f.check...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s is not installed: %w\n%s", f.name, err, out)
		}
	}
	return path, nil
}

// missing skips the test, or fails it with CI=true.
func missing(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// installPackages installs the upstreams that run in Node.js.
var installPackages = sync.OnceValues(func() (dir string, err error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("npm is not installed: %w", err)
	}
	dir = filepath.Join(scratch, "upstreams")
	if err := os.CopyFS(dir, os.DirFS("upstreams")); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(context.Background(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// report is what an upstream tells about a request.
type report struct {
	// Route is the one that its router took.
	Route string
	// Read are the texts that it has read in each place: "query tok".
	Read map[string][]string
}

// parseReport reads the header field in which an upstream reports.
func parseReport(field string) (report, error) {
	if route, rest, ok := strings.Cut(field, ";"); ok { // nginx, which has no JSON
		r := report{route, map[string][]string{}}
		for pair := range strings.SplitSeq(rest, ";") {
			if place, value, _ := strings.Cut(strings.TrimSpace(pair), "="); value != "" {
				r.Read[place] = []string{value}
			}
		}
		return r, nil
	}
	var r report
	text, err := hex.DecodeString(field)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// serveGo is the upstream in Go: net/http with its own router and parsers.
func serveGo(t *testing.T, addr string, issued pair) error {
	t.Helper()
	answer := func(route string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			text, err := json.Marshal(report{route, readGo(r)})
			if err != nil {
				panic(err) // a test's mistake
			}
			w.Header().Set("X-Report", hex.EncodeToString(text))
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, issued.answer("issued")) // a client that is gone is no concern of ours
		}
	}
	mux := http.NewServeMux()
	for pattern, route := range map[string]string{
		"POST /auth/login": "login", "POST /auth/refresh": "refresh", "POST /auth/logout": "logout",
		"POST /oauth/token": "oauth token", "POST /oauth/logout": "oauth logout",
		"GET /status": "public", "GET /static/": "public", "/v1/cards": "protected", "/v1/cards/": "protected",
		"/api/v2/private/": "private", "/api/v2/public/": "rpc public", "/": "other",
	} {
		mux.Handle(pattern, answer(route))
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with the test
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return nil
}

// readGo reads all places as users of net/http do.
func readGo(r *http.Request) map[string][]string {
	body, _ := io.ReadAll(r.Body) // what could be read counts
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	_ = r.ParseMultipartForm(1 << 20) // an error leaves what could be read
	read := map[string][]string{}
	add := func(place string, values []string) {
		if len(values) > 0 {
			read[place] = values
		}
	}
	add("header Authorization", r.Header.Values("Authorization"))
	add("header X-Token", r.Header.Values("X-Token"))
	for _, name := range []string{"token", "refresh_token", "access_token"} {
		for _, c := range r.CookiesNamed(name) {
			add("cookie "+name, append(read["cookie "+name], c.Value))
		}
	}
	query := r.URL.Query()
	for _, name := range []string{"tok", "refresh_token", "access_token"} {
		add("query "+name, query[name])
	}
	for _, name := range []string{"refresh_token", "access_token"} {
		add("form "+name, r.PostForm[name])
	}
	var document struct {
		RefreshToken any `json:"refresh_token"`
		AccessToken  any `json:"access_token"`
		Params       struct {
			AccessToken any `json:"access_token"`
		} `json:"params"`
	}
	_ = json.NewDecoder(strings.NewReader(string(body))).Decode(&document) // an error leaves what could be read
	for place, value := range map[string]any{
		"json refresh_token": document.RefreshToken, "json access_token": document.AccessToken,
		"json params.access_token": document.Params.AccessToken,
	} {
		if value != nil {
			add(place, []string{fmt.Sprint(value)})
		}
	}
	return read
}
