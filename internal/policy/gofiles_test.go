package policy

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func TestGoFilesAreFormatted(t *testing.T) {
	for _, name := range files(t, hasExtension(".go")) {
		src, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if formatted, err := format.Source(src); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(src, formatted) {
			t.Errorf("%s is not formatted: make fmt", name)
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	comments := make(map[string]string) // by directory
	packages := make(map[string]string)
	for _, name := range files(t, hasExtension(".go")) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		dir := path.Dir(name)
		if _, seen := packages[dir]; !seen || !strings.HasSuffix(name, "_test.go") {
			packages[dir] = f.Name.Name
		}
		if f.Doc == nil {
			continue
		}
		if previous, twice := comments[dir]; twice && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s: a second package comment, beside %q", name, firstLine(previous))
		}
		comments[dir] = docText(f.Doc)
	}
	for dir, pkg := range packages {
		want := "Package " + pkg + " "
		if pkg == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		if !strings.HasPrefix(comments[dir], want) {
			t.Errorf("%s: the package comment must begin with %q, and is %q", dir, want, firstLine(comments[dir]))
		}
	}
}

func docText(doc *ast.CommentGroup) string { return strings.ReplaceAll(doc.Text(), "\n", " ") }

func firstLine(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return s
}
