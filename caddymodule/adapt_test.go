package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

var update = flag.Bool("update", false, "write the expected part of testdata/adapt")

// separator divides a golden file: a Caddyfile above, its JSON or its error below.
const separator = "\n----------\n"

// TestAdapt keeps what each piece of syntax means. Files whose name begins with
// error_ hold the message, which names file and line.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".caddyfiletest"), func(t *testing.T) {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(content), separator)
			got := adapted(t, input, strings.HasPrefix(filepath.Base(name), "error_"))
			if *update {
				if err := os.WriteFile(name, []byte(input+separator+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if formatted := string(caddyfile.Format([]byte(input + "\n"))); formatted != input+"\n" {
				t.Errorf("not as caddy fmt writes it:\n%s", formatted)
			}
		})
	}
}

func adapted(t *testing.T, input string, wantErr bool) string {
	t.Helper()
	config, err := adapt(input)
	if wantErr {
		if err == nil {
			t.Fatalf("no error, but %s", config)
		}
		return err.Error() + "\n"
	}
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

// FuzzCaddyfile: whatever is written in a token_auth block is either adapted, to the
// same JSON each time, or refused with an error that names the line.
func FuzzCaddyfile(f *testing.F) {
	f.Add("api octopus_cards\nsecret x")
	f.Fuzz(func(t *testing.T, options string) {
		if strings.Contains(options, "import") {
			t.Skip("import reads files of this machine")
		}
		text := "http://127.0.0.1:1 {\n\ttoken_auth {\n" + options + "\n\t}\n}\n"
		first, err := adapt(text)
		if err != nil {
			return
		}
		second, err := adapt(text)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("adapted to\n%s\nthen to\n%s (%v)", first, second, err)
		}
	})
}
