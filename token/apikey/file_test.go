package apikey

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFileOfKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, "# Keys of 2026.\n\n  \t\n#"+strings.Repeat("x", maxLine-1)+"\nalice\t "+Hash("key-a")+"\r\n bob "+Hash("key-b")+"# not for long\n"+
		"alice "+Hash("key-a2")+"\n#"+line("eve", "key-e")+"carol "+Hash("key-c"))
	k := must(ReadKeys(path))
	for key, want := range map[string]string{"key-a": "alice", "key-a2": "alice", "key-b": "bob", "key-c": "carol", "key-e": ""} {
		if got, _ := k.Lookup(key); got != want {
			t.Errorf("%s: %q", key, got)
		}
	}
	if k.Len() != 4 {
		t.Errorf("%d keys", k.Len())
	}
}

func TestAnEmptyFileHasNoKeys(t *testing.T) {
	if k := must(ReadKeys(touch(t))); k.Len() != 0 {
		t.Errorf("%d keys", k.Len())
	}
}

func touch(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, "")
	return path
}

func TestErrorsInAFileNameTheLineAndShowNothing(t *testing.T) {
	path := touch(t)
	hash := Hash("key-a")
	for name, tc := range map[string]struct{ content, want string }{
		"only a name":           {"# keys\n\nalice\n", "3: only one word: want a name and a hash"},
		"only a key":            {"key-a\n", "1: only one word"},
		"hash in a comment":     {"alice # " + hash, "1: only one word"},
		"three words":           {line("alice", "key-b") + "bob " + hash + " key-a", "2: more than a name and a hash"},
		"name with a space":     {"alice smith " + hash, "1: more than a name and a hash"},
		"swapped":               {hash + " alice\n", "1: the hash is not sha256: and 64 hexadecimal digits"},
		"key and name":          {"key-a alice\n", "1: the hash is not"},
		"the key itself":        {"alice key-a\n", "1: the hash is not"},
		"a hash for a name":     {Hash("key-b") + " " + hash, "1: the name is a hash"},
		"a name that is a BOM":  {"\ufeff" + line("alice", "key-a"), "1: the name has characters that do not print"},
		"UTF-16":                {"\xff\xfea\x00l\x00 \x00", "1: "},
		"name too long":         {strings.Repeat("n", MaxNameLength+1) + " " + hash, "1: the name is longer than 255 bytes"},
		"hash of nothing":       {"alice " + Hash(""), "1: this is the hash of nothing"},
		"two names, one hash":   {line("alice", "key-a") + "\n" + line("bob", "key-a"), `3: "alice" and "bob" have the same hash`},
		"the same line again":   {line("alice", "key-a") + line("alice", "key-a"), `2: this key of "alice" is there twice`},
		"a line without end":    {line("alice", "key-b") + "#" + strings.Repeat("x", maxLine) + "\n", "2: the line is longer than 4096 bytes"},
		"last line, no newline": {line("alice", "key-a") + "bob", "2: only one word"},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, path, tc.content)
			k, err := ReadKeys(path)
			if err == nil || k != nil {
				t.Fatal("accepted")
			}
			if !strings.HasPrefix(err.Error(), path+":"+tc.want) {
				t.Errorf("%q, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "key-a") || strings.Contains(err.Error(), hash[len(hashPrefix):]) {
				t.Errorf("%q shows what was to be hidden", err)
			}
		})
	}
}

func TestAFileIsBounded(t *testing.T) {
	path := touch(t)
	for size, want := range map[int64]string{
		MaxFileSize:     path + ":1: ", // all one line
		MaxFileSize + 1: fmt.Sprintf("%s: larger than %d bytes", path, MaxFileSize),
	} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeys(path); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// A million keys are read in about a second.
func TestAKeyInAFileCostsOneAllocation(t *testing.T) {
	const count = 10_000
	var content strings.Builder
	for i := range count {
		content.WriteString(line(fmt.Sprintf("customer-%08d", i), fmt.Sprint(i)))
	}
	n := testing.AllocsPerRun(3, func() {
		k := &Keys{names: make(map[digest]string)}
		if err := k.read(strings.NewReader(content.String())); err != nil || k.Len() != count {
			t.Errorf("%d keys, %v", k.Len(), err)
		}
	})
	if n > 1.1*count {
		t.Errorf("%v allocations for %d keys", n, count)
	}
}

func TestWhatIsNoFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none"), os.DevNull} {
		if k, err := ReadKeys(path); err == nil || k != nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
