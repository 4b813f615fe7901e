package policy

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the module's root, from this package's directory.
const root = "../.."

// built is what the root may hold that is not part of the source.
var built = []string{"bin", "dist", "vendor"}

// files returns the paths, relative to root, of the tree's files that match. Hidden
// directories other than .github, test data and built things are left out.
func files(t *testing.T, match func(path string) bool) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			hidden := strings.HasPrefix(d.Name(), ".") && d.Name() != ".github"
			if rel != "." && (hidden || d.Name() == "testdata" || slices.Contains(built, rel)) {
				return filepath.SkipDir
			}
			return nil
		}
		if match(rel) {
			paths = append(paths, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("no file matches: the test looks in the wrong place")
	}
	return paths
}

func hasExtension(ext string) func(string) bool {
	return func(path string) bool { return strings.HasSuffix(path, ext) }
}
