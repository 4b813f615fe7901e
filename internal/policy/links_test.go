package policy

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark/ast"
)

func TestRelativeLinksLeadSomewhere(t *testing.T) {
	for _, doc := range documents(t) {
		for _, target := range doc.links() {
			if err := checkLink(doc, target); err != nil {
				t.Errorf("%s: link to %q: %v", doc.name, target, err)
			}
		}
	}
}

// links returns the targets of the document's links and images.
func (d document) links() []string {
	var targets []string
	d.walk(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Link:
			targets = append(targets, string(n.Destination))
		case *ast.Image:
			targets = append(targets, string(n.Destination))
		}
	})
	return targets
}

// checkLink says what is wrong with a link within the tree. Links to other places
// are not followed.
func checkLink(from document, target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	if u.Scheme != "" || u.Host != "" {
		return nil
	}
	if strings.HasPrefix(u.Path, "/") {
		return fmt.Errorf("it is absolute")
	}

	to := from
	if u.Path != "" {
		name := path.Join(path.Dir(from.name), u.Path)
		if name == ".." || strings.HasPrefix(name, "../") {
			return fmt.Errorf("it leaves the repository")
		}
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			return fmt.Errorf("there is no %s", name)
		}
		if u.Fragment == "" || info.IsDir() || path.Ext(name) != ".md" {
			return nil // lines of source files are not checked
		}
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		to = parseMarkdown(name, source)
	}
	if u.Fragment != "" && !to.anchors()[u.Fragment] {
		return fmt.Errorf("%s has no heading with the anchor %q", to.name, u.Fragment)
	}
	return nil
}

// anchors returns the anchors of the document's headings, as GitHub makes them.
func (d document) anchors() map[string]bool {
	all := make(map[string]bool)
	d.walk(func(n ast.Node) {
		heading, ok := n.(*ast.Heading)
		if !ok {
			return
		}
		base := slug(d.plain(heading))
		anchor := base
		for i := 1; all[anchor]; i++ {
			anchor = fmt.Sprintf("%s-%d", base, i)
		}
		all[anchor] = true
	})
	return all
}

// plain is the text of a node without its markup.
func (d document) plain(n ast.Node) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			b.Write(t.Segment.Value(d.source))
		} else {
			b.WriteString(d.plain(c))
		}
	}
	return b.String()
}

// slug is a heading in lower case, with hyphens for spaces and without punctuation.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsNumber(r):
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, heading)
}

func TestBrokenLinksAreFound(t *testing.T) {
	doc := parseMarkdown("docs/x.md", []byte("# A `code` & *more*\n\n## Same\n\n## Same\n"))
	for target, good := range map[string]bool{
		"https://example.com/x":              true,
		"mailto:x@example.com":               true,
		"../go.mod":                          true,
		"../cmd":                             true,
		"#a-code--more":                      true,
		"#same-1":                            true,
		"#same-2":                            false,
		"../no-such-file":                    false,
		"go.mod":                             false,
		"/go.mod":                            false,
		"../../go.mod":                       false,
		"../SECURITY.md#nothing-of-the-kind": false,
		"../SECURITY.md#reporting-a-vulnerability": true,
	} {
		if err := checkLink(doc, target); (err == nil) != good {
			t.Errorf("%s: %v", target, err)
		}
	}
}
