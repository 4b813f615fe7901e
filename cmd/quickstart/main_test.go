package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runMain is set where this test's binary is started as the command itself.
const runMain = "QUICKSTART_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func noEnv(string) string { return "" }

func TestTheSecretIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := jwtSecret(dir, noEnv)
	if err != nil || len(first) != 64 {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	if again, err := jwtSecret(dir, noEnv); err != nil || again != first {
		t.Errorf("not kept: %v", err)
	}
	for name, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, secretFile): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", name, info.Mode().Perm(), want, err)
		}
	}
	if other, err := jwtSecret(t.TempDir(), noEnv); err != nil || other == first {
		t.Errorf("another directory has the same secret (%v)", err)
	}
}

func TestTheEnvironmentsSecretIsNotWritten(t *testing.T) {
	dir, secret := t.TempDir(), strings.Repeat("s", 32)
	got, err := jwtSecret(dir, func(string) string { return secret })
	if err != nil || got != secret {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if _, err := os.Stat(filepath.Join(dir, secretFile)); err == nil {
		t.Error("it was written")
	}
}

func TestBadSecretsAreErrorsThatDoNotShowThem(t *testing.T) {
	short := strings.Repeat("s", 31)
	if _, err := jwtSecret(t.TempDir(), func(string) string { return short }); err == nil || strings.Contains(err.Error(), short) {
		t.Errorf("from the environment: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, secretFile), []byte(short+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := jwtSecret(dir, noEnv); err == nil || strings.Contains(err.Error(), short) || !strings.Contains(err.Error(), secretFile) {
		t.Errorf("from the file: %v", err)
	}
}

func TestADataDirectoryThatIsAFileIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := jwtSecret(file, noEnv); err == nil {
		t.Error("a file was taken for the data directory")
	}
}

func TestOptions(t *testing.T) {
	o, err := parse(nil, &bytes.Buffer{})
	if err != nil || o.site.address() != ":8080" || o.api.address() != "127.0.0.1:9000" || o.admin.address() != "localhost:2019" || o.data != ".quickstart" {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	for args, want := range map[string]string{
		"x":                       `unexpected argument "x"`,
		"-port 0":                 "-port 0 is not between 1 and 65535",
		"-api-port 65536":         "-api-port 65536 is not between 1 and 65535",
		"-port 9000":              "-port and -api-port are the same port",
		"-data=":                  "-data is empty",
		"-no-such-thing":          "flag provided but not defined",
		"-h":                      "jwt_secret",
		"-admin-port 1 -api-port": "flag needs an argument",
	} {
		var out bytes.Buffer
		if _, err := parse(strings.Fields(args), &out); err == nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v, said %s", args, err, &out)
		}
	}
}

func TestATakenPortIsAClearError(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	taken := uint(ln.Addr().(*net.TCPAddr).Port)
	for _, host := range []string{"", "127.0.0.1", "localhost"} {
		_, err := port{flag: "port", host: host, number: taken}.listen()
		if err == nil || !strings.Contains(err.Error(), "is taken by another program: choose another with -port") {
			t.Errorf("host %q: %v", host, err)
		}
	}
}

func TestElsewhereThanInTheRootIsAClearError(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := inRoot(); err == nil || !strings.Contains(err.Error(), "root of the repository") {
		t.Errorf("got %v", err)
	}
}

func TestPathsWithSpacesAreOneWord(t *testing.T) {
	for path, want := range map[string]string{"a/b": "a/b", "my data/x": "`my data/x`"} {
		if got := word(path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}
