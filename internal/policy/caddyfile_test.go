package policy

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// shown is a Caddyfile that we show to users.
type shown struct {
	name string // where it is
	text string
}

func TestShownCaddyfilesAreFormatted(t *testing.T) {
	for _, c := range shownCaddyfiles(t) {
		if warning, differs := caddyfile.FormattingDifference(c.name, []byte(c.text)); differs {
			t.Errorf("%s, line %d of it is not as caddy fmt has it", c.name, warning.Line)
		}
	}
}

// shownCaddyfiles returns the Caddyfiles of the tree, and those in Markdown, whole.
func shownCaddyfiles(t *testing.T) []shown {
	t.Helper()
	var all []shown
	for _, name := range files(t, isCaddyfile) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, shown{name, string(text)})
	}
	for _, doc := range documents(t) {
		for _, b := range doc.blocks() {
			lang, rest, _ := strings.Cut(b.info, " ")
			if lang != "caddyfile" {
				continue
			}
			name := fmt.Sprintf("%s:%d", doc.name, b.line)
			text, err := whole(b.text, rest)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			all = append(all, shown{name, text})
		}
	}
	return all
}

// isCaddyfile knows Caddyfiles by name, much as Caddy does.
func isCaddyfile(name string) bool {
	base := strings.ToLower(path.Base(name))
	if ext := path.Ext(base); ext == ".go" || ext == ".md" {
		return false
	}
	return strings.HasPrefix(base, "caddyfile") || strings.HasSuffix(base, ".caddyfile")
}

// wrappers are what stands around a fragment, from the outside in.
var wrappers = map[string][]string{
	"global":     {""},
	"app":        {"", "token_auth"},
	"site":       {":8080"},
	"token_auth": {":8080", "token_auth"},
}

// whole makes a configuration of a block, by what its info string says after the
// language. CONTRIBUTING.md describes the convention.
func whole(text, info string) (string, error) {
	where, marked := strings.CutPrefix(strings.TrimSpace(info), "fragment=")
	switch {
	case marked:
	case info != "":
		return "", fmt.Errorf("unknown info string %q", info)
	case firstWord(text) == "token_auth":
		where = "site"
	default:
		return text, nil
	}
	around, ok := wrappers[where]
	if !ok {
		return "", fmt.Errorf("unknown fragment %q", where)
	}

	var b strings.Builder
	for depth, opening := range around {
		b.WriteString(strings.Repeat("\t", depth) + strings.TrimLeft(opening+" {\n", " "))
	}
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString(strings.Repeat("\t", len(around)))
		}
		b.WriteString(line)
	}
	for depth := range slices.Backward(around) {
		b.WriteString(strings.Repeat("\t", depth) + "}\n")
	}
	return b.String(), nil
}

// firstWord is the first word that is not in a comment.
func firstWord(text string) string {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			return words[0]
		}
	}
	return ""
}

func TestFragmentsAreMadeWhole(t *testing.T) {
	for name, tc := range map[string]struct{ text, info, want string }{
		"whole":       {":80 {\n}\n", "", ":80 {\n}\n"},
		"recognised":  {"# Why.\ntoken_auth {\n\tapi x\n}\n", "", ":8080 {\n\t# Why.\n\ttoken_auth {\n\t\tapi x\n\t}\n}\n"},
		"global":      {"debug\n", "fragment=global", "{\n\tdebug\n}\n"},
		"app":         {"a\n\nb\n", "fragment=app", "{\n\ttoken_auth {\n\t\ta\n\n\t\tb\n\t}\n}\n"},
		"site":        {"log\n", "fragment=site", ":8080 {\n\tlog\n}\n"},
		"token_auth":  {"api x\n", "fragment=token_auth", ":8080 {\n\ttoken_auth {\n\t\tapi x\n\t}\n}\n"},
		"no such":     {"api x\n", "fragment=x", ""},
		"not a known": {"api x\n", "title=x", ""},
	} {
		got, err := whole(tc.text, tc.info)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}
