package policy

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// document is one Markdown file, parsed.
type document struct {
	name   string // relative to root
	source []byte
	tree   ast.Node
}

func parseMarkdown(name string, source []byte) document {
	md := goldmark.New(goldmark.WithExtensions(extension.GFM))
	return document{name, source, md.Parser().Parse(text.NewReader(source))}
}

// documents returns all Markdown files of the tree.
func documents(t *testing.T) []document {
	t.Helper()
	var docs []document
	for _, name := range files(t, hasExtension(".md")) {
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, parseMarkdown(name, source))
	}
	return docs
}

// walk calls visit for each node of the document.
func (d document) walk(visit func(ast.Node)) {
	_ = ast.Walk(d.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			visit(n)
		}
		return ast.WalkContinue, nil
	})
}

// line is the number of the line that an offset is in.
func (d document) line(offset int) int {
	return bytes.Count(d.source[:offset], []byte("\n")) + 1
}

// block is a fenced block of code.
type block struct {
	line int    // of its first line of content
	info string // all that is after the fence
	text string
}

// blocks returns the document's fenced blocks.
func (d document) blocks() []block {
	var all []block
	d.walk(func(n ast.Node) {
		fenced, ok := n.(*ast.FencedCodeBlock)
		if !ok {
			return
		}
		b := block{text: string(fenced.Lines().Value(d.source))}
		if fenced.Info != nil {
			b.info = string(fenced.Info.Segment.Value(d.source))
		}
		if fenced.Lines().Len() > 0 {
			b.line = d.line(fenced.Lines().At(0).Start)
		}
		all = append(all, b)
	})
	return all
}
